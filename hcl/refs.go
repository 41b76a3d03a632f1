package hcl

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/graph"
	"github.com/ainur-faas/ainur/hcl/schema"
)

// References is the blocks, locals and variables of the files, and which of
// them names which. Nothing is evaluated, so it is to be had of files with
// mistakes. Edges that make blocks need each other are marked.
func (m *Module) References() graph.Graph {
	places := map[addr]hcl.Range{}
	for a, b := range m.blocks {
		if a.name != "" {
			places[a] = b.DefRange()
		}
	}
	for name, attr := range m.locals {
		places[addr{"local", name}] = attr.NameRange
	}
	var all []addr
	for a := range places {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b addr) int {
		x, y := places[a], places[b]
		return cmp.Or(cmp.Compare(x.Filename, y.Filename), cmp.Compare(x.Start.Byte, y.Start.Byte))
	})
	var g graph.Graph
	w := walker{m: m, all: all, exists: map[addr]int{}}
	for i, a := range all {
		g.Nodes = append(g.Nodes, graph.Node{ID: a.reference(), Label: a.name, Kind: a.kind})
		w.exists[a] = i
	}
	var early []bool // by edge
	for _, a := range all {
		w.early = map[addr]bool{}
		w.visit(a)
		for _, i := range w.positions() {
			g.Edges = append(g.Edges, graph.Edge{From: a.reference(), To: all[i].reference()})
			early = append(early, w.early[all[i]])
		}
	}
	needs := graph.Graph{Nodes: g.Nodes}
	for i, e := range g.Edges {
		if early[i] {
			needs.Edges = append(needs.Edges, e)
		}
	}
	loop := map[string]int{}
	for i, ids := range graph.Cycles(needs) {
		for _, id := range ids {
			loop[id] = i + 1
		}
	}
	for i, e := range g.Edges {
		g.Edges[i].Cycle = early[i] && loop[e.From] > 0 && loop[e.From] == loop[e.To]
	}
	return g
}

// Loops is what of g is part of a loop.
func Loops(g graph.Graph) graph.Graph {
	loops := graph.Graph{Title: g.Title}
	for _, e := range g.Edges {
		if e.Cycle {
			loops.Edges = append(loops.Edges, e)
		}
	}
	for _, n := range g.Nodes {
		if slices.ContainsFunc(loops.Edges, func(e graph.Edge) bool { return e.From == n.ID }) {
			loops.Nodes = append(loops.Nodes, n)
		}
	}
	return loops
}

// reference is how expressions name a.
func (a addr) reference() string {
	if a.kind == "variable" {
		a.kind = "var"
	}
	return a.String()
}

// walker collects what a block names.
type walker struct {
	m      *Module
	all    []addr
	exists map[addr]int  // its position in all
	early  map[addr]bool // what the block names: whether that is evaluated before it
}

// positions are those in all of what the block names, in order.
func (w *walker) positions() (found []int) {
	for a := range w.early {
		found = append(found, w.exists[a])
	}
	slices.Sort(found)
	return found
}

func (w *walker) visit(a addr) {
	if a.kind == "local" {
		w.expression(w.m.locals[a.name].Expr, nil, true)
		return
	}
	b := w.m.blocks[a]
	switch a.kind {
	case "variable": // names nothing but itself
	case "func": // names its parameters
	default:
		w.body(b.Body, block(a.kind), nil)
	}
}

// body collects what the arguments and blocks of a body name. Within it some
// names mean the elements that dynamic blocks go through. The def of what is no
// part of the language is nil.
func (w *walker) body(body *hclsyntax.Body, def *schema.Block, elements []string) {
	for _, a := range sortedAttributes(body) {
		known := def != nil && (def.Free || def.Policy != "" || def.ForEach && a.Name == "for_each")
		if def != nil {
			if attr := def.Attr(a.Name); attr != nil {
				known = attr.Type.Kind != schema.Expr && attr.Type.Kind != schema.Secret
				if attr.Type.Bare {
					continue
				}
			}
		}
		w.expression(a.Expr, elements, known)
		if a.Name == "mix" {
			w.mix(a.Expr)
		}
	}
	for _, b := range body.Blocks {
		if b.Type == "dynamic" && len(b.Labels) == 1 {
			w.dynamic(b, def, elements)
			continue
		}
		w.body(b.Body, within(def, b.Type, b.Labels), elements)
	}
}

func (w *walker) dynamic(b *hclsyntax.Block, parent *schema.Block, elements []string) {
	inner := append(slices.Clone(elements), b.Labels[0])
	if a := b.Body.Attributes["iterator"]; a != nil {
		inner[len(elements)] = hcl.ExprAsKeyword(a.Expr)
	}
	for _, name := range []string{"for_each", "labels"} {
		if a := b.Body.Attributes[name]; a != nil && name == "for_each" {
			w.expression(a.Expr, elements, true)
		} else if a != nil {
			w.expression(a.Expr, inner, true)
		}
	}
	for _, content := range b.Body.Blocks {
		w.body(content.Body, within(parent, b.Labels[0], nil), inner)
	}
}

// within is the definition of a block inside another, or nil.
func within(def *schema.Block, kind string, labels []string) *schema.Block {
	if def == nil {
		return nil
	}
	def = def.Block(kind)
	if def != nil && def.Variants != nil && len(labels) == 1 {
		return def.Variant(labels[0])
	}
	return def
}

// mix collects the functions that the keys of a mix name.
func (w *walker) mix(expr hcl.Expression) {
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return // computed
	}
	for _, p := range pairs {
		key, diags := p.Key.Value(nil)
		if diags.HasErrors() || key.Type() != cty.String || !key.IsKnown() || key.IsNull() {
			continue
		}
		name, _, _ := strings.Cut(key.AsString(), "[")
		a := addr{"function", name}
		if module, _, inner := strings.Cut(name, "."); inner {
			a = addr{"module", module}
		}
		w.note(a, false)
	}
}

// note notes that a is named, if there is such.
func (w *walker) note(a addr, early bool) {
	if _, ok := w.exists[a]; ok {
		w.early[a] = w.early[a] || early
	}
}

// expression collects what an expression names, and the funcs it calls.
func (w *walker) expression(expr hclsyntax.Expression, elements []string, early bool) {
	for _, ref := range expr.Variables() {
		root := ref.RootName()
		if slices.Contains(elements, root) || !slices.Contains(roots, root) {
			continue
		}
		kind := kindOf(root)
		if name, ok := second(ref); ok {
			w.note(addr{kind, name}, early)
			continue
		}
		for _, a := range w.all { // worker[local.x]: any of them
			if a.kind == kind {
				w.note(a, early)
			}
		}
	}
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			w.note(addr{"func", call.Name}, early)
		}
		return nil
	})
}
