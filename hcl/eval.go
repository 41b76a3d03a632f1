package hcl

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// evaluator evaluates blocks at one point of one experiment, or at none.
// Whatever goes wrong in a block is reported once, in diags; what refers to
// such a block gets an unknown value.
type evaluator struct {
	m       *Module
	base    *evaluator // holds the blocks that do not depend on the point
	sweep   string     // of the experiment, "" when it has none
	axes    cty.Value  // the point, or DynamicVal
	facts   bool       // facts of hosts may be asked for
	results map[string]cty.Value
	nodes   map[addr]*node
	stack   []frame
	diags   hcl.Diagnostics
	decoder decode.Decoder
}

// node is an evaluated block or local.
type node struct {
	value     cty.Value
	instances []*instance // of a block: one, or one for each element of for_each
	moving    bool        // depends on the point
	done      bool
}

// instance is a block, or one of those for_each makes of it.
type instance struct {
	*decode.Block
	id   string // address: worker.pool["w1"]
	name string // pool["w1"]
}

// frame is a node in evaluation and the reference that led to it.
type frame struct {
	addr
	node *node
	ref  hcl.Range
}

func (m *Module) evaluator(facts bool) *evaluator {
	e := &evaluator{m: m, axes: cty.DynamicVal, facts: facts, nodes: map[addr]*node{}}
	e.decoder = decode.Decoder{Eval: e.eval, Policies: map[string]decode.Policy{
		"queue": m.opts.Policies.Queue, "keepalive": m.opts.Policies.KeepAlive, "policy": m.opts.Policies.Balancer,
	}}
	return e
}

// at is an evaluator for one point of a sweep; it shares with e what does not depend on the point.
func (e *evaluator) at(sweep string, axes cty.Value) *evaluator {
	p := e.m.evaluator(e.facts)
	p.base, p.sweep, p.axes = e, sweep, axes
	return p
}

func (e *evaluator) report(p diag.Problem) { e.diags = append(e.diags, p.Diagnostic()) }

// node evaluates a block or local that exists.
func (e *evaluator) node(a addr, ref hcl.Range) *node {
	n := e.nodes[a]
	if n == nil && e.base != nil {
		if shared := e.base.node(a, ref); !shared.moving {
			n = shared
			e.nodes[a] = n
		}
	}
	switch {
	case n == nil:
		n = &node{value: cty.DynamicVal}
		e.nodes[a] = n
		e.stack = append(e.stack, frame{a, n, ref})
		e.evaluate(a, n)
		e.stack = e.stack[:len(e.stack)-1]
		n.done = true
	case !n.done:
		e.cycle(a, ref)
	}
	if len(e.stack) > 0 && n.moving {
		e.stack[len(e.stack)-1].node.moving = true
	}
	return n
}

// cycle reports the blocks from a to a on the stack.
func (e *evaluator) cycle(a addr, ref hcl.Range) {
	i := slices.IndexFunc(e.stack, func(f frame) bool { return f.addr == a })
	loop := e.stack[i:]
	width := 0
	for _, f := range loop {
		width = max(width, len(f.String()))
	}
	p := diag.Problem{
		ID: "AIN1320", Summary: "these blocks need each other",
		Notes: []diag.Note{diag.Help("give one of them a literal value; `ainur graph --draw-cycles` shows the loop")},
	}
	for i, f := range loop {
		to, at := a, ref
		if i+1 < len(loop) {
			to, at = loop[i+1].addr, loop[i+1].ref
		}
		p.Lines = append(p.Lines, diag.Line{At: at, Remark: fmt.Sprintf("%-*s  -> %s", width, f.addr, to)})
	}
	slices.SortStableFunc(p.Lines, func(a, b diag.Line) int {
		if c := strings.Compare(a.At.Filename, b.At.Filename); c != 0 {
			return c
		}
		return a.At.Start.Byte - b.At.Start.Byte
	})
	p.At = &p.Lines[0].At
	e.report(p)
}

