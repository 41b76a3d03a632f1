package result

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ainur-faas/ainur/internal/digest"
)

// sealFile lists every file with its SHA-256, sorted by path, as sha256sum(1) does.
const sealFile = "MANIFEST.sha256"

// unsealed is what may be added to a sealed run: notes, and what ainur report makes.
var unsealed = []string{"annotations.json", "report"}

// ErrNotSealed reports a run without a seal: running, killed, or not finished.
var ErrNotSealed = errors.New("the run is not sealed")

// SealError names the files that differ from the seal.
type SealError struct {
	Dir                     string
	Changed, Missing, Added []string
}

func (e *SealError) Error() string {
	var parts []string
	for _, p := range []struct {
		what  string
		files []string
	}{{"changed", e.Changed}, {"missing", e.Missing}, {"added", e.Added}} {
		if len(p.files) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.files, ", "))
		}
	}
	return fmt.Sprintf("the seal of %s is broken: %s", e.Dir, strings.Join(parts, "; "))
}

// Seal ends the run: it records the state, writes MANIFEST.sha256 and makes
// every file read-only. Finish must have been called.
func (r *Run) Seal() error {
	if err := r.seal(); err != nil {
		return fmt.Errorf("seal %s: %w", r.Dir, err)
	}
	return nil
}

func (r *Run) seal() error {
	if r.Manifest.State != Finished {
		return fmt.Errorf("the run is %s, not finished", r.Manifest.State)
	}
	if err := errors.Join(r.Log(Entry{Event: "run", State: Sealed}), r.Amend(func(m *Manifest) { m.State = Sealed }), r.Close()); err != nil {
		return err
	}
	paths, err := files(r.Dir)
	if err != nil {
		return err
	}
	var list []byte
	for _, path := range paths {
		sum, err := digest.File(r.path(path))
		if err != nil {
			return err
		}
		list = fmt.Appendf(list, "%s  %s\n", sum, path)
	}
	if err := writeFile(r.path(sealFile), list); err != nil {
		return err
	}
	r.SealSHA256 = sum(list)
	for _, path := range append(paths, sealFile) {
		if err := os.Chmod(r.path(path), 0o444); err != nil {
			return err
		}
	}
	return nil
}

// Verify compares the run in dir with its seal. It returns ErrNotSealed or a
// *SealError when they differ.
func Verify(dir string) error {
	list, err := os.ReadFile(filepath.Join(dir, sealFile))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotSealed
	} else if err != nil {
		return err
	}
	paths, err := files(dir)
	if err != nil {
		return err
	}
	broken := &SealError{Dir: dir}
	sealed := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		want, path, ok := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		if !ok {
			return fmt.Errorf("read %s: the line %q is no digest and path", filepath.Join(dir, sealFile), line)
		}
		sealed[path] = true
		if !slices.Contains(paths, path) {
			broken.Missing = append(broken.Missing, path)
			continue
		}
		sum, err := digest.File(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		if sum != want {
			broken.Changed = append(broken.Changed, path)
		}
	}
	for _, path := range paths {
		if !sealed[path] {
			broken.Added = append(broken.Added, path)
		}
	}
	if len(broken.Changed)+len(broken.Missing)+len(broken.Added) > 0 {
		return broken
	}
	return nil
}

// files is every file in dir that a seal covers, sorted, with slashes.
func files(dir string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case slices.Contains(unsealed, rel) && d.IsDir():
			return fs.SkipDir
		case slices.Contains(unsealed, rel), rel == sealFile, d.IsDir():
			return nil
		case !d.Type().IsRegular() || strings.ContainsAny(rel, "\n\\"):
			return fmt.Errorf("%q cannot be sealed: only regular files with plain names can", path)
		}
		paths = append(paths, filepath.ToSlash(rel))
		return nil
	})
	slices.Sort(paths)
	return paths, err
}
