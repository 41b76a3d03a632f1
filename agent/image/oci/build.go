package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// BuildOptions say what image to build. Function is required.
type BuildOptions struct {
	Function     spec.Function // its runtime and source
	Base         string        // reference, as Pull takes it; "" is scratch
	Requirements string        // a file for pip; "" for none
	Compile      Compiler      // of a function in Python
	// Note is told what the image goes without, and why; nil drops it.
	Note func(string)
}

// Build puts an image into the store that is the code of a function on a base, and
// returns its digest. It speaks ainur's protocol. The same base, code and packages
// have the same digest, whoever builds it.
func (s *Store) Build(ctx context.Context, o BuildOptions) (digest string, err error) {
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if o.Base == "" {
		o.Base = "scratch"
	}
	baseDigest, err := s.Pull(ctx, o.Base)
	if err != nil {
		return "", err
	}
	base, err := s.Image(baseDigest)
	if err != nil {
		return "", err
	}
	staged, _, err := image.Stage(ctx, o.Function)
	if err != nil {
		return "", err
	}
	code, err := repack(staged, strings.TrimPrefix(shim.InsideCode, "/"))
	if err != nil {
		return "", err
	}
	if o.Function.Runtime != "python3" {
		if o.Requirements != "" {
			return "", fmt.Errorf("requirements are of runtime python3, not %s", o.Function.Runtime)
		}
		return s.add(Here)(Derive(base, func(c *v1.Config) {
			c.Entrypoint, c.Cmd = []string{path.Join(shim.InsideCode, shim.Executable)}, nil
			c.Env = append(c.Env, "AINUR_CODE="+shim.InsideCode)
		}, code))
	}
	if o.Base == "scratch" {
		return "", errors.New("a function in Python needs a base with python3, such as deb:bookworm?include=python3-minimal,libpython3-stdlib")
	}
	if o.Requirements != "" {
		if baseDigest, err = s.WithPackages(ctx, baseDigest, o.Requirements); err != nil {
			return "", err
		}
		if base, err = s.Image(baseDigest); err != nil {
			return "", err
		}
	}
	own, err := tarOf([]entry{{name: strings.TrimPrefix(shim.InsideShim, "/"), content: shim.Python}})
	if err != nil {
		return "", err
	}
	if code, err = s.compile(ctx, o, baseDigest, code); err != nil {
		return "", err
	}
	return s.add(Here)(Derive(base, func(c *v1.Config) {
		c.Entrypoint, c.Cmd, c.Env = []string{"python3", "-u", shim.InsideShim}, nil, append(c.Env, "AINUR_CODE="+shim.InsideCode)
	}, own, code))
}

// WithPackages is the image with this digest and the packages that a file of
// requirements names, which pip installs for the image's Python.
func (s *Store) WithPackages(ctx context.Context, digest, requirements string) (string, error) {
	base, err := s.Image(digest)
	if err != nil {
		return "", err
	}
	packages, err := s.install(ctx, requirements, digest)
	if err != nil {
		return "", err
	}
	return s.add(Here)(Derive(base, func(c *v1.Config) { c.Env = append(c.Env, "PYTHONPATH="+insidePackages) }, packages))
}

// Derive is a base with another configuration and these layers on top.
func Derive(base v1.Image, edit func(*v1.Config), layers ...[]byte) (v1.Image, error) {
	file, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	edit(&file.Config)
	derived, err := mutate.ConfigFile(base, file)
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		if derived, err = Append(derived, layer); err != nil {
			return nil, err
		}
	}
	return derived, nil
}

// insidePackages is where an image has what its requirements brought.
const insidePackages = "/ainur/packages"

// entry is a file of a layer.
type entry struct {
	name    string // from the root on, without the first slash
	mode    int64  // 0 is 0644
	content []byte
}

// tarOf is a layer of these files and the folders above them, in the order of their
// names, of user 0, and without times.
func tarOf(files []entry) ([]byte, error) {
	slices.SortFunc(files, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	var folder func(dir string) error
	folder = func(dir string) error {
		if dir == "." || made[dir] {
			return nil
		}
		made[dir] = true
		if err := folder(path.Dir(dir)); err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, Format: tar.FormatPAX})
	}
	for _, f := range files {
		if err := folder(path.Dir(f.name)); err != nil {
			return nil, err
		}
		if f.mode == 0 {
			f.mode = 0o644
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// repack makes a layer of an archive of code, with its files below dir.
func repack(archive []byte, dir string) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	var files []entry
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tarOf(files)
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files = append(files, entry{path.Join(dir, h.Name), h.Mode, content})
	}
}

