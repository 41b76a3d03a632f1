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
	"strings"

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
	Version  string            // of ainur, for required_version and ainur.version; "" is a development build, which may run everything
	Vars     []string          // "name=value", last wins
	VarFiles []string          // last wins
	Environ  []string          // os.Environ(): AINUR_VAR_name=value counts
	Overlay  map[string][]byte // contents that stand for those on disk, by path: what an editor holds
	Policies Policies
	Measured bool                               // durations of functions come from a finished run, not from their profiles
	Facts    func(spec.Host) (spec.Facts, bool) // nil: no facts are known
}

// Policies are the registries that names are checked against.
type Policies struct {
	Queue, KeepAlive, Concurrency, Dispatch, Prewarm, Estimate, GPUQueue, Placement, Balancer decode.Policy
}

// Module is the files of one experiment folder, or one file.
type Module struct {
	top       *Module // the one that was loaded; itself
	dir       string  // folder that paths in the files start from
	opts      Options
	sources   []spec.Source
	blocks    map[addr]*hclsyntax.Block
	order     []addr // of blocks, in source order
	locals    map[string]*hclsyntax.Attribute
	variables map[string]variable
	functions map[string]function.Function
	modules   map[string]*Module
	steps     int             // that for expressions have taken in the expression being evaluated
	broken    map[addr]bool   // blocks whose structure is wrong: what they lack has been said
	ghosts    map[string]bool // names of blocks that are not what they were meant to be

	// Of the top module.
	files  map[string]*hcl.File
	traces map[[2]string]traceFiles
	facts  map[string]hostFacts               // by address
	total  int                                // steps of for expressions so far
	hosts  func(spec.Host) (spec.Facts, bool) // that the last Experiment asked
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
func (a addr) owner() string {
	if a.name == "" {
		return schema.Owner(a.kind)
	}
	return schema.Owner(a.kind, a.name)
}

func newModule(dir string, opts Options, top *Module) *Module {
	m := &Module{
		dir: dir, opts: opts, top: top, blocks: map[addr]*hclsyntax.Block{}, locals: map[string]*hclsyntax.Attribute{},
		variables: map[string]variable{}, functions: funcs.All(dir), modules: map[string]*Module{},
		broken: map[addr]bool{}, ghosts: map[string]bool{},
	}
	if top == nil {
		m.top, m.files, m.traces, m.facts = m, map[string]*hcl.File{}, map[[2]string]traceFiles{}, map[string]hostFacts{}
	}
	return m
}

// Load reads a file, or every *.ainur.hcl and *.ainur.json of a folder, and the
// variables. The Module is never nil, so that diagnostics can be shown with
// their source. After errors it is good for that, and for Validate, which finds
// what else is wrong.
func Load(path string, opts Options) (*Module, hcl.Diagnostics) {
	dir, paths, err := find(path, opts.Overlay)
	m := newModule(dir, opts, nil)
	if err != nil {
		return m, hcl.Diagnostics{diag.Problem{ID: "AIN1002", Summary: err.Error()}.Diagnostic()}
	}
	diags := m.read(paths)
	if len(m.blocks) == 0 && diags.HasErrors() {
		return m, diags
	}
	diags = append(diags, m.checkVersion()...)
	diags = append(diags, m.loadModules(nil)...)
	return m, append(diags, m.readVariables()...)
}

// read parses, checks and indexes the files.
func (m *Module) read(paths []string) (diags hcl.Diagnostics) {
	var bodies []*hclsyntax.Body
	for _, p := range paths {
		body, problem := m.parse(p)
		if problem != nil {
			diags = append(diags, problem.Diagnostic())
			continue
		}
		bodies = append(bodies, body)
	}
	if diags.HasErrors() { // what is cut short cannot be checked
		return diags
	}
	own := map[string]bool{}
	for _, body := range bodies {
		wrong := schema.Check(body, schema.Root)
		m.noteBroken(body, wrong)
		diags = append(diags, wrong...)
		for _, b := range body.Blocks {
			own[b.Type+" "+strings.Join(b.Labels, " ")] = true
		}
	}
	for _, body := range bodies {
		diags = append(diags, m.checkCalls(body, own)...)
		diags = append(diags, m.declare(body)...)
	}
	for _, body := range bodies {
		m.bound(body)
		diags = append(diags, m.declareFunctions(body)...)
	}
	return diags
}

// noteBroken notes the blocks of a file that some diagnostic is in.
func (m *Module) noteBroken(body *hclsyntax.Body, wrong hcl.Diagnostics) {
	var starts []int
	for _, d := range wrong {
		if d.Subject != nil {
			starts = append(starts, d.Subject.Start.Byte)
		}
	}
	slices.Sort(starts)
	for _, b := range body.Blocks {
		if i, _ := slices.BinarySearch(starts, b.TypeRange.Start.Byte); i == len(starts) || starts[i] >= b.CloseBraceRange.End.Byte {
			continue
		}
		a := addr{kind: b.Type}
		if len(b.Labels) > 0 {
			a.name = b.Labels[0]
			m.ghosts[a.name] = true
		}
		m.broken[a] = true
	}
}

// find lists the files of path and the folder they are in. A folder has what
// is in the overlay, too.
func find(path string, overlay map[string][]byte) (dir string, files []string, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) && overlay[path] == nil {
		return filepath.Dir(path), nil, fmt.Errorf("%s does not exist", path)
	}
	if err != nil && overlay[path] == nil {
		return filepath.Dir(path), nil, err
	}
	if overlay[path] != nil || !info.IsDir() {
		return filepath.Dir(path), []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return path, nil, err
	}
	isOurs := func(name string) bool {
		return (strings.HasSuffix(name, Extension) || strings.HasSuffix(name, jsonExtension)) && !strings.HasPrefix(name, ".")
	}
	for _, e := range entries {
		if isOurs(e.Name()) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	for name := range overlay {
		if filepath.Dir(name) == filepath.Clean(path) && isOurs(filepath.Base(name)) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if len(files) == 0 {
		err = fmt.Errorf("%s holds no *%s file", path, Extension)
	}
	return path, files, err
}

// content is that of a file: what the overlay has, or what is on disk.
func (m *Module) content(path string) ([]byte, error) {
	if src, ok := m.opts.Overlay[path]; ok {
		return src, nil
	}
	return readSource(path)
}

// readSource reads a regular file of no more than a source may have: no pipe,
// no device.
func readSource(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Size() > maxSource:
		return nil, fmt.Errorf("%s has %d MiB, and %d are read", path, info.Size()>>20, maxSource>>20)
	}
	return os.ReadFile(path)
}

// parse reads one file.
func (m *Module) parse(path string) (*hclsyntax.Body, *diag.Problem) {
	src, err := m.content(path)
	if err != nil {
		return nil, &diag.Problem{ID: "AIN1002", Summary: err.Error()}
	}
	sum := sha256.Sum256(src)
	m.top.sources = append(m.top.sources, spec.Source{Path: path, SHA256: hex.EncodeToString(sum[:]), Bytes: src})
	m.top.files[path] = &hcl.File{Bytes: src}
	return parseSource(src, path)
}

// checkCalls finds calls of functions that do not exist. A func may call those
// of the language only.
func (m *Module) checkCalls(body *hclsyntax.Body, own map[string]bool) (diags hcl.Diagnostics) {
	in := func(kind string, at hcl.Range) bool {
		return slices.ContainsFunc(body.Blocks, func(b *hclsyntax.Block) bool {
			return b.Type == kind && hcl.RangeBetween(b.TypeRange, b.CloseBraceRange).ContainsOffset(at.Start.Byte)
		})
	}
	types := map[string]bool{} // list(string) is no call
	for _, b := range body.Blocks {
		if t := b.Body.Attributes["type"]; t != nil && b.Type == "variable" {
			_ = hclsyntax.VisitAll(t.Expr, func(n hclsyntax.Node) hcl.Diagnostics {
				types[n.Range().String()] = true
				return nil
			})
		}
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || types[call.Range().String()] {
			return nil
		}
		if _, known := m.functions[call.Name]; known || len(diags) >= maxUnknownCalls {
			return nil
		}
		p := diag.Problem{ID: "AIN1330", Summary: fmt.Sprintf("there is no function %q", call.Name), At: &call.NameRange}
		why, absent := funcs.Absent[call.Name]
		switch {
		case call.Name == "env" && in("variable", call.NameRange), own["func "+call.Name] && !in("func", call.NameRange):
			return nil
		case call.Name == "env":
			p.Summary = "env() is for the default of a variable"
			p.Notes = []diag.Note{diag.Remark("an experiment that reads the environment elsewhere cannot be repeated"), diag.Help(`write variable "x" { default = env("X") }, and var.x here`)}
		case own["func "+call.Name]:
			p.Summary = fmt.Sprintf("a func cannot call the func %q", call.Name)
			p.Notes = []diag.Note{diag.Remark("it may call the functions of the language")}
		case absent:
			p.Notes = []diag.Note{diag.Remark("%s", why)}
		default:
			p.Suggest = diag.Suggest(call.Name, funcs.Names())
			p = p.Rename(call.NameRange, call.Name)
		}
		diags = append(diags, p.Diagnostic())
		return nil
	})
	if len(diags) >= maxUnknownCalls {
		m.top.total = maxTotal + 1 // to evaluate it is a waste
	}
	return diags
}

