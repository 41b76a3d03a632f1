package hcl

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// args is the argument object of a function as JSON, nil for an empty one.
func (b *builder) args(in *instance) json.RawMessage {
	v := decode.Get[cty.Value](in.Block, "args")
	if v == cty.NilVal || !v.IsWhollyKnown() {
		return nil
	}
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		at := in.Attrs["args"].Range
		b.report(diag.Problem{ID: "AIN1203", Summary: "args wants an object, got " + t.FriendlyName(), At: &at, Notes: []diag.Note{diag.Help("write args = { ms = 20 }")}})
		return nil
	}
	if v.LengthInt() == 0 {
		return nil
	}
	return marshal(v)
}

// source resolves, checks and hashes the code of a function.
func (b *builder) source(in *instance, f *spec.Function) {
	runtime, source := in.Attrs["runtime"], in.Attrs["source"]
	switch {
	case in.in.m.broken[addr{in.Type, in.Label}]:
	case runtime.Given && !source.Given:
		b.report(diag.Problem{ID: "AIN1110", Summary: in.Scope.Owner + " has a runtime and needs source", At: &in.Range, Notes: []diag.Note{diag.Help("source = \"./folder\": the code")}})
	case source.Given && !runtime.Given:
		at := source.Range
		b.report(diag.Problem{ID: "AIN1110", Summary: in.Scope.Owner + " has source and no runtime", At: &at, Notes: []diag.Note{diag.Help("write runtime = \"python3\" and leave out image and builtin")}})
	case !source.Given, f.Runtime == "", in.Unknown("source"):
	default:
		f.Source = in.in.m.path(decode.Get[string](in.Block, "source"))
		at := source.Range
		if err := checkSource(f.Runtime, f.Source); err != nil {
			b.report(diag.Problem{ID: "AIN1501", Summary: err.Error(), At: &at})
			return
		}
		sum, err := hashTree(f.Source)
		if err != nil {
			b.report(diag.Problem{ID: "AIN1501", Summary: err.Error(), At: &at})
		}
		f.SourceSHA256 = sum
	}
}

// localRefs are the kinds of references to images that have a path.
var localRefs = []string{"oci-dir", "oci-tar", "rootfs"}

// imageRef is a reference to an image with the path in it, if there is one, from
// the folder of the file.
func (m *Module) imageRef(ref string) string {
	if kind, path, ok := strings.Cut(ref, ":"); ok && slices.Contains(localRefs, kind) {
		return kind + ":" + m.path(path)
	}
	return ref
}

// requirements resolves and checks the file of packages of a function.
func (b *builder) requirements(in *instance, f *spec.Function) {
	at := in.Attrs["requirements"].Range
	f.Requirements = in.in.m.path(decode.Get[string](in.Block, "requirements"))
	switch info, err := os.Stat(f.Requirements); {
	case err != nil:
		b.report(diag.Problem{ID: "AIN1501", Summary: err.Error(), At: &at})
	case !info.Mode().IsRegular():
		b.report(diag.Problem{ID: "AIN1501", Summary: f.Requirements + " is no file", At: &at})
	case f.Runtime != "python3" || f.Base == "":
		b.report(diag.Problem{ID: "AIN1110", Summary: in.Scope.Owner + " has requirements, which are put on the base of a function in Python", At: &at, Notes: []diag.Note{
			diag.Help("write runtime = \"python3\" and base = \"deb:bookworm?include=python3-minimal,libpython3-stdlib\", or another image with python3"),
		}})
	}
}

// checkSource reports code that its runtime could not start.
func checkSource(runtime, path string) error {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("%s does not exist", path)
	case err != nil:
		return err
	case runtime == "exec", runtime == "wasm" && !info.IsDir():
		if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 && runtime == "exec" {
			return fmt.Errorf("%s is not an executable file", path)
		}
		return nil
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder, which runtime %s needs", path, runtime)
	}
	pattern := map[string]string{"python3": "main.py", "go": "*.go", "wasm": "*.go"}[runtime]
	if found, err := filepath.Glob(filepath.Join(path, pattern)); err != nil || len(found) == 0 {
		return fmt.Errorf("%s holds no %s, which runtime %s needs", path, pattern, runtime)
	}
	return nil
}

// hashTree is the SHA-256 over names and contents of the files at path, in
// lexical order, leaving out hidden ones and what Python caches.
func hashTree(path string) (string, error) { return hashFiles(path, false) }

// hashFiles is hashTree, with hidden files where they count.
func hashFiles(path string, hidden bool) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !hidden && name != path && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "__pycache__") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		return hashFile(sum, filepath.ToSlash(rel), name)
	})
	if err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// hashFile adds a name, a size and the content, so that no two trees run together.
func hashFile(w io.Writer, name, path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(w, "%s\x00%d\x00", name, info.Size())
	_, err = io.Copy(w, f)
	return err
}
