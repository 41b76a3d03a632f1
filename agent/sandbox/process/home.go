package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// removeHome removes a folder in which a function has left what it likes, with a few
// descriptors and short paths however deep the folders in it are: those of a folder are
// moved up before it is removed. Nothing may run that changes it.
func removeHome(dir string) error {
	for moved := 0; ; {
		left, err := eachEntry(dir, func(e fs.DirEntry) error {
			path := filepath.Join(dir, e.Name())
			if !e.IsDir() {
				return os.Remove(path)
			}
			if err := os.Chmod(path, 0o700); err != nil {
				return err
			}
			_, err := eachEntry(path, func(inner fs.DirEntry) error {
				return raise(dir, filepath.Join(path, inner.Name()), inner.IsDir(), &moved)
			})
			return errors.Join(err, os.Remove(path))
		})
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("remove %s: %w", dir, err)
		case left == 0:
			return os.Remove(dir)
		}
	}
}

// raise moves a folder into dir, by a number that is counted up, and removes what is none.
func raise(dir, path string, folder bool, moved *int) error {
	if !folder {
		return os.Remove(path)
	}
	if err := os.Chmod(path, 0o700); err != nil { // else it cannot be moved
		return err
	}
	for {
		*moved++
		err := os.Rename(path, filepath.Join(dir, fmt.Sprintf(".%d", *moved)))
		if !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.ENOTDIR) {
			return err
		}
	}
}

// eachEntry calls do with the entries of a folder, of which there may be many, and says how
// many there were.
func eachEntry(dir string, do func(fs.DirEntry) error) (n int, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(256)
		for _, e := range entries {
			if err := do(e); err != nil {
				return n, err
			}
			n++
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