// maxUnknownCalls bounds the diagnostics about calls in one file.
const maxUnknownCalls = 1000

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
		case block(b.Type) == nil, len(b.Labels) != 1 && b.Type != "ainur", len(b.Labels) == 1 && !hclsyntax.ValidIdentifier(b.Labels[0]):
			continue // reported by schema.Check
		case len(b.Labels) == 1:
			a.name = b.Labels[0]
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
func (m *Module) path(p string) string { return funcs.Abs(m.dir, p) }

// pathValue is the value of `path`.
func (m *Module) pathValue() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"root": cty.StringVal(funcs.Abs(m.top.dir, ".")), "module": cty.StringVal(funcs.Abs(m.dir, ".")), "cwd": cty.StringVal(funcs.Abs(".", ".")),
	})
}

// roots are the names that a reference may begin with.
var roots = []string{
	"ainur", "balancer", "cluster", "collect", "experiment", "function", "load", "local", "module", "path", "report", "secret", "simulate", "sweep", "trace", "var", "worker",
}

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
	case "ainur", "path":
	default:
		names = m.names(root)
	}
	slices.Sort(names)
	return names
}

// has reports whether a reference with this root may name name next.
func (m *Module) has(root, name string) bool {
	switch root {
	case "local":
		return m.locals[name] != nil
	case "var":
		root = "variable"
	case "ainur":
		return false
	}
	return m.blocks[addr{root, name}] != nil
}

// kindOf is the kind of thing a root names, for messages.
func kindOf(root string) string {
	if root == "var" {
		return "variable"
	}
	return root
}
