// Package image makes an archive of a function's code where the experiment is,
// and unpacks it where the function runs.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// The code of a function is bounded: unpacked in bytes and in files, and as the
// archive that travels to agents in bytes.
const (
	MaxSize    = 512 << 20
	MaxFiles   = 50_000
	MaxArchive = 255 << 20
)

// Stage returns the code of f as a gzipped tar, with the SHA-256 of that in hex.
// The same code gives the same bytes. What the archive holds depends on the runtime:
//
//	python3  the folder as it is, with main.py
//	go       the executable "function", built from the folder
//	exec     the folder with the executable "function", or that file alone
//	wasm     the module "function.wasm", which is the file, or built from the folder
//
// Errors are the user's to mend and say how.
func Stage(ctx context.Context, f spec.Function) (code []byte, digest string, err error) {
	info, err := os.Stat(f.Source)
	if err != nil {
		return nil, "", err
	}
	switch {
	case f.Runtime == "python3":
		code, err = stageFolder(f.Source, "main.py", "a python3 function is a folder with main.py, which has main(args)")
	case f.Runtime == "go" && !info.IsDir():
		err = fmt.Errorf("%s is no folder: a go function is the folder of a main package", f.Source)
	case f.Runtime == "go":
		code, err = stageGo(ctx, f.Source, native)
	case f.Runtime == "wasm" && info.IsDir():
		code, err = stageGo(ctx, f.Source, webAssembly)
	case f.Runtime == "wasm":
		code, err = packFile(f.Source, webAssembly.name)
	case f.Runtime == "exec" && !info.IsDir():
		code, err = packFile(f.Source, shim.Executable)
	case f.Runtime == "exec":
		code, err = stageFolder(f.Source, shim.Executable, "an exec function is an executable, or a folder with one named function")
	default:
		err = fmt.Errorf("runtime %q has no code to stage", f.Runtime)
	}
	if err == nil && len(code) > MaxArchive {
		err = fmt.Errorf("%s has %d MiB when compressed, over %d MiB", f.Source, len(code)>>20, MaxArchive>>20)
	}
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(code)
	return code, hex.EncodeToString(sum[:]), nil
}

// stageFolder packs a folder that must hold the file entry.
func stageFolder(folder, entry, want string) ([]byte, error) {
	file := filepath.Join(folder, entry)
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s", err, want)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file: %s", file, want)
	case entry == shim.Executable && info.Mode()&0o100 == 0:
		return nil, fmt.Errorf("%s is not executable: chmod +x it", file)
	}
	return pack(folder)
}

// packFile is the archive of one file under this name.
func packFile(path, name string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > MaxSize {
		return nil, fmt.Errorf("%s is no file of at most %d MiB", path, MaxSize>>20)
	}
	return archive(func(w *tar.Writer) error { return add(w, path, name, 0o755) })
}

// pack is the archive of a folder, without what Python and git leave in it. A
// symbolic link to a file inside is replaced by that file; any other is an error.
func pack(folder string) ([]byte, error) {
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	return archive(func(w *tar.Writer) error {
		files, size := 0, int64(0)
		return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if entry.Name() == "__pycache__" || entry.Name() == ".git" {
					return filepath.SkipDir
				}
				return nil
			}
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(real, root+string(filepath.Separator)) {
				return fmt.Errorf("%s is a link out of the folder, to %s: put the file itself there", path, real)
			}
			info, err := os.Stat(real)
			if err != nil {
				return err
			}
			if info.IsDir() {
				return fmt.Errorf("%s is a link to a folder: put the files themselves there", path)
			}
			if !info.Mode().IsRegular() {
				return fmt.Errorf("%s is neither a file nor a folder", path)
			}
			if files, size = files+1, size+info.Size(); files > MaxFiles || size > MaxSize {
				return fmt.Errorf("%s holds more than %d files or %d MiB", folder, MaxFiles, MaxSize>>20)
			}
			mode := int64(0o644)
			if info.Mode()&0o100 != 0 {
				mode = 0o755
			}
			return add(w, real, filepath.ToSlash(path[len(root)+1:]), mode)
		})
	})
}

func archive(fill func(*tar.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := fill(w); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// add puts in a file without its times and owner, which do not change what it does.
func add(w *tar.Writer, path, name string, mode int64) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// ErrUnsafe is an archive that holds what Stage never writes.
var ErrUnsafe = errors.New("unsafe archive")

// Unpack writes an archive to dir, which must not exist: wholly or not at all.
func Unpack(code []byte, dir string) (err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".unpack-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil { // the sandbox may run as another user
		return err
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	if err := errors.Join(extract(code, root), root.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

func extract(code []byte, root *os.Root) error {
	z, err := gzip.NewReader(bytes.NewReader(code))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	const overhead = 4 << 10 // of a file in the archive, in bytes: headers and padding
	limited := io.LimitReader(z, MaxSize+MaxFiles*overhead)
	r := tar.NewReader(limited)
	files, size := 0, int64(0)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, limited) // the checksum is at the end
			if err == nil {
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnsafe, err)
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%w: %q is no file below the folder", ErrUnsafe, h.Name)
		}
		if files, size = files+1, size+h.Size; files > MaxFiles || h.Size > MaxSize || size > MaxSize {
			return fmt.Errorf("%w: over %d files or %d MiB", ErrUnsafe, MaxFiles, MaxSize>>20)
		}
		if err := write(root, h, r); err != nil {
			return err
		}
	}
}

// write makes the file of h below root, out of which no name leads.
func write(root *os.Root, h *tar.Header, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(h.Name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(h.Mode)&0o755|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