// Folder is a layer of the files in the folder host, below dir.
func Folder(host, dir string) ([]byte, error) {
	var files []entry
	err := filepath.WalkDir(host, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, name)
		files = append(files, entry{path.Join(dir, filepath.ToSlash(rel)), int64(info.Mode().Perm() | 0o444), content})
		return err
	})
	if err != nil {
		return nil, err
	}
	return tarOf(files)
}

// install is a layer of the packages in the requirements, for the Python of the base.
func (s *Store) install(ctx context.Context, requirements, base string) ([]byte, error) {
	if _, err := os.Stat(requirements); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ainur-pip-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args := []string{"-m", "pip", "install", "--quiet", "--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--target", dir, "-r", requirements}
	version, err := s.pythonOf(base)
	if err != nil {
		return nil, err
	}
	args = append(args, "--python-version", version, "--only-binary=:all:")
	cmd := exec.CommandContext(ctx, "python3", args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		index := os.Getenv("PIP_INDEX_URL")
		if index == "" {
			index = "pypi.org"
		}
		return nil, fmt.Errorf("pip cannot install %s from %s: %w: set another index with PIP_INDEX_URL, or take a base that has the packages\n%s", requirements, index, err, bytes.TrimSpace(said.Bytes()))
	}
	if err := os.RemoveAll(filepath.Join(dir, "bin")); err != nil { // scripts for the Python of this host
		return nil, err
	}
	return Folder(dir, strings.TrimPrefix(insidePackages, "/"))
}

// interpreter is a Python in a layer, with its version.
var interpreter = regexp.MustCompile(`^(?:\./)?(?:usr/)?(?:local/)?bin/python(3\.[0-9]+)$`)

// pythonOf is the version of the Python in an image, such as "3.11": that of the highest
// layer which has one.
func (s *Store) pythonOf(digest string) (string, error) {
	image, err := s.Image(digest)
	if err != nil {
		return "", err
	}
	layers, err := image.Layers()
	if err != nil {
		return "", err
	}
	for _, layer := range slices.Backward(layers) {
		version, err := pythonIn(layer)
		if version != "" || err != nil {
			return version, err
		}
	}
	return "", fmt.Errorf("image %s has no python3 in %s that packages could be for", digest, Path)
}

func pythonIn(layer v1.Layer) (version string, err error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return "", err
	}
	defer content.Close()
	for r := tar.NewReader(&bounded{r: content, left: MaxBlob}); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if found := interpreter.FindStringSubmatch(h.Name); found != nil {
			return found[1], nil
		}
	}
}

// Compiler compiles the Python files in a folder with the Python of an image, for where
// an image has its code: by their paths there, without the files that cannot be compiled.
type Compiler func(ctx context.Context, image, code string) (map[string][]byte, error)

// compile adds Python's bytecode to the layer of code, made by the Python of the base.
func (s *Store) compile(ctx context.Context, o BuildOptions, base string, code []byte) (_ []byte, err error) {
	if os.Getuid() != 0 || o.Compile == nil {
		o.Note("the image has no bytecode of the function, which takes root to make: its sandboxes start a little slower")
		return code, nil
	}
	root, err := s.Unpack(ctx, base)
	if err != nil {
		return nil, err
	}
	if root.Program("python3") == "" {
		return nil, fmt.Errorf("the base %s has no python3 in %s", o.Base, Path)
	}
	dir, err := os.MkdirTemp("", "ainur-compile-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := unpackTar(ctx, code, dir); err != nil {
		return nil, err
	}
	made, err := o.Compile(ctx, base, filepath.Join(dir, shim.InsideCode))
	if err != nil {
		o.Note(fmt.Sprintf("the image has no bytecode of the function: %v", err))
		return code, nil
	}
	for name, content := range made {
		if !filepath.IsLocal(name) || path.Base(path.Dir(name)) != "__pycache__" {
			return nil, fmt.Errorf("the Python of the base %s says that it made %q: it is none to trust", o.Base, name)
		}
		file := filepath.Join(dir, shim.InsideCode, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o644)); err != nil {
			return nil, err
		}
	}
	return Folder(dir, "")
}

// unpackTar writes a tar of ours below dir.
func unpackTar(ctx context.Context, b []byte, dir string) error {
	f, err := os.CreateTemp("", "ainur-layer-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	defer os.Remove(f.Name())
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return untar(ctx, f.Name(), dir)
}