// evaluate fills n with the value of a.
func (e *evaluator) evaluate(a addr, n *node) {
	if a.kind == "local" {
		n.value = e.expression(e.m.locals[a.name].Expr, decode.Scope{Owner: schema.Owner("local", a.name)})
		return
	}
	src, def := e.m.blocks[a], block(a.kind)
	scope := decode.Scope{Owner: a.owner()}
	each := src.Body.Attributes["for_each"]
	if each == nil || !def.ForEach {
		n.value = e.instance(n, src, def, scope, a.String(), a.name)
		return
	}
	elements, diags := e.decoder.ForEach(each.Expr, scope)
	e.diags = append(e.diags, diags...)
	if elements == nil {
		return
	}
	values := map[string]cty.Value{}
	for _, el := range elements {
		inner := scope.With("each", cty.ObjectVal(map[string]cty.Value{"key": el.Key, "value": el.Value}))
		key := el.Key.AsString()
		values[key] = e.instance(n, src, def, inner, fmt.Sprintf("%s[%q]", a, key), fmt.Sprintf("%s[%q]", a.name, key))
	}
	n.value = cty.ObjectVal(values)
}

func (e *evaluator) instance(n *node, src *hclsyntax.Block, def *schema.Block, scope decode.Scope, id, name string) cty.Value {
	b, diags := e.decoder.Block(src, def, scope)
	e.diags = append(e.diags, diags...)
	in := &instance{b, id, name}
	n.instances = append(n.instances, in)
	return cty.ObjectVal(e.object(in, n))
}

// expression evaluates expr and reports what is wrong with it.
func (e *evaluator) expression(expr hcl.Expression, scope decode.Scope) cty.Value {
	v, diags := e.eval(expr, scope)
	e.diags = append(e.diags, diags...)
	if diags.HasErrors() {
		return cty.DynamicVal
	}
	return v
}

// eval evaluates expr after the blocks it refers to.
func (e *evaluator) eval(expr hcl.Expression, scope decode.Scope) (cty.Value, hcl.Diagnostics) {
	refs := expr.Variables()
	ctx, diags := e.context(refs, scope)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	v, diags := expr.Value(ctx)
	if !diags.HasErrors() {
		return v, nil
	}
	for _, ref := range refs {
		if p := e.missing(ref, ctx); p != nil {
			return cty.DynamicVal, hcl.Diagnostics{p.Diagnostic()}
		}
	}
	for i, d := range diags {
		diags[i] = diag.From("AIN1300", d)
	}
	return cty.DynamicVal, diags
}

// context evaluates what refs name and makes it available.
func (e *evaluator) context(refs []hcl.Traversal, scope decode.Scope) (*hcl.EvalContext, hcl.Diagnostics) {
	ctx := &hcl.EvalContext{Functions: e.m.functions, Variables: map[string]cty.Value{}}
	groups := map[string]map[string]cty.Value{}
	for _, ref := range refs {
		root := ref.RootName()
		if v, ok := scope.Vars[root]; ok {
			ctx.Variables[root] = v
			continue
		}
		if root == "path" {
			ctx.Variables[root] = e.m.pathValue()
			continue
		}
		if p := e.early(ref, scope); p != nil {
			return nil, hcl.Diagnostics{p.Diagnostic()}
		}
		if groups[root] == nil {
			groups[root] = map[string]cty.Value{}
		}
		name, ok := second(ref)
		if ok && slices.Contains(e.m.known(root), name) {
			groups[root][name] = e.named(root, name, ref, scope)
		}
	}
	for root, names := range groups {
		if slices.Contains(roots, root) {
			ctx.Variables[root] = cty.ObjectVal(names)
		}
	}
	return ctx, nil
}

// named is the value of worker.pool, local.n, var.x.
func (e *evaluator) named(root, name string, ref hcl.Traversal, scope decode.Scope) cty.Value {
	if root == "var" {
		return e.m.variables[name].value
	}
	v := e.node(addr{root, name}, ref.SourceRange()).value
	if root == "load" && scope.Results && v.IsKnown() {
		object := v.AsValueMap()
		maps.Copy(object, e.result(name).AsValueMap())
		return cty.ObjectVal(object)
	}
	return v
}

// second is the name after the root of a reference.
func second(ref hcl.Traversal) (string, bool) {
	if len(ref) < 2 {
		return "", false
	}
	return stepName(ref[1])
}

func stepName(step hcl.Traverser) (string, bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && s.Key.IsKnown() && !s.Key.IsNull() {
			return s.Key.AsString(), true
		}
	}
	return "", false
}

