package oci_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/agent/image/bytecode"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func source(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBuildPython(t *testing.T) {
	store, base := ocitest.Python(t)
	build := func() string {
		code := source(t, "main.py", "import helper\ndef main(args):\n    return helper.x\n")
		if err := os.WriteFile(filepath.Join(code, "helper.py"), []byte("x = 1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return must(store.Build(t.Context(), oci.BuildOptions{Base: base, Compile: bytecode.Compiler(store), Function: spec.Function{Runtime: "python3", Source: code}, Note: func(text string) { t.Error(text) }}))(t)
	}
	digest := build()
	if again := build(); again != digest {
		t.Errorf("the same code in another folder is %s, not %s", again, digest)
	}
	root := must(store.Unpack(t.Context(), digest))(t)
	if below := must(store.Unpack(t.Context(), base))(t); !slices.Equal(root.Layers[:len(below.Layers)], below.Layers) {
		t.Errorf("the base is not shared: %v, %v", root.Layers, below.Layers)
	}
	top := root.Layers[len(root.Layers)-1]
	if found := must(filepath.Glob(top + "/ainur/code/__pycache__/*.pyc"))(t); len(found) != 2 {
		t.Errorf("bytecode: %v", found)
	}
	if got := strings.Join(root.Config.Entrypoint, " "); got != "python3 -u /ainur/shim.py" {
		t.Errorf("it runs %s", got)
	}
}

func TestBuildGo(t *testing.T) {
	testenv.Require(t, testenv.Go)
	s := open(t)
	build := func() string {
		return must(s.Build(t.Context(), oci.BuildOptions{Function: spec.Function{Runtime: "go", Source: source(t, "main.go", "package main\nfunc main() {}\n")}}))(t)
	}
	digest := build()
	if again := build(); again != digest {
		t.Errorf("built again it is %s, not %s", again, digest)
	}
	for _, to := range []string{"oci-dir:" + t.TempDir() + "/dir", "oci-tar:" + t.TempDir() + "/image.tar"} {
		for range 2 { // the second replaces the first
			if err := s.Export(digest, to); err != nil {
				t.Fatal(err)
			}
		}
		other := open(t)
		got := must(other.Pull(t.Context(), to))(t)
		if strings.HasPrefix(to, "oci-dir:") && got != digest {
			t.Errorf("%s is %s, not %s", to, got, digest)
		}
	}
	if err := s.Export(digest, "nowhere"); err == nil || !strings.Contains(err.Error(), "oci-dir:PATH") {
		t.Errorf("to nowhere: %v", err)
	}
	if err := s.Remove(digest); err != nil {
		t.Fatal(err)
	}
	if left := must(s.List())(t); slices.Contains(left, digest) {
		t.Errorf("it is still there: %v", left)
	}
}

func TestBuildRefuses(t *testing.T) {
	s := open(t)
	python := source(t, "main.py", "def main(args): pass\n")
	for want, o := range map[string]oci.BuildOptions{
		"needs a base with python3":          {Function: spec.Function{Runtime: "python3", Source: python}},
		"no such file":                       {Function: spec.Function{Runtime: "python3", Source: "/nowhere"}},
		"requirements are of runtime python": {Function: spec.Function{Runtime: "exec", Source: source(t, "function", "#!/bin/sh\n")}, Requirements: "x"},
	} {
		if _, err := s.Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Packages come with the image, for whatever runs code on it.
func TestWithPackages(t *testing.T) {
	store, base := ocitest.Python(t)
	wheel := source(t, "thing-1.0-py3-none-any.whl", "")
	if out, err := exec.Command("python3", "-c", `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z:
    z.writestr("thing.py", "x = 42\n")
    z.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    z.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr("thing-1.0.dist-info/RECORD", "")
`, filepath.Join(wheel, "thing-1.0-py3-none-any.whl")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if exec.Command("python3", "-m", "pip", "--version").Run() != nil {
		t.Skip("needs pip")
	}
	requirements := filepath.Join(source(t, "requirements.txt", "--no-index\n--find-links "+wheel+"\nthing\n"), "requirements.txt")
	digest := must(store.WithPackages(t.Context(), base, requirements))(t)
	if again := must(store.WithPackages(t.Context(), base, requirements))(t); again != digest {
		t.Errorf("installed again it is %s, not %s", again, digest)
	}
	root := must(store.Unpack(t.Context(), digest))(t)
	if _, err := os.Stat(filepath.Join(root.Layers[len(root.Layers)-1], "ainur/packages/thing.py")); err != nil {
		t.Error(err)
	}
	if !slices.Contains(root.Config.Env, "PYTHONPATH=/ainur/packages") {
		t.Errorf("environment %v", root.Config.Env)
	}
}

// What pip says of an index that is not there comes with the way out.
func TestBuildWithoutIndex(t *testing.T) {
	store, base := ocitest.Python(t)
	t.Setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
	t.Setenv("PIP_RETRIES", "0")
	requirements := filepath.Join(t.TempDir(), "requirements.txt")
	if err := os.WriteFile(requirements, []byte("six\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := store.Build(t.Context(), oci.BuildOptions{
		Base: base, Requirements: requirements,
		Function: spec.Function{Runtime: "python3", Source: source(t, "main.py", "def main(args): pass\n")},
	})
	if err == nil || !strings.Contains(err.Error(), "from http://127.0.0.1:1/simple") || !strings.Contains(err.Error(), "PIP_INDEX_URL") {
		t.Errorf("%v", err)
	}
}

// Who made a base has no more of this host than a function has, while its Python compiles.
func TestBuildWithHostileBase(t *testing.T) {
	store, base := ocitest.Python(t)
	marker := filepath.Join(t.TempDir(), "was-here")
	evil := must(store.Image(base))(t)
	site := "import os\ntry:\n    open(" + strconv.Quote(marker) + ", 'w')\nexcept OSError:\n    pass\ntry:\n    os.kill(" + strconv.Itoa(os.Getpid()) + ", 10)\nexcept OSError:\n    pass\n"
	layer := must(oci.Folder(source(t, "sitecustomize.py", site), "usr/lib/python3.11"))(t)
	base = must(store.Add(must(oci.Append(evil, layer))(t)))(t)
	if _, err := store.Build(t.Context(), oci.BuildOptions{
		Base: base, Compile: bytecode.Compiler(store), Function: spec.Function{Runtime: "python3", Source: source(t, "main.py", "def main(args): pass\n")},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("it wrote a file of this host")
	}
}

// Packages are for the Python of the base, also where nobody may unpack it; without one they are for none.
func TestPackagesWithoutPython(t *testing.T) {
	s := open(t)
	digest := must(s.Add(image(t, []file{text("etc/x", "")})))(t)
	requirements := filepath.Join(source(t, "requirements.txt", "six\n"), "requirements.txt")
	if _, err := s.WithPackages(t.Context(), digest, requirements); err == nil || !strings.Contains(err.Error(), "has no python3") {
		t.Errorf("%v", err)
	}
}
