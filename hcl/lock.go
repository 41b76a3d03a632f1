package hcl

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// LockFile is the name of the file with the hashes of what an experiment takes
// from elsewhere. It belongs beside the experiment.
const LockFile = ".ainur.lock.hcl"

// Lock is the SHA-256, in hex, of each module's repository by GitSource.Path.
type Lock map[string]string

// ReadLock reads the lock file of a folder; without one it is empty.
func ReadLock(dir string) (Lock, error) {
	path := filepath.Join(dir, LockFile)
	src, err := readSource(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Lock{}, nil
	}
	if err != nil {
		return nil, err
	}
	body, problem := parseSource(src, path)
	if problem != nil {
		return nil, fmt.Errorf("%s: %s", path, problem.Summary)
	}
	lock := Lock{}
	for _, b := range body.Blocks {
		sum := b.Body.Attributes["sha256"]
		if b.Type != "module" || len(b.Labels) != 1 || sum == nil {
			return nil, fmt.Errorf("%s:%d: want module \"NAME\" { sha256 = \"...\" }: delete the file and run `ainur init`", path, b.TypeRange.Start.Line)
		}
		v, diags := sum.Expr.Value(nil)
		if diags.HasErrors() || v.Type() != cty.String || v.IsNull() {
			return nil, fmt.Errorf("%s:%d: sha256 is no text: delete the file and run `ainur init`", path, sum.NameRange.Start.Line)
		}
		lock[b.Labels[0]] = v.AsString()
	}
	return lock, nil
}

// Format is the lock file.
func (l Lock) Format() []byte {
	file := hclwrite.NewEmptyFile()
	file.Body().AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# Written by `ainur init`: what the experiment takes from elsewhere.\n")}})
	for _, name := range slices.Sorted(maps.Keys(l)) {
		file.Body().AppendNewline()
		b := file.Body().AppendNewBlock("module", []string{name})
		b.Body().SetAttributeValue("sha256", cty.StringVal(l[name]))
	}
	return file.Bytes()
}

// HashModule is the SHA-256 of a module's repository.
func HashModule(dir string) (string, error) { return hashFiles(dir, true) }

// locked checks a module that was fetched against the lock file.
func (m *Module) locked(s GitSource) error {
	lock, err := ReadLock(m.top.dir)
	if err != nil {
		return err
	}
	want, ok := lock[s.Path()]
	if !ok {
		return fmt.Errorf("it is not in %s: run `ainur init`", LockFile)
	}
	got, err := HashModule(filepath.Join(m.top.path(ModuleFolder), s.Path()))
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("its files are not those of %s: delete %s and run `ainur init`", LockFile, ModuleFolder)
	}
	return nil
}
