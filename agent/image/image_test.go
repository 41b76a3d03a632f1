package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// tree is a folder by the paths of its files. Content that begins with #! is
// executable, and content that begins with -> is a symbolic link.
type tree map[string]string

func (files tree) write(t testing.TB, dir string) string {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if target, link := strings.CutPrefix(content, "->"); link {
			err = errors.Join(err, os.Symlink(target, file))
		} else if strings.HasPrefix(content, "#!") {
			err = errors.Join(err, os.WriteFile(file, []byte(content), 0o755))
		} else {
			err = errors.Join(err, os.WriteFile(file, []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read is the tree below dir; a mode other than write makes is an error.
func read(t testing.TB, dir string) tree {
	t.Helper()
	files := tree{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if executable := strings.HasPrefix(string(content), "#!"); err == nil && executable != (info.Mode().Perm() == 0o755) {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		name, relErr := filepath.Rel(dir, path)
		files[name] = string(content)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func stage(t testing.TB, runtime, source string) (code []byte, digest string) {
	t.Helper()
	code, digest, err := image.Stage(t.Context(), spec.Function{Name: "f", Runtime: runtime, Source: source})
	if err != nil {
		t.Fatal(err)
	}
	return code, digest
}

func TestStageAndUnpack(t *testing.T) {
	script := tree{"greet": "#!/bin/sh\n"}.write(t, t.TempDir())
	for name, tt := range map[string]struct {
		runtime string
		source  string // below the folder
		files   tree
		want    tree
	}{
		"python3": {
			"python3", "",
			tree{"main.py": "def main(args): pass\n", "lib/a.py": "a = 1\n", "lib/empty": "", "__pycache__/main.pyc": "x", "lib/__pycache__/a.pyc": "x", ".git/HEAD": "x"},
			tree{"main.py": "def main(args): pass\n", "lib/a.py": "a = 1\n", "lib/empty": ""},
		},
		"link inside":     {"python3", "", tree{"main.py": "->real.py", "real.py": "x"}, tree{"main.py": "x", "real.py": "x"}},
		"folder of exec":  {"exec", "", tree{"function": "#!/bin/sh\n", "data": "1"}, tree{"function": "#!/bin/sh\n", "data": "1"}},
		"file of exec":    {"exec", "run.sh", tree{"run.sh": "#!/bin/sh\n", "data": "1"}, tree{"function": "#!/bin/sh\n"}},
		"link to an exec": {"exec", "run", tree{"run": "->" + script + "/greet"}, tree{"function": "#!/bin/sh\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, _ := stage(t, tt.runtime, filepath.Join(tt.files.write(t, t.TempDir()), tt.source))
			dir := filepath.Join(t.TempDir(), "made", "code")
			if err := image.Unpack(code, dir); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, read(t, dir)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The digest names the content: neither where nor when it was written matters.
func TestDigest(t *testing.T) {
	files := tree{"main.py": "def main(args): pass\n", "a/b": "1"}
	one, other := files.write(t, t.TempDir()), files.write(t, t.TempDir())
	if err := os.Chtimes(filepath.Join(other, "a", "b"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(other, "a", "b"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, want := stage(t, "python3", one)
	if _, got := stage(t, "python3", other); got != want {
		t.Errorf("the same content has digests %s and %s", want, got)
	}
	if err := os.Chmod(filepath.Join(other, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, got := stage(t, "python3", other); got == want {
		t.Error("an executable file has the digest of one that is not")
	}
}

func TestStageErrors(t *testing.T) {
	outside := t.TempDir()
	pipe := tree{"main.py": "x"}.write(t, t.TempDir())
	if err := syscall.Mkfifo(filepath.Join(pipe, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		runtime string
		source  string
		want    []string
	}{
		"no folder":          {"python3", filepath.Join(outside, "nothing"), []string{"nothing: no such file"}},
		"no main.py":         {"python3", tree{"app.py": "x"}.write(t, t.TempDir()), []string{"main.py: no such file", "main(args)"}},
		"folder main.py":     {"python3", tree{"main.py/x": "x"}.write(t, t.TempDir()), []string{"main.py is no file"}},
		"link out":           {"python3", tree{"main.py": "x", "data": "->" + outside}.write(t, t.TempDir()), []string{"data is a link out of the folder, to " + outside}},
		"link to a folder":   {"python3", tree{"main.py": "x", "lib/a": "a", "lib64": "->lib"}.write(t, t.TempDir()), []string{"lib64 is a link to a folder"}},
		"link to nothing":    {"python3", tree{"main.py": "x", "gone": "->nothing"}.write(t, t.TempDir()), []string{"no such file"}},
		"pipe":               {"python3", pipe, []string{"pipe is neither a file nor a folder"}},
		"exec without it":    {"exec", tree{"run": "#!/bin/sh"}.write(t, t.TempDir()), []string{"function: no such file", "a folder with one named function"}},
		"not executable":     {"exec", tree{"function": "x"}.write(t, t.TempDir()), []string{"chmod +x"}},
		"device":             {"exec", os.DevNull, []string{"is no file"}},
		"go from a file":     {"go", tree{"main.go": "package main"}.write(t, t.TempDir()) + "/main.go", []string{"main.go is no folder"}},
		"runtime of nothing": {"cobol", outside, []string{`runtime "cobol"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := image.Stage(t.Context(), spec.Function{Name: "f", Runtime: tt.runtime, Source: tt.source})
			says(t, err, tt.want...)
		})
	}
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v\ndoes not say %q", err, word)
		}
	}
}

const (
	sdkMain = "package main\n\nimport \"github.com/ainur-faas/ainur/agent/shim/fn\"\n\nfunc main() { fn.Serve(nil) }\n"
	libMain = "package main\n\nimport (\n\t\"example.com/lib\"\n\t\"example.com/own/part\"\n\n\t\"github.com/ainur-faas/ainur/agent/shim/fn\"\n)\n\nfunc main() { fn.Serve(lib.F(part.X)) }\n"
	libGo   = "package lib\n\nimport \"context\"\n\nfunc F(x any) func(context.Context, map[string]any) (any, error) {\n\treturn func(context.Context, map[string]any) (any, error) { return x, nil }\n}\n"
)

func TestStageGo(t *testing.T) {
	testenv.Require(t, testenv.Go)
	for name, tt := range map[string]struct {
		files  tree
		folder string
	}{
		"folder alone": {tree{"main.go": sdkMain}, "."},
		"own module": {tree{
			"fn/go.mod":       "module example.com/own\n\ngo 1.21\n\nrequire (\n\texample.com/lib v0.0.0\n\tgithub.com/ainur-faas/ainur v0.9.0\n)\n\nreplace example.com/lib => ../lib\n",
			"fn/main.go":      libMain,
			"fn/part/part.go": "package part\n\nconst X = 1\n",
			"lib/go.mod":      "module example.com/lib\n\ngo 1.21\n", "lib/lib.go": libGo,
		}, "fn"},
		"package of a module": {tree{
			"go.mod":     "module example.com/own\n\ngo 1.22\n\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => ./lib\n",
			"cmd/f/a.go": libMain, "part/part.go": "package part\n\nconst X = 2\n",
			"lib/go.mod": "module example.com/lib\n\ngo 1.21\n", "lib/lib.go": libGo,
		}, "cmd/f"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := tt.files.write(t, t.TempDir()), tt.files.write(t, t.TempDir())
			_, want := stage(t, "go", filepath.Join(one, tt.folder))
			if _, got := stage(t, "go", filepath.Join(other, tt.folder)); got != want {
				t.Error("two builds of the same code differ")
			}
			if diff := cmp.Diff(tt.files, read(t, one)); diff != "" {
				t.Errorf("the build has changed the folder (-before +after):\n%s", diff)
			}
		})
	}
}

func TestStageGoErrors(t *testing.T) {
	testenv.Require(t, testenv.Go)
	for name, tt := range map[string]struct {
		files tree
		want  []string
	}{
		"does not compile": {tree{"main.go": "package main\n\nfunc main() {\n\tx := y\n}\n"}, []string{"./main.go:4:7: undefined: y"}},
		"no main":          {tree{"lib.go": "package lib\n"}, []string{"is no main package", "fn.Serve"}},
		"no Go":            {tree{"main.py": "x"}, []string{"no Go files"}},
		"unknown import":   {tree{"main.go": "package main\n\nimport _ \"example.com/nothing\"\n\nfunc main() {}\n"}, []string{"main.go:3:8", "example.com/nothing"}},
		"bad go.mod":       {tree{"go.mod": "modul x\n", "main.go": sdkMain}, []string{"unknown directive: modul"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := image.Stage(t.Context(), spec.Function{Name: "f", Runtime: "go", Source: tt.files.write(t, t.TempDir())})
			says(t, err, tt.want...)
		})
	}
}

// pack makes an archive that Stage would not.
func pack(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Flush() // the content that headers promise is missing
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpackRefuses(t *testing.T) {
	good, _ := stage(t, "python3", tree{"main.py": "def main(args): pass\n"}.write(t, t.TempDir()))
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	for name, tt := range map[string]struct {
		code []byte
		want string
	}{
		"nothing":          {nil, "unsafe archive: EOF"},
		"no gzip":          {[]byte("PK and more than ten bytes"), "unsafe archive: gzip: invalid header"},
		"cut":              {good[:len(good)-4], "unexpected EOF"},
		"changed":          {bytes.Replace(good, good[len(good)-8:], make([]byte, 8), 1), "invalid checksum"},
		"parent":           {pack(t, file("../x")), `"../x" is no file below the folder`},
		"hidden parent":    {pack(t, file("a/../../x")), "is no file below"},
		"absolute":         {pack(t, file("/etc/x")), "is no file below"},
		"symbolic link":    {pack(t, tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "is no file below"},
		"hard link":        {pack(t, tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), "is no file below"},
		"device":           {pack(t, tar.Header{Name: "x", Typeflag: tar.TypeChar}), "is no file below"},
		"itself":           {pack(t, file(".")), "exists"},
		"twice":            {pack(t, file("x"), file("x")), "exists"},
		"file as a folder": {pack(t, file("x"), file("x/y")), "file exists"},
		"too large":        {pack(t, tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: image.MaxSize + 1}), "512 MiB"},
		"content missing":  {pack(t, tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: 10}), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			says(t, image.Unpack(tt.code, filepath.Join(parent, "code")), tt.want)
			if left := read(t, parent); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
			if left, _ := os.ReadDir(parent); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// Unpack does not mix the code of two functions.
func TestUnpackOverAnother(t *testing.T) {
	code, _ := stage(t, "python3", tree{"main.py": "1"}.write(t, t.TempDir()))
	parent := t.TempDir()
	dir := tree{"other.py": "2"}.write(t, filepath.Join(parent, "code"))
	if err := image.Unpack(code, dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v, want one that something exists", err)
	}
	if diff := cmp.Diff(tree{"code/other.py": "2"}, read(t, parent)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What goes in comes out.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		parent, err := os.MkdirTemp(t.TempDir(), "case-")
		if err != nil {
			r.Fatal(err)
		}
		names := rapid.SliceOfN(rapid.StringMatching(`[a-zé .-]{1,3}[a-z]`), 0, 5).Draw(r, "names")
		files := tree{"main.py": "x"}
		for i, name := range names {
			folder := strings.Repeat("d/", i%3)
			files[folder+name] = rapid.StringMatching(`(#!)?[a-z\x00]{0,600}`).Draw(r, "content")
		}
		code, _ := stage(t, "python3", files.write(t, filepath.Join(parent, "source")))
		if err := image.Unpack(code, filepath.Join(parent, "code")); err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(files, read(t, filepath.Join(parent, "code"))); diff != "" {
			r.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// FuzzUnpack looks for two entries that together get out of the folder, or
// leave half of it.
func FuzzUnpack(f *testing.F) {
	f.Add(byte(tar.TypeReg), "a/b", "", byte(tar.TypeReg), "a/c", int64(0o755))
	f.Add(byte(tar.TypeSymlink), "a", "../..", byte(tar.TypeReg), "a/escaped", int64(0o644))
	f.Add(byte(tar.TypeDir), "..", "", byte(tar.TypeLink), "./../escaped", int64(0o7777))
	f.Fuzz(func(t *testing.T, kind byte, name, link string, kind2 byte, name2 string, mode int64) {
		var code bytes.Buffer
		z, err := gzip.NewWriterLevel(&code, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(z)
		for _, h := range []tar.Header{{Typeflag: kind, Name: name, Linkname: link, Mode: mode}, {Typeflag: kind2, Name: name2, Mode: mode}} {
			if w.WriteHeader(&h) != nil {
				t.Skip() // no archive can hold it
			}
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Skip()
		}
		parent := t.TempDir()
		err = image.Unpack(code.Bytes(), filepath.Join(parent, "code"))
		entries, readErr := os.ReadDir(parent)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if len(entries) > 1 || (len(entries) == 1) != (err == nil) {
			t.Errorf("%v is there after %v", entries, err)
		}
	})
}
