package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/ainur-faas/ainur/internal/digest"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

// receive is what makes a file on the host: with its path, SHA-256, mode, "root" or "",
// what unpacks the content or "", and "keep" or "". It says "same", "changed" where
// nothing has to come for it, or "send", and reads the content. The file is there when all of it is.
const receive = `
set -e
umask 022
dir=$(dirname -- "$1")
sum() {
  if command -v openssl >/dev/null; then openssl dgst -sha256 -r; elif command -v sha256sum >/dev/null; then sha256sum; else
    echo "neither sha256sum nor openssl is there" >&2; exit 69; fi | cut -d" " -f1
}
has() { [ -f "$1" ] && [ ! -L "$1" ] && { [ -z "$3" ] || [ "$(stat -c %u -- "$1")" = 0 ]; } && [ "$(sum <"$1")" = "$2" ]; }
mkdir -p -- "$dir"
if [ "$4" ]; then
  case $(stat -c %a -- "$dir") in *[2367] | *[2367]?) echo "$dir can be written to by others: choose another folder" >&2; exit 77 ;; esac
fi
if has "$1" "$2" "$4"; then
  if [ "$(stat -c %a -- "$1")" = "$3" ]; then echo same; else chmod "$3" "$1"; echo changed; fi
  exit 0
fi
if [ -d "$1" ]; then echo "$1 is a folder" >&2; exit 73; fi
new=$(umask 077; mktemp "$dir/.ainur-XXXXXX")
trap 'rm -f -- "$new"' EXIT
trap 'rm -f -- "$new"; exit 1' HUP INT TERM
if [ "$6" ] && has "$1.prev" "$2" "$4"; then
  echo changed
  ln -f -- "$1.prev" "$new"
else
  echo send
  ${5:-cat} >"$new"
  got=$(sum <"$new")
  if [ "$got" != "$2" ]; then echo "what arrived has SHA-256 $got" >&2; exit 65; fi
fi
chmod "$3" "$new"
sync "$new" 2>/dev/null || sync
if [ "$6" ] && [ -f "$1" ]; then ln -f -- "$1" "$1.prev"; fi
mv -f -- "$new" "$1"
trap - EXIT
sync "$dir" 2>/dev/null || true
`

// Push makes a file.
func (h *Host) Push(ctx context.Context, f remote.File) (changed bool, err error) {
	if !path.IsAbs(f.Path) {
		return false, fmt.Errorf("push %s to host %s: the path is not absolute", f.Path, h.name)
	}
	if f.SHA256 == "" {
		if f.Unpack != "" {
			return false, fmt.Errorf("push %s to host %s: its SHA-256 is not known before it is unpacked", f.Path, h.name)
		}
		if f.SHA256, err = sumOf(f.Content); err != nil {
			return false, fmt.Errorf("push %s to host %s: %w", f.Path, h.name, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whoever waits to be asked
	answer := &answer{said: make(chan struct{})}
	owner, keep := "", ""
	if f.Root {
		owner = "root"
	}
	if f.Keep {
		keep = "keep"
	}
	err = h.do(ctx, remote.Command{
		Args: []string{"sh", "-c", receive, "ainur-push", path.Clean(f.Path), f.SHA256, fmt.Sprintf("%o", f.Mode.Perm()), owner, f.Unpack, keep},
		Root: f.Root, Stdin: &whenAsked{answer, f.Content, ctx}, Stdout: answer,
	})
	var bad *remote.ExitError
	if errors.As(err, &bad) && strings.Contains(bad.Stderr, "No space left") {
		err = fmt.Errorf("%w; make room there, or give another place with install", err)
	}
	if err != nil {
		return false, fmt.Errorf("push %s to host %s: %w", f.Path, h.name, err)
	}
	return answer.word() != "same", nil
}

// sumOf is the digest of content, which is read from its start again after.
func sumOf(content io.ReadSeeker) (string, error) {
	sum, _, err := digest.Of(content)
	if err != nil {
		return "", err
	}
	_, err = content.Seek(0, io.SeekStart)
	return sum, err
}

// answer is the word that receive says.
type answer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	said chan struct{} // closed with the first line
}

func (a *answer) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := bytes.Contains(a.b.Bytes(), []byte("\n"))
	a.b.Write(b)
	if !before && bytes.Contains(a.b.Bytes(), []byte("\n")) {
		close(a.said)
	}
	return len(b), nil
}

func (a *answer) word() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	line, _, _ := strings.Cut(a.b.String(), "\n")
	return line
}

// whenAsked is content that is read only when it is asked for.
type whenAsked struct {
	*answer
	content io.Reader
	ctx     context.Context //nolint:containedctx // a Read takes none
}

func (w *whenAsked) Read(b []byte) (int, error) {
	select {
	case <-w.said:
	case <-w.ctx.Done():
		return 0, context.Cause(w.ctx)
	}
	if w.word() != "send" {
		return 0, io.EOF
	}
	return w.content.Read(b)
}
