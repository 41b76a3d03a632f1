// Package hcl is the experiment language: files and variables become the
// experiment as plain data, or diagnostics that say what to change.
//
// A block is evaluated when something refers to it, so order in a file does
// not matter. There are three stages: validate, where the facts of hosts are
// unknown; plan, where they are known and every point of a sweep is evaluated;
// and result, where assert and output blocks see what a run measured.
package hcl

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/trace"
)

// Extension is how the name of an experiment file ends.
const Extension = ".ainur.hcl"

// Options of Load.
type Options struct {
	Vars     []string // "name=value", last wins
	VarFiles []string // last wins
	Environ  []string // os.Environ(): AINUR_VAR_name=value counts
	Policies Policies
	Facts    func(spec.Host) (spec.Facts, bool) // nil: no facts are known
}

// Policies are the registries that names are checked against.
type Policies struct{ Queue, KeepAlive, Balancer decode.Policy }

// Module is the files of one experiment folder, or one file.
type Module struct {
	root      string // folder that paths in the files start from
	opts      Options
	files     map[string]*hcl.File
	sources   []spec.Source
	blocks    map[addr]*hclsyntax.Block
	order     []addr // of blocks, in source order
	locals    map[string]*hclsyntax.Attribute
	variables map[string]variable
	functions map[string]function.Function
	traces    map[[2]string]traceFiles
	facts     map[string]hostFacts // by address
}

// traceFiles is what reading the files of a trace gave.
type traceFiles struct {
	*trace.Trace
	err error
}

// hostFacts are facts, if they were to be had.
type hostFacts struct {
	spec.Facts
	ok bool
}

// addr is a top-level block or a local: worker.pool, local.n.
type addr struct{ kind, name string }

func (a addr) String() string { return a.kind + "." + a.name }

// owner names the block in messages.
func (a addr) owner() string { return schema.Owner(a.kind, a.name) }

// Load reads a file, or every *.ainur.hcl of a folder, and the variables. The
// Module is never nil, so that diagnostics can be shown with their source;
// after errors it is good for nothing but that.
func Load(path string, opts Options) (*Module, hcl.Diagnostics) {
	m := &Module{
		opts: opts, files: map[string]*hcl.File{}, blocks: map[addr]*hclsyntax.Block{}, locals: map[string]*hclsyntax.Attribute{},
		variables: map[string]variable{}, traces: map[[2]string]traceFiles{}, facts: map[string]hostFacts{},
	}
	paths, err := m.find(path)
	if err != nil {
		return m, hcl.Diagnostics{diag.Problem{ID: "AIN1002", Summary: err.Error()}.Diagnostic()}
	}
	m.functions = funcs.All(m.root)
	var diags hcl.Diagnostics
	var bodies []*hclsyntax.Body
	for _, p := range paths {
		body, more := m.parse(p)
		diags = append(diags, more...)
		if body != nil {
			bodies = append(bodies, body)
		}
	}
	if diags.HasErrors() { // what is cut short cannot be checked
		return m, diags
	}
	for _, body := range bodies {
		diags = append(diags, schema.Check(body, schema.Root)...)
		diags = append(diags, m.checkCalls(body)...)
		diags = append(diags, m.declare(body)...)
	}
	if diags.HasErrors() {
		return m, diags
	}
	return m, append(diags, m.readVariables()...)
}

// find lists the files of path and sets the root folder.
func (m *Module) find(path string) ([]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		m.root = filepath.Dir(path)
		return []string{path}, nil
	}
	m.root = path
	files, err := filepath.Glob(filepath.Join(path, "*"+Extension))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s holds no *%s file", path, Extension)
	}
	return files, err
}