// early reports a result that is used before there is one.
func (e *evaluator) early(ref hcl.Traversal, scope decode.Scope) *diag.Problem {
	if ref.RootName() != "load" || scope.Results || len(ref) < 3 {
		return nil
	}
	name, ok := stepName(ref[2])
	if !ok || !slices.Contains(resultNames, name) {
		return nil
	}
	at := ref.SourceRange()
	return &diag.Problem{
		ID: "AIN1310", Summary: diag.Traversal(ref[:3]) + " is not known before a run", At: &at,
		Label: fmt.Sprintf("a result, used in %s, which is needed to run", scope.Owner),
		Notes: []diag.Note{diag.Remark("results may be used in assert, claim, report and output")},
	}
}

// missing explains the first step of ref that leads nowhere, or returns nil.
func (e *evaluator) missing(ref hcl.Traversal, ctx *hcl.EvalContext) *diag.Problem {
	root := ref.RootName()
	whole, at := ref.SourceRange(), ref[0].SourceRange()
	v, ok := ctx.Variables[root]
	if !ok {
		p := &diag.Problem{ID: "AIN1301", Summary: fmt.Sprintf("nothing is called %q", root), At: &at, Suggest: diag.Suggest(root, roots)}
		if len(p.Suggest) == 0 {
			p.Notes = []diag.Note{diag.Help("a reference begins with %s", strings.Join(roots, ", "))}
		}
		return p
	}
	for i, step := range ref[1:] {
		name, ok := stepName(step)
		if !ok || !v.IsKnown() || v.IsNull() || !v.Type().IsObjectType() {
			return nil
		}
		v, _ = v.Unmark()
		if v.Type().HasAttribute(name) {
			v = v.GetAttr(name)
			continue
		}
		at = nameRange(step)
		p := &diag.Problem{ID: "AIN1302", At: &at, Whole: &whole}
		known := attributes(v)
		switch path := ref[:i+1]; {
		case i == 0 && slices.Contains(roots, root):
			p.ID, known = "AIN1301", e.m.known(root)
			p.Summary = fmt.Sprintf("there is no %s %q", kindOf(root), name)
		case root == "cluster" && i == 2 && isAttr(ref[2], "host"):
			cluster, _ := second(ref)
			p.ID, p.Summary = "AIN1301", fmt.Sprintf("cluster %q has no host %q", cluster, name)
			p.Related = []diag.Related{{At: e.m.blocks[addr{"cluster", cluster}].DefRange(), Label: "hosts declared here: " + strings.Join(known, ", ")}}
		default:
			p.Summary = fmt.Sprintf("%s has no %q", diag.Traversal(path), name)
		}
		if p.Suggest = diag.Suggest(name, known); len(p.Suggest) == 0 && len(known) > 0 && p.Related == nil {
			p.Notes = []diag.Note{diag.Help("it has %s", strings.Join(known, ", "))}
			if i == 0 {
				p.Notes = []diag.Note{diag.Help("there is %s", strings.Join(known, ", "))}
			}
		}
		return p
	}
	return nil
}

// nameRange is where the name of a step is: without its dot, within brackets.
func nameRange(step hcl.Traverser) hcl.Range {
	r := step.SourceRange()
	if _, ok := step.(hcl.TraverseAttr); ok && r.End.Byte-r.Start.Byte > 1 {
		r.Start.Byte++
		r.Start.Column++
	}
	return r
}

func isAttr(step hcl.Traverser, name string) bool {
	n, ok := stepName(step)
	return ok && n == name
}

// attributes lists the names an object has, sorted.
func attributes(v cty.Value) []string {
	var names []string
	for name := range v.Type().AttributeTypes() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// block is the definition of a top-level block.
func block(kind string) *schema.Block { return schema.Root.Block(kind) }

// factsOf asks for the facts of a host, once for each address.
func (e *evaluator) factsOf(h spec.Host) (spec.Facts, bool) {
	if !e.facts || e.m.opts.Facts == nil || h.Name == "" {
		return spec.Facts{}, false
	}
	known, asked := e.m.facts[h.Address]
	if !asked {
		known.Facts, known.ok = e.m.opts.Facts(h)
		e.m.facts[h.Address] = known
	}
	return known.Facts, known.ok
}
