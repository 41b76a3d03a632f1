package orchestrator

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/internal/digest"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// endless is a host whose files go on after content, for as long as somebody reads.
type endless struct {
	node.Host
	content string
	given   int
}

func (h *endless) Get(_ context.Context, _, _ string, offset int64, to io.Writer) error {
	if _, err := io.WriteString(to, h.content[offset:]); err != nil {
		return err
	}
	for {
		n, err := to.Write(bytes.Repeat([]byte("x"), 1<<16))
		if h.given += n; err != nil {
			return err
		}
	}
}

// A file that has grown since it was listed is fetched as it was listed, and one that never ends is too; one that is
// not what it was said to be leaves nothing.
func TestFetchIsBounded(t *testing.T) {
	host := &endless{content: strings.Repeat("content ", 1000)}
	sum, size, err := digest.Of(strings.NewReader(host.content))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path+partial, []byte(host.content[:100]), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := fetch(t.Context(), host, "r", node.File{Path: "file", Size: size, SHA256: sum}, path); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != host.content {
		t.Errorf("%d bytes, %v, want %d", len(got), err, size)
	}
	if host.given > 0 {
		t.Errorf("%d bytes too many were taken", host.given)
	}
	other := path + "-other"
	if err := fetch(t.Context(), host, "r", node.File{Path: "file", Size: size + 10, SHA256: sum}, other); err == nil || !strings.Contains(err.Error(), "not what the host says") {
		t.Errorf("%v", err)
	}
	if left, err := filepath.Glob(other + "*"); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// Files lists what tells how a repeat stands.
func (h *endless) Files(context.Context, string, string) ([]node.File, error) {
	return []node.File{{Path: resultFolder + "/points/p/1/" + result.StatusFile}}, nil
}

// What a host says of a repeat may be as long as that can be, and no longer.
func TestBringIsBounded(t *testing.T) {
	host := &endless{content: "{"}
	run := &result.Run{Dir: t.TempDir()}
	if _, _, err := bring(t.Context(), run, host, 1<<30); err == nil || !strings.Contains(err.Error(), result.StatusFile) {
		t.Errorf("got %v", err)
	}
	if host.given != node.MaxTask-len(host.content) {
		t.Errorf("%d bytes were taken", host.given)
	}
}
