package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ainur-faas/ainur/internal/atomicfile"
)

func TestHave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "file")
	var before os.FileInfo
	for _, content := range []string{"one", "one", "two"} {
		if err := atomicfile.Have(path, 0o755, []byte(content)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || string(b) != content {
			t.Errorf("%q, %v, want %q", b, err, content)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o755 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if before != nil && os.SameFile(before, info) != (content == "one") {
			t.Errorf("written where it was there, or not where it was not: %q", content)
		}
		before = info
	}
}

func TestFails(t *testing.T) {
	dir := t.TempDir()
	no := errors.New("no")
	if err := atomicfile.Write(filepath.Join(dir, "file"), 0o644, func(io.Writer) error { return no }); !errors.Is(err, no) {
		t.Errorf("error is %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
