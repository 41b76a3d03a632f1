package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/testenv"
)

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
	for name, files := range map[string][]file{
		"parent":             {text("../../../../../../../../.."+outside, "x")},
		"absolute":           {text(outside, "x")},
		"through a link":     {link("l", filepath.Dir(outside)), text("l/outside", "x")},
		"through a relative": {link("l", "../../../../../../../../.."+filepath.Dir(outside)), text("l/outside", "x")},
		"a link over itself": {link("l", filepath.Dir(outside)), text("l", "x"), text("l/outside", "x")},
		"hard link":          {file{Header: tar.Header{Name: "h", Linkname: outside, Typeflag: tar.TypeLink, Mode: 0o777}}, text("h", "x")},
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

// A link in an image leads nowhere outside it, and what a layer removes is not there.
func TestProgram(t *testing.T) {
	testenv.Require(t, testenv.Root)
	s := open(t)
	unpack := func(i v1.Image) oci.Root {
		return must(s.Unpack(t.Context(), must(s.Add(i))(t)))(t)
	}
	if got := unpack(image(t, []file{link("usr/bin", "/usr/bin"), link("bin", "../../../../bin")})).Program("sh"); got != "" {
		t.Errorf("it found %s on this host", got)
	}
	below := []file{program("usr/bin/tool"), link("bin", "usr/bin")}
	for name, tt := range map[string]struct {
		above [][]file
		want  string
	}{
		"there":            {nil, "/usr/bin/tool"},
		"removed":          {[][]file{{text("usr/bin/.wh.tool", "")}}, ""},
		"folder removed":   {[][]file{{text("usr/.wh.bin", "")}}, ""},
		"folder replaced":  {[][]file{{text("usr/.wh.bin", "")}, {program("usr/bin/other")}}, ""},
		"folder hidden":    {[][]file{{text("usr/bin/.wh..wh..opq", "")}}, ""},
		"hidden by a link": {[][]file{{link("usr", "/nowhere")}}, ""},
		"not executable":   {[][]file{{text("usr/bin/tool", "")}}, ""},
		"the same again":   {[][]file{{text("usr/bin/.wh.tool", "")}, below}, "/usr/bin/tool"},
	} {
		root := unpack(image(t, append([][]file{below}, tt.above...)...))
		if got := root.Program("tool"); got != tt.want {
			t.Errorf("%s: it found %q, want %q", name, got, tt.want)
		}
		if got := inOverlay(t, root, "tool"); got != tt.want {
			t.Errorf("%s: overlay has %q, want %q", name, got, tt.want)
		}
	}
}

func program(name string) file {
	f := text(name, "#!")
	f.Mode = 0o755
	return f
}

func link(name, to string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}, ""}
}

func folder(name string) file {
	return file{tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}

// Programs are found where the kernel finds them in the layers that overlay has put together.
func TestProgramIsThatOfOverlay(t *testing.T) {
	testenv.Require(t, testenv.Root)
	names := rapid.SampledFrom([]string{"bin", "usr", "usr/bin", "bin/tool", "usr/bin/tool", "tool"})
	targets := rapid.SampledFrom([]string{"usr/bin", "/usr/bin", "../bin", "../../../../../bin", "tool", "/usr/../bin/./tool", "/bin/tool", ".", "../../tool", "/etc"})
	rapid.Check(t, func(r *rapid.T) {
		var layers [][]file
		for range rapid.IntRange(1, 3).Draw(r, "layers") {
			var files []file
			seen := map[string]bool{}
			for range rapid.IntRange(1, 6).Draw(r, "files") {
				name := names.Draw(r, "name")
				switch kind := rapid.SampledFrom([]string{"program", "text", "folder", "link", "removed", "opaque"}).Draw(r, "kind"); {
				case seen[name]:
				case kind == "program":
					files = append(files, program(name))
				case kind == "text":
					files = append(files, text(name, "x"))
				case kind == "folder":
					files = append(files, folder(name))
				case kind == "link":
					files = append(files, link(name, targets.Draw(r, "to")))
				case kind == "removed":
					files = append(files, text(path.Join(path.Dir(name), ".wh."+path.Base(name)), ""))
				default:
					files = append(files, text(name+"/.wh..wh..opq", ""))
				}
				seen[name] = true
			}
			layers = append(layers, files)
		}
		s := oci.Open(filepath.Join(t.TempDir(), "store"))
		digest, err := s.Add(image(t, layers...))
		if err != nil {
			r.Fatal(err)
		}
		root, err := s.Unpack(t.Context(), digest)
		if err != nil {
			r.Skip(err) // such as a file below a file
		}
		if got, want := root.Program("tool"), inOverlay(t, root, "tool"); got != want {
			r.Errorf("%q, and in overlay it is %q", got, want)
		}
	})
}

// inOverlay is Program as the kernel sees it.
func inOverlay(t *testing.T, root oci.Root, name string) string {
	t.Helper()
	at := t.TempDir()
	lower := append(slices.Clone(root.Layers), t.TempDir())
	slices.Reverse(lower)
	if err := unix.Mount("overlay", at, "overlay", unix.MS_NOSUID|unix.MS_NODEV, "lowerdir="+strings.Join(lower, ":")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}()
	dir, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for folder := range strings.SplitSeq(oci.Path, ":") {
		fd, err := unix.Openat2(int(dir.Fd()), path.Join(folder, name), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
		if err != nil {
			continue
		}
		var stat unix.Stat_t
		err = unix.Fstat(fd, &stat)
		if closeErr := unix.Close(fd); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		if stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Mode&0o111 != 0 {
			return path.Join(folder, name)
		}
	}
	return ""
}

// layered is an image of one layer, which is compressed.
func layered(t *testing.T, layer []byte) v1.Image {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	made := must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }))(t)
	return must(mutate.AppendLayers(empty.Image, made))(t)
}

