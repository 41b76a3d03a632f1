package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/internal/atomicfile"
)

//go:embed debian.sh
var finishDebian string

// debian is an image of these packages of a release of Debian and what they
// depend on, unpacked and not set up, with Python's bytecode. It is built once in
// a store. The same packages of the same mirror give the same digest.
func (s *Store) debian(ctx context.Context, suite string, packages []string) (digest string, err error) {
	tool, err := exec.LookPath("mmdebstrap")
	if err != nil || os.Getuid() != 0 {
		return "", errors.New("a base of Debian packages is made by mmdebstrap as root: install it (apt install mmdebstrap), or give a base that is made: oci-dir:PATH, oci-tar:PATH or rootfs:PATH")
	}
	packages = slices.Compact(slices.Sorted(slices.Values(packages)))
	args := []string{
		"--quiet", "--mode=root", "--variant=extract", "--include=" + strings.Join(packages, ","),
		"--extract-hook=sh -c '" + strings.ReplaceAll(finishDebian, "'", `'\''`) + `' finish "$1"`, suite, "-",
	}
	mirror := os.Getenv("DEBIAN_MIRROR") // "" for the host's
	if mirror != "" {
		args = append(args, "deb "+mirror+" "+suite+" main")
	}
	sum := sha256.Sum256([]byte(strings.Join(append(args, runtime.GOARCH), "\x00")))
	key := filepath.Join(s.dir, "debian", hex.EncodeToString(sum[:]))
	if b, err := os.ReadFile(key); err == nil && s.Has(string(b)) {
		return string(b), nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	tar, err := os.CreateTemp("", "ainur-debian-*.tar")
	if err != nil {
		return "", err
	}
	defer os.Remove(tar.Name())
	defer tar.Close()
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = tar, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("mmdebstrap of %s with %s: %w\n%s", suite, strings.Join(packages, ", "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	image, err := onScratch(Here, v1.Config{Env: []string{"PATH=" + Path}}, fileLayer(tar.Name()))
	if err != nil {
		return "", err
	}
	if digest, err = s.Add(image); err != nil {
		return "", err
	}
	return digest, atomicfile.Write(key, 0o644, func(w io.Writer) error {
		_, err := io.WriteString(w, digest)
		return err
	})
}

// Path is where an image has its programs.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
