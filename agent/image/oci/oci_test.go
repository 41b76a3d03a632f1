package oci_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestUnpack(t *testing.T) {
	testenv.Require(t, testenv.Root)
	s := open(t)
	lower := []file{text("a", "1"), text("dir/b", "2")}
	one := must(s.Add(image(t, lower)))(t)
	two := must(s.Add(image(t, lower, []file{text(".wh.a", ""), text("dir/.wh..wh..opq", ""), text("dir/c", "3")})))(t)
	var all sync.WaitGroup
	roots := make([]oci.Root, 8)
	for i := range roots {
		all.Go(func() {
			root, err := s.Unpack(t.Context(), two)
			if err != nil {
				t.Error(err)
			}
			roots[i] = root
		})
	}
	all.Wait()
	for _, r := range roots {
		if diff := cmp.Diff(roots[0].Layers, r.Layers); diff != "" {
			t.Fatal(diff)
		}
	}
	layers := roots[0].Layers
	if shared := must(s.Unpack(t.Context(), one))(t).Layers; !slices.Equal(shared, layers[:1]) {
		t.Errorf("the layer of both images is unpacked twice: %v, %v", shared, layers)
	}
	if info, err := os.Lstat(filepath.Join(layers[1], "a")); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("what the second layer removes is %v, %v", info, err)
	}
	if b, err := os.ReadFile(filepath.Join(layers[1], "dir", "c")); string(b) != "3" {
		t.Error(string(b), err)
	}
	if left := must(filepath.Glob(filepath.Join(filepath.Dir(layers[0]), ".new-*")))(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestUnpackHostile unpacks layers that try to write elsewhere.
func TestUnpackHostile(t *testing.T) {
	testenv.Require(t, testenv.Root)
	outside := filepath.Join(t.TempDir(), "outside")
	link := func(name, to string, kind byte) file {
		return file{Header: tar.Header{Name: name, Linkname: to, Typeflag: kind, Mode: 0o777}}
	}
	for name, files := range map[string][]file{
		"parent":             {text("../../../../../../../../.."+outside, "x")},
		"absolute":           {text(outside, "x")},
		"through a link":     {link("l", filepath.Dir(outside), tar.TypeSymlink), text("l/outside", "x")},
		"through a relative": {link("l", "../../../../../../../../.."+filepath.Dir(outside), tar.TypeSymlink), text("l/outside", "x")},
		"a link over itself": {link("l", filepath.Dir(outside), tar.TypeSymlink), text("l", "x"), text("l/outside", "x")},
		"hard link":          {link("h", outside, tar.TypeLink), text("h", "x")},
		"whiteout of parent": {text(".wh...", "")},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			root, err := s.Unpack(t.Context(), must(s.Add(image(t, files)))(t))
			t.Log(root.Layers, err)
			if _, err := os.Stat(outside); err == nil {
				t.Error("it wrote outside")
			}
		})
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

// FuzzUnpack unpacks hostile archives: nothing outside the layer's folder changes.
func FuzzUnpack(f *testing.F) {
	testenv.Require(f, testenv.Root)
	f.Add("a/b", "c", byte(tar.TypeReg), "../x", byte(tar.TypeSymlink))
	f.Add("l", "/etc", byte(tar.TypeSymlink), "l/passwd", byte(tar.TypeReg))
	f.Add(".wh..wh..opq", "", byte(tar.TypeReg), ".wh.x", byte(tar.TypeReg))
	f.Fuzz(func(t *testing.T, first, to string, kind byte, second string, other byte) {
		if kind == tar.TypeBlock || kind == tar.TypeChar || other == tar.TypeBlock || other == tar.TypeChar {
			return
		}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range []tar.Header{{Name: first, Linkname: to, Typeflag: kind, Mode: 0o755}, {Name: second, Linkname: to, Typeflag: other, Mode: 0o755}} {
			if w.WriteHeader(&h) != nil {
				return
			}
		}
		if w.Close() != nil {
			return
		}
		dir := t.TempDir()
		s := oci.Open(filepath.Join(dir, "store"))
		layer := must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }))(t)
		digest, err := s.Add(must(mutate.AppendLayers(empty.Image, layer))(t))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Unpack(t.Context(), digest)
		for _, pattern := range []string{dir + "/*", dir + "/store/*"} {
			for _, found := range must(filepath.Glob(pattern))(t) {
				if !slices.Contains([]string{"store", "blobs", "images", "layers"}, filepath.Base(found)) {
					t.Errorf("it wrote %s", found)
				}
			}
		}
	})
}