// parse reads one file; its body is nil when it cannot be used at all.
func (m *Module) parse(path string) (*hclsyntax.Body, hcl.Diagnostics) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, hcl.Diagnostics{diag.Problem{ID: "AIN1002", Summary: err.Error()}.Diagnostic()}
	}
	sum := sha256.Sum256(src)
	m.sources = append(m.sources, spec.Source{Path: path, SHA256: hex.EncodeToString(sum[:]), Bytes: src})
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	m.files[path] = &hcl.File{Bytes: src}
	for i, d := range diags {
		diags[i] = diag.From("AIN1001", d)
	}
	if diags.HasErrors() {
		return nil, diags[:1] // one error per mistake: what follows a syntax error is noise
	}
	return file.Body.(*hclsyntax.Body), diags
}

// checkCalls finds calls of functions that do not exist.
func (m *Module) checkCalls(body *hclsyntax.Body) (diags hcl.Diagnostics) {
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok {
			return nil
		}
		if _, known := m.functions[call.Name]; known {
			return nil
		}
		p := diag.Problem{ID: "AIN1330", Summary: fmt.Sprintf("there is no function %q", call.Name), At: &call.NameRange}
		if why, absent := funcs.Absent[call.Name]; absent {
			p.Notes = []diag.Note{diag.Remark("%s", why)}
		} else {
			p.Suggest = diag.Suggest(call.Name, funcs.Names())
		}
		diags = append(diags, p.Diagnostic())
		return nil
	})
	return diags
}

// declare indexes the blocks of a file by address.
func (m *Module) declare(body *hclsyntax.Body) (diags hcl.Diagnostics) {
	taken := func(a addr, at, first hcl.Range) {
		diags = append(diags, diag.Problem{
			ID: "AIN1109", Summary: fmt.Sprintf("%s is declared twice", a.owner()), At: &at,
			Related: []diag.Related{{At: first, Label: "the first is here"}},
		}.Diagnostic())
	}
	for _, b := range body.Blocks {
		a := addr{kind: b.Type}
		switch {
		case b.Type == "locals":
			for name, attr := range b.Body.Attributes {
				if first := m.locals[name]; first != nil {
					taken(addr{"local", name}, attr.NameRange, first.NameRange)
					continue
				}
				m.locals[name] = attr
			}
			continue
		case len(b.Labels) == 1:
			a.name = b.Labels[0]
		case b.Type != "ainur":
			continue // reported by schema.Check
		}
		if first := m.blocks[a]; first != nil {
			taken(a, b.DefRange(), first.DefRange())
			continue
		}
		m.blocks[a] = b
		m.order = append(m.order, a)
	}
	return diags
}

// Files are the sources by name, for diag.Write.
func (m *Module) Files() map[string]*hcl.File { return m.files }

// Experiments lists the experiments in source order.
func (m *Module) Experiments() []string { return m.names("experiment") }

// names lists the blocks of a kind in source order.
func (m *Module) names(kind string) []string {
	var names []string
	for _, a := range m.order {
		if a.kind == kind {
			names = append(names, a.name)
		}
	}
	return names
}

// path is p from the folder of the files, absolute.
func (m *Module) path(p string) string { return funcs.Abs(m.root, p) }

// pathValue is the value of `path`.
func (m *Module) pathValue() cty.Value {
	root := cty.StringVal(funcs.Abs(m.root, "."))
	return cty.ObjectVal(map[string]cty.Value{"root": root, "module": root, "cwd": cty.StringVal(funcs.Abs(".", "."))})
}

// roots are the names that a reference may begin with.
var roots = []string{"ainur", "balancer", "cluster", "experiment", "function", "load", "local", "path", "sweep", "trace", "var", "worker"}

// known lists what a reference with this root may name next.
func (m *Module) known(root string) []string {
	var names []string
	switch root {
	case "local":
		for name := range m.locals {
			names = append(names, name)
		}
	case "var":
		names = m.names("variable")
	default:
		names = m.names(root)
	}
	slices.Sort(names)
	return names
}

// kindOf is the kind of thing a root names, for messages.
func kindOf(root string) string {
	if root == "var" {
		return "variable"
	}
	return root
}