// hole is an archive of a file that is nothing but a hole, in GNU tar's format 1.0, which
// archive/tar reads and does not write.
func hole(size int64) []byte {
	block := func(content string) []byte { return append([]byte(content), make([]byte, -len(content)&511)...) }
	header := func(kind byte, size int) []byte {
		h := make([]byte, 512)
		copy(h, "a")
		copy(h[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00        %c", 0o644, 0, 0, size, 0, kind))
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		return h
	}
	var records strings.Builder
	for _, r := range []string{"major=1", "minor=0", "name=a", fmt.Sprintf("realsize=%d", size)} {
		record := " GNU.sparse." + r + "\n" // of a length that has two digits, as all of them
		records.WriteString(fmt.Sprint(len(record)+2) + record)
	}
	holes := fmt.Sprintf("1\n%d\n0\n", size)
	return slices.Concat(header('x', records.Len()), block(records.String()), header('0', 512), block(holes), make([]byte, 1024))
}

// devices is an archive of so many of them.
func devices(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(b.Bytes(), n)
}

// What is made to fill a host is refused, and nothing of it is left.
func TestUnpackRefuses(t *testing.T) {
	testenv.Require(t, testenv.Root)
	many := make([][]file, oci.MaxLayers+1)
	for n := range many {
		many[n] = []file{text("a", strings.Repeat("x", n))}
	}
	for want, made := range map[string]v1.Image{
		"over 1000000 files":       layered(t, devices(t, oci.MaxFiles+1)), // not made, but counted
		"over 32 GiB in its files": layered(t, hole(oci.MaxUnpacked+1)),
		"below over 255 folders":   image(t, []file{text(strings.Repeat("d/", oci.MaxDepth+1)+"f", "")}),
		"has 128 layers":           image(t, many...),
	} {
		t.Run(want, func(t *testing.T) {
			s := open(t)
			if _, err := s.Unpack(t.Context(), must(s.Add(made))(t)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v", err)
			}
			if left, _ := os.ReadDir(filepath.Join(s.Dir(), "layers")); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// Nobody but root comes to what an image has brought on this host, where it has no devices.
func TestUnpackKeepsToRoot(t *testing.T) {
	testenv.Require(t, testenv.Root)
	s := open(t)
	escalate := program("bin/su")
	escalate.Mode = 0o4755
	disk := file{Header: tar.Header{Name: "dev/disk", Typeflag: tar.TypeBlock, Mode: 0o666, Devmajor: 8}}
	root := must(s.Unpack(t.Context(), must(s.Add(image(t, []file{escalate, disk, text("dev/x", "")})))(t)))(t)
	if found, _ := os.ReadDir(filepath.Join(root.Layers[0], "dev")); len(found) != 1 {
		t.Errorf("in /dev are %v", found)
	}
	for dir := root.Layers[0]; dir != s.Dir(); dir = filepath.Dir(dir) {
		if info := must(os.Stat(dir))(t); info.Mode().Perm() == 0o700 {
			return
		}
	}
	t.Error("another user may go to its files")
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
				if !slices.Contains([]string{"store", "blobs", "images", "layers", "lock"}, filepath.Base(found)) {
					t.Errorf("it wrote %s", found)
				}
			}
		}
	})
}
