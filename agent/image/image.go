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
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

const (
	// MaxSize bounds the code of a function, unpacked, in bytes.
	MaxSize = 512 << 20
	// maxFiles bounds how many files it has.
	maxFiles = 50_000
)

// Stage returns the code of f as a gzipped tar, with its SHA-256 in hex. The
// same code gives the same bytes. What the archive holds depends on the runtime:
//
//	python3  the folder as it is, with main.py
//	go       the folder, built to the executable "function"
//	exec     the folder with the executable "function", or that file alone
//
// Errors are the user's to mend and say how.
func Stage(ctx context.Context, f spec.Function) (code []byte, digest string, err error) {
	info, err := os.Stat(f.Source)
	if err != nil {
		return nil, "", err
	}
	switch f.Runtime {
	case "python3":
		if err := regular(filepath.Join(f.Source, "main.py"), "a python3 function is a folder with main.py, which has main(args)"); err != nil {
			return nil, "", err
		}
		code, err = pack(f.Source)
	case "go":
		code, err = stageGo(ctx, f.Source)
	case "exec":
		if !info.IsDir() {
			code, err = packFile(f.Source)
			break
		}
		if err := regular(filepath.Join(f.Source, shim.Executable), "an exec function is an executable, or a folder with one named \"function\""); err != nil {
			return nil, "", err
		}
		code, err = pack(f.Source)
	default:
		return nil, "", fmt.Errorf("runtime %q has no code to stage", f.Runtime)
	}
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(code)
	return code, hex.EncodeToString(sum[:]), nil
}

func regular(path, want string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file: %s", path, want)
	}
	return err
}

// stageGo builds the folder, with the SDK in a module beside it, and packs the executable.
func stageGo(ctx context.Context, source string) ([]byte, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, errors.New("a go function is built where the experiment is, and there is no go on the PATH here")
	}
	work, err := os.MkdirTemp("", "ainur-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	src, sdk := filepath.Join(work, "src"), filepath.Join(work, "sdk")
	if err := os.CopyFS(src, os.DirFS(source)); err != nil {
		return nil, err
	}
	if err := os.CopyFS(filepath.Join(sdk, "agent", "shim"), shim.SDK); err != nil {
		return nil, err
	}
	const module = "github.com/ainur-faas/ainur"
	if err := os.WriteFile(filepath.Join(sdk, "go.mod"), []byte("module "+module+"\n\ngo 1.26\n"), 0o644); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(src, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(filepath.Join(src, "go.mod"), []byte("module function\n\ngo 1.26\n"), 0o644); err != nil {
			return nil, err
		}
	}
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = src
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s in %s: %w\n%s", args[0], source, err, bytes.TrimSpace(out))
		}
		return nil
	}
	if err := run("mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+sdk); err != nil {
		return nil, err
	}
	if err := run("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", filepath.Join(work, shim.Executable), "."); err != nil {
		return nil, err
	}
	return packFile(filepath.Join(work, shim.Executable))
}

// packFile is the archive of one executable file.
func packFile(path string) ([]byte, error) {
	return archive(func(w *tar.Writer) error { return add(w, path, shim.Executable, 0o755) })
}

// pack is the archive of a folder, without what Python leaves in it. Symbolic
// links inside it are followed; one that leaves it is an error.
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
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				return err
			}
			if real != root && !strings.HasPrefix(real, root+string(filepath.Separator)) {
				return fmt.Errorf("%s is a link out of the folder, to %s; copy the file in", path, real)
			}
			info, err := os.Stat(real)
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() {
				return fmt.Errorf("%s is neither a file nor a folder", path)
			}
			if files, size = files+1, size+info.Size(); files > maxFiles || size > MaxSize {
				return fmt.Errorf("%s is over %d files or %d MiB", folder, maxFiles, MaxSize>>20)
			}
			mode := int64(0o644)
			if info.Mode()&0o100 != 0 {
				mode = 0o755
			}
			return add(w, real, filepath.ToSlash(name), mode)
		})
	})
}

func archive(fill func(*tar.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := errors.Join(fill(w), w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// add writes a file without its times and owner, which do not change what it does.
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
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(code))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	r := tar.NewReader(io.LimitReader(z, MaxSize+maxFiles*1024))
	for files := 0; ; files++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return os.Rename(tmp, dir)
		}
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrUnsafe, err)
		case h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name):
			return fmt.Errorf("%w: %q is no file below the folder", ErrUnsafe, h.Name)
		case files >= maxFiles:
			return fmt.Errorf("%w: over %d files", ErrUnsafe, maxFiles)
		}
		if err := extract(r, filepath.Join(tmp, h.Name), fs.FileMode(h.Mode)&0o755|0o600); err != nil {
			return err
		}
	}
}

func extract(r io.Reader, path string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
