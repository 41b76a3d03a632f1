package oci_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func open(t *testing.T) *oci.Store {
	t.Helper()
	s := oci.Open(t.TempDir())
	return s
}

// file is an entry of a tar.
type file struct {
	tar.Header
	content string
}

func text(name, content string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, content}
}

// image has one layer for each list of files.
func image(t testing.TB, layers ...[]file) v1.Image {
	t.Helper()
	image := empty.Image
	for _, files := range layers {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, f := range files {
			if err := w.WriteHeader(&f.Header); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, f.content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAddAndImage(t *testing.T) {
	s := open(t)
	made := must(random.Image(1<<16, 3))(t)
	digest := must(s.Add(made))(t)
	stored := must(s.Image(digest))(t)
	if err := validate.Image(stored); err != nil {
		t.Error(err)
	}
	if got := must(stored.Digest())(t).String(); got != digest {
		t.Errorf("digest %s, added as %s", got, digest)
	}
	blobs := must(s.Blobs(digest))(t)
	if len(blobs) != 5 {
		t.Errorf("%d blobs, want a manifest, a configuration and 3 layers", len(blobs))
	}
	if missing := s.Missing(append(blobs, "sha256:"+strings.Repeat("0", 64))); len(missing) != 1 {
		t.Errorf("missing %v", missing)
	}
	if got := must(s.List())(t); !slices.Equal(got, []string{digest}) {
		t.Errorf("list %v", got)
	}
}

// TestPush carries an image from store to store, blob by blob.
func TestPush(t *testing.T) {
	from, to := open(t), open(t)
	digest := must(from.Add(must(random.Image(1<<16, 2))(t)))(t)
	blobs := must(from.Blobs(digest))(t)
	for i, d := range blobs {
		if i == len(blobs)-1 {
			if err := to.Adopt(digest); err == nil || !strings.Contains(err.Error(), d) {
				t.Errorf("an image without %s: %v", d, err)
			}
		}
		f := must(from.Open(d))(t)
		if err := errors.Join(to.Put(d, f), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Adopt(digest); err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(must(to.Image(digest))(t)); err != nil {
		t.Error(err)
	}
}

func TestPutRefuses(t *testing.T) {
	s := open(t)
	digest := "sha256:" + strings.Repeat("0", 64)
	if err := s.Put(digest, strings.NewReader("other")); !errors.Is(err, oci.ErrDigest) {
		t.Errorf("other content: %v", err)
	}
	if s.Has(digest) {
		t.Error("other content is kept")
	}
	for _, bad := range []string{"", "sha256:", "sha256:../../x", "md5:00", strings.Repeat("0", 64)} {
		if err := s.Put(bad, strings.NewReader("")); err == nil {
			t.Errorf("digest %q is taken", bad)
		}
		if _, err := s.Open(bad); err == nil {
			t.Errorf("digest %q is opened", bad)
		}
	}
}

func TestConcurrentAdd(t *testing.T) {
	s := open(t)
	made := must(random.Image(1<<16, 3))(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := s.Add(made); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := validate.Image(must(s.Image(must(made.Digest())(t).String()))(t)); err != nil {
		t.Error(err)
	}
}

func TestPull(t *testing.T) {
	s, dir := open(t), t.TempDir()
	made := image(t, []file{text("bin/sh", "#!")})
	digest := must(made.Digest())(t).String()
	at := func(name string) string { return filepath.Join(dir, name) }
	p := must(layout.Write(at("one"), empty.Index))(t)
	if err := p.AppendImage(made); err != nil {
		t.Fatal(err)
	}
	several := must(layout.Write(at("two"), empty.Index))(t)
	for _, i := range []v1.Image{made, must(random.Image(10, 1))(t)} {
		if err := several.AppendImage(i); err != nil {
			t.Fatal(err)
		}
	}
	foreign := must(made.ConfigFile())(t).DeepCopy()
	foreign.Architecture = "riscv64"
	if err := must(layout.Write(at("other"), empty.Index))(t).AppendImage(must(mutate.ConfigFile(made, foreign))(t)); err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(at("docker.tar"), must(name.NewTag("lab/x:1"))(t), made); err != nil {
		t.Fatal(err)
	}
	pack(t, at("one"), at("layout.tar"))
	if err := os.MkdirAll(at("root/etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("root/etc/name"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	pack(t, at("root"), at("root.tar"))
	must(s.Add(made))(t) // so that it can be named by its digest
	for ref, want := range map[string]string{
		"oci-dir:" + at("one"):                digest,
		"oci-dir:" + at("two") + "@" + digest: digest,
		"oci-tar:" + at("layout.tar"):         digest,
		digest:                                digest,
		"oci-tar:" + at("docker.tar"):         "",
		"scratch":                             "",
		"rootfs:" + at("root"):                "",
		"rootfs:" + at("root.tar"):            "",
	} {
		got, err := s.Pull(t.Context(), ref)
		if err != nil || want != "" && got != want {
			t.Errorf("%s: %s, %v, want %s", ref, got, err, want)
			continue
		}
		if again := must(open(t).Pull(t.Context(), ref)); ref != digest && again(t) != got {
			t.Errorf("%s is another image in another store", ref)
		}
		if err := validate.Image(must(s.Image(got))(t)); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for ref, want := range map[string]string{
		"oci-dir:" + at("nowhere"):             "no such file",
		"oci-dir:" + at("two"):                 "choose one by @sha256:",
		"oci-tar:" + at("root.tar"):            "is no archive of an image",
		"oci-tar:" + at("nowhere"):             "no such file",
		"deb:bookworm":                         "write deb:SUITE?include=PACKAGE,PACKAGE",
		"deb:bookworm?include=a;reboot":        "write deb:",
		"deb:--setup-hook=id?include=apt":      "write deb:",
		"deb:bookworm?include=--hook,apt":      "write deb:",
		"deb:bookworm?include=apt,":            "write deb:",
		"deb:./x?include=apt":                  "write deb:",
		"oci-dir:" + at("other"):               "the image is for linux/riscv64, and this host is linux/" + runtime.GOARCH,
		"sha256:00":                            "is no digest",
		"UPPER/case":                           "image \"UPPER/case\"",
		"127.0.0.1:1/nothing/here:1":           "where there is no network, give oci-dir:PATH",
		"sha256:" + strings.Repeat("0", 64):    "is not in the store",
		"rootfs:" + at("nowhere"):              "no such file",
		"oci-dir:" + at("one") + "@sha256:bad": "bad",
	} {
		if _, err := s.Pull(t.Context(), ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", ref, err, want)
		}
	}
}

// pack makes a tar of a folder.
func pack(t *testing.T, dir, to string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDebian(t *testing.T) {
	store, digest := ocitest.Python(t)
	root := must(store.Unpack(t.Context(), digest))(t)
	if len(root.Layers) != 1 {
		t.Fatalf("%d layers", len(root.Layers))
	}
	if found := must(filepath.Glob(root.Layers[0] + "/usr/lib/python3.*/__pycache__/os.*.pyc"))(t); len(found) == 0 {
		t.Error("it has no bytecode")
	}
	again, err := open(t).Pull(t.Context(), "deb:bookworm?include=libpython3-stdlib,python3-minimal")
	if err != nil || again != digest {
		t.Errorf("built again it has the digest %s, not %s: %v", again, digest, err)
	}
}

// What another process has unpacked stays until it has ended, and what lacks a part
// can be removed.
func TestRemoveInUse(t *testing.T) {
	testenv.Require(t, testenv.Root)
	s := open(t)
	digest := must(s.Add(image(t, []file{text("a", "x")})))(t)
	broken := must(s.Add(image(t, []file{text("b", "y")})))(t)
	other := oci.Open(s.Dir()) // another process has its own file of the lock, as this has
	root := must(other.Unpack(t.Context(), digest))(t)
	own := must(other.Add(image(t, []file{text("d", "v")})))(t)
	if err := other.Remove(own); !errors.Is(err, oci.ErrInUse) {
		t.Errorf("the one who has it unpacked removes it: %v", err)
	}
	if err := s.Remove(digest); !errors.Is(err, oci.ErrInUse) {
		t.Fatalf("removed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root.Layers[0], "a")); err != nil {
		t.Error(err)
	}
	if left := must(s.List())(t); slices.Contains(left, digest) {
		t.Errorf("it is listed: %v", left)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.Dir(), "blobs", "sha256", strings.TrimPrefix(broken, "sha256:"))); err != nil {
		t.Fatal(err)
	}
	keep := must(s.Add(image(t, []file{text("c", "z")})))(t)
	if err := s.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root.Layers[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its layer is there: %v", err)
	}
	if missing := s.Missing(must(s.Blobs(keep))(t)); len(missing) > 0 {
		t.Errorf("another image lacks %v", missing)
	}
}

// A blob that is not what its name says is found, and pulling the image again mends it.
func TestBroken(t *testing.T) {
	testenv.Require(t, testenv.Root)
	made := image(t, []file{text("a", strings.Repeat("x", 1000))})
	s := open(t)
	digest := must(s.Add(made))(t)
	for n, blob := range must(s.Blobs(digest))(t) {
		path := filepath.Join(s.Dir(), "blobs", "sha256", strings.TrimPrefix(blob, "sha256:"))
		whole := must(os.ReadFile(path))(t)
		changed := slices.Clone(whole)
		changed[len(changed)/2] ^= 1
		for name, content := range map[string][]byte{"cut": whole[:len(whole)/2], "changed": changed, "missing": nil} {
			err := os.WriteFile(path, content, 0o644)
			if content == nil {
				err = os.Remove(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Check(digest); (err == nil || !strings.Contains(err.Error(), blob)) && (n < 2 || name != "changed") {
				t.Errorf("blob %d %s: %v", n, name, err)
			}
			if _, err := s.Unpack(t.Context(), digest); err == nil {
				t.Errorf("blob %d %s: it is unpacked", n, name)
			}
			must(s.Add(made))(t)
			if err := validate.Image(must(s.Image(digest))(t)); err != nil {
				t.Errorf("blob %d %s: %v", n, name, err)
			}
		}
	}
}

// An image for other machines is taken when it is asked for, and not run here.
func TestPullFor(t *testing.T) {
	testenv.Require(t, testenv.Root)
	s, dir := open(t), filepath.Join(t.TempDir(), "layout")
	made := image(t, []file{text("a", "x")})
	config := must(made.ConfigFile())(t).DeepCopy()
	config.OS, config.Architecture = "linux", "riscv64"
	foreign := must(mutate.ConfigFile(made, config))(t)
	riscv := v1.Platform{OS: "linux", Architecture: "riscv64"}
	if err := must(layout.Write(dir, empty.Index))(t).AppendImage(foreign, layout.WithPlatform(riscv)); err != nil {
		t.Fatal(err)
	}
	both := "riscv64.*" + runtime.GOARCH + "|" + runtime.GOARCH + ".*riscv64"
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !regexp.MustCompile(both).MatchString(err.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := s.Pull(t.Context(), "oci-dir:"+dir)
	refused("pull", err)
	digest := must(s.PullFor(t.Context(), "oci-dir:"+dir, riscv))(t)
	if again := must(s.Pull(t.Context(), digest))(t); again != digest {
		t.Errorf("by its digest it is %s", again)
	}
	_, err = s.Unpack(t.Context(), digest)
	refused("unpack", err)
	refused("adopt", s.Adopt(digest))
	_, err = s.PullFor(t.Context(), "deb:bookworm?include=apt", riscv)
	refused("packages", err)
	_, err = s.Build(t.Context(), oci.BuildOptions{Base: digest, Function: spec.Function{Runtime: "exec", Source: source(t, "function", "#!/bin/sh\n")}})
	refused("build", err)
}
