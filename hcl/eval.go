package hcl

import (
	"fmt"
	"maps"
	"math/bits"
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
	base    *evaluator // of the experiment: has what does not depend on the point, and what others have evaluated
	point   position
	facts   bool // facts of hosts may be asked for
	hosts   func(spec.Host) (spec.Facts, bool)
	results *outcome // of the run, nil before there is one
	about   string   // experiment whose results are seen, "" when that is not known
	nodes   map[addr]*node
	stack   []frame
	diags   hcl.Diagnostics
	decoder *decode.Decoder

	// Of the evaluator of a module.
	prefix string              // of addresses: "module.net."
	vars   map[string]variable // what the module was given

	// Of a base.
	shared map[addr][]*variants
	memo   map[any]any // what builder has made of nodes, by what it was made of

	// Of a point.
	own map[any]any // the memo of what no other point shares
}

// position is a point of a sweep. Its axes are known by number: a set of them
// is the bits of an axisSet.
type position struct {
	sweep string // name of the sweep of the experiment, "" when it has none
	axes  []string
	value cty.Value // object of the axes, DynamicVal when the point is not chosen
	keys  []string  // values as text, by axis
}

// axisSet is a set of axes of the experiment's sweep.
type axisSet uint64

// maxAxes is how many an axisSet can tell apart.
const maxAxes = 64

const allAxes = ^axisSet(0)

// node is an evaluated block or local.
type node struct {
	value     cty.Value
	instances []*instance // of a block: one, or one for each element of for_each
	byID      map[string]*instance
	module    *evaluator // of a module block
	axes      axisSet    // those that the value depends on
	done      bool
}

// variants are the nodes of one block that depend on the same axes, by the
// values of these.
type variants struct {
	axes  axisSet
	nodes map[string]*node
}

// instance is a block, or one of those for_each makes of it.
type instance struct {
	*decode.Block
	in   *evaluator // that evaluated it
	node *node      // that it is of
	id   string     // address: worker.pool["w1"]
	name string     // pool["w1"]
}

// frame is a node in evaluation and the reference that led to it.
type frame struct {
	addr
	node *node
	ref  hcl.Range
}

func (m *Module) evaluator(facts bool) *evaluator {
	e := &evaluator{
		m: m, point: position{value: cty.DynamicVal}, facts: facts, hosts: m.opts.Facts, nodes: map[addr]*node{}, vars: m.variables,
		shared: map[addr][]*variants{}, memo: map[any]any{},
	}
	p := m.opts.Policies
	e.decoder = decode.New(e.eval, map[string]decode.Policy{
		"queue": p.Queue, "keepalive": p.KeepAlive, "concurrency": p.Concurrency, "dispatch": p.Dispatch, "prewarm": p.Prewarm,
		"estimate": p.Estimate, "gpu_queue": p.GPUQueue, "placement": p.Placement, "policy": p.Balancer,
	})
	return e
}

// at is an evaluator for one point of a sweep. It shares with e, and with those
// for other points, what depends on nothing in which they differ.
func (e *evaluator) at(p position) *evaluator {
	child := &evaluator{m: e.m, base: e, point: p, facts: e.facts, hosts: e.hosts, nodes: map[addr]*node{}, vars: e.vars, memo: e.memo, own: map[any]any{}}
	child.decoder = e.decoder.With(child.eval)
	return child
}

// top is the evaluator that holds what all points share.
func (e *evaluator) top() *evaluator {
	if e.base != nil {
		return e.base
	}
	return e
}

// key is the values of some axes at the point.
func (p position) key(axes axisSet) string {
	var b strings.Builder
	for i, k := range p.keys {
		if axes&(1<<i) != 0 {
			b.WriteString(k)
			b.WriteByte(0)
		}
	}
	return b.String()
}

// alone reports whether no other point has the same values of these axes.
func (p position) alone(axes axisSet) bool {
	return len(p.axes) > 0 && bits.OnesCount64(uint64(axes)) >= len(p.axes)
}

// axis is the set of the axis called name.
func (p position) axis(name string) axisSet {
	if i := slices.Index(p.axes, name); i >= 0 && i < maxAxes {
		return 1 << i
	}
	return allAxes
}

// evaluated is the node of a that another point has evaluated, if it is the
// same here: no axis that it depends on has another value.
func (e *evaluator) evaluated(a addr) *node {
	if e.base == nil {
		return nil
	}
	for _, v := range e.base.shared[a] {
		if n := v.nodes[e.point.key(v.axes)]; n != nil {
			return n
		}
	}
	if n := e.base.node(a, hcl.Range{}); n.axes == 0 {
		return n
	}
	return nil
}

// share keeps a node for other points.
func (e *evaluator) share(a addr, n *node) {
	if e.base == nil || e.point.alone(n.axes) {
		return
	}
	all := e.base.shared[a]
	i := slices.IndexFunc(all, func(v *variants) bool { return v.axes == n.axes })
	if i < 0 {
		i = len(all)
		all = append(all, &variants{n.axes, map[string]*node{}})
		e.base.shared[a] = all
	}
	all[i].nodes[e.point.key(n.axes)] = n
}

// depend notes that what is being evaluated depends on some axes.
func (e *evaluator) depend(axes axisSet) {
	if len(e.stack) > 0 {
		e.stack[len(e.stack)-1].node.axes |= axes
	}
}

func (e *evaluator) report(p diag.Problem) { e.diags = append(e.diags, p.Diagnostic()) }

// node evaluates a block or local that exists.
func (e *evaluator) node(a addr, ref hcl.Range) *node {
	n := e.nodes[a]
	if n == nil {
		if n = e.evaluated(a); n != nil {
			e.nodes[a] = n
		}
	}
	switch {
	case n == nil && len(e.stack) > maxChain:
		e.report(diag.Problem{ID: "AIN1335", Summary: fmt.Sprintf("more than %d references in one another", maxChain), At: &ref, Notes: []diag.Note{diag.Help("write the value here")}})
		return &node{value: cty.DynamicVal, byID: map[string]*instance{}, done: true}
	case n == nil:
		n = &node{value: cty.DynamicVal, byID: map[string]*instance{}}
		e.nodes[a] = n
		e.stack = append(e.stack, frame{a, n, ref})
		e.evaluate(a, n)
		e.stack = e.stack[:len(e.stack)-1]
		n.done = true
		e.share(a, n)
	case !n.done:
		e.cycle(a, ref)
	}
	e.depend(n.axes)
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
	if a.kind == "module" {
		e.module(a, n, src, scope)
		return
	}
	each := src.Body.Attributes["for_each"]
	if each == nil || !def.ForEach {
		n.value = e.instance(n, src, def, scope, e.prefix+a.String(), e.spelled(a.name))
		return
	}
	elements, diags := e.decoder.ForEach(each.Expr, scope)
	e.diags = append(e.diags, diags...)
	if elements == nil {
		return
	}
	values := map[string]cty.Value{}
	before := len(e.diags)
	for _, el := range elements {
		inner := scope.With("each", cty.ObjectVal(map[string]cty.Value{"key": el.Key, "value": el.Value}))
		key := el.Key.AsString()
		values[key] = e.instance(n, src, def, inner, fmt.Sprintf("%s%s[%q]", e.prefix, a, key), fmt.Sprintf("%s[%q]", e.spelled(a.name), key))
		if len(e.diags) > before && e.diags[before:].HasErrors() {
			break // the others most likely have the same mistake
		}
	}
	n.value = cty.ObjectVal(values)
}

// spelled is a name with the modules that lead to it: net.hello.
func (e *evaluator) spelled(name string) string {
	return strings.ReplaceAll(e.prefix, "module.", "") + name
}

func (e *evaluator) instance(n *node, src *hclsyntax.Block, def *schema.Block, scope decode.Scope, id, name string) cty.Value {
	b, diags := e.decoder.Block(src, def, scope)
	e.diags = append(e.diags, diags...)
	in := &instance{b, e, n, id, name}
	n.instances = append(n.instances, in)
	n.byID[id] = in
	v := cty.ObjectVal(e.object(in))
	if def.Type == "secret" {
		v = v.Mark(diag.Sensitive)
	}
	return v
}

// module evaluates the blocks of a module with the arguments of its block. Its
// value is its outputs.
func (e *evaluator) module(a addr, n *node, src *hclsyntax.Block, scope decode.Scope) {
	m := e.m.modules[a.name]
	if m == nil {
		return // reported by loadModules
	}
	inner := m.evaluator(e.facts)
	inner.hosts, inner.prefix, inner.vars = e.hosts, e.prefix+a.String()+".", map[string]variable{}
	for _, name := range m.names("variable") {
		g := given{}
		if arg := src.Body.Attributes[name]; arg != nil {
			g = given{origin: a.owner(), value: e.expression(arg.Expr, scope), at: arg.Expr.Range()}
		} else if m.blocks[addr{"variable", name}].Body.Attributes["default"] == nil {
			inner.vars[name] = variable{value: cty.DynamicVal} // reported by checkInputs
			continue
		}
		v, diags := m.variable(name, g)
		e.diags = append(e.diags, diags...)
		inner.vars[name] = v
	}
	outputs := map[string]cty.Value{}
	inner.everything()
	for _, name := range m.names("output") {
		out := inner.node(addr{"output", name}, hcl.Range{}).instances[0]
		outputs[name] = inner.expression(out.Exprs["value"], decode.Scope{Owner: out.Scope.Owner})
		if decode.Get[bool](out.Block, "sensitive") {
			outputs[name] = outputs[name].Mark(diag.Sensitive)
		}
	}
	e.diags = append(e.diags, inner.diags...)
	inner.diags = nil
	n.module = inner
	n.value = cty.ObjectVal(outputs)
}

// everything evaluates all blocks and locals.
func (e *evaluator) everything() {
	for _, a := range e.m.order {
		if a.kind != "variable" && a.kind != "func" {
			e.node(a, e.m.blocks[a].DefRange())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.m.locals)) {
		e.node(addr{"local", name}, e.m.locals[name].NameRange)
	}
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
	if e.m.top.total > maxTotal {
		return cty.DynamicVal, nil // reported where it became too much
	}
	refs := expr.Variables()
	ctx, diags := e.context(refs, scope)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	if p := e.m.tooLarge(expr, refs, ctx); p != nil {
		return cty.DynamicVal, hcl.Diagnostics{p.Diagnostic()}
	}
	e.m.steps = 0
	v, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return cty.DynamicVal, e.explain(refs, ctx, scope, diags)
	}
	if _, plain := expr.(*hclsyntax.ScopeTraversalExpr); plain {
		return v, nil
	}
	switch n := size(v, maxSize); {
	case n >= maxSize:
		return cty.DynamicVal, hcl.Diagnostics{large(expr.Range()).Diagnostic()}
	case e.m.charge(n):
		at := expr.Range()
		return cty.DynamicVal, hcl.Diagnostics{diag.Problem{ID: "AIN1334", Summary: errTooManySteps.Error(), At: &at}.Diagnostic()}
	}
	return v, nil
}

// explain says which reference leads nowhere, or what the library says.
func (e *evaluator) explain(refs []hcl.Traversal, ctx *hcl.EvalContext, scope decode.Scope, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, ref := range refs {
		if name, ok := second(ref); ok && e.m.ghosts[name] && !e.m.has(ref.RootName(), name) {
			return nil // the block it means has been reported
		}
		if p := e.missing(ref, ctx, scope); p != nil {
			return hcl.Diagnostics{p.Diagnostic()}
		}
	}
	first := firstError(diags) // what follows is its consequence
	if _, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](first); ok {
		return nil // reported by checkCalls, or where the func is declared
	}
	if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](first); ok && call.CalledFunctionName() == meter {
		return hcl.Diagnostics{diag.Problem{ID: "AIN1334", Summary: call.FunctionCallError().Error(), At: first.Subject}.Diagnostic()}
	}
	if first.Expression != nil && first.EvalContext != nil {
		for _, ref := range first.Expression.Variables() { // such as the variable of a for expression
			if p := e.missing(ref, flat(first.EvalContext), scope); p != nil {
				return hcl.Diagnostics{p.Diagnostic()}
			}
		}
	}
	for _, ref := range refs {
		if v, diags := ref.TraverseAbs(ctx); !diags.HasErrors() && v.ContainsMarked() {
			first.Detail = "a value in it is sensitive, so nothing more is said" // the library may show it
		}
	}
	return hcl.Diagnostics{diag.From("AIN1300", first)}
}

// flat is a context with the variables of those around it.
func flat(ctx *hcl.EvalContext) *hcl.EvalContext {
	all := &hcl.EvalContext{Variables: map[string]cty.Value{}}
	for ; ctx != nil; ctx = ctx.Parent() {
		for name, v := range ctx.Variables {
			if _, have := all.Variables[name]; !have {
				all.Variables[name] = v
			}
		}
	}
	return all
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
		if p := e.early(ref, scope); p != nil {
			return nil, hcl.Diagnostics{p.Diagnostic()}
		}
		if v, ok := e.builtin(root, scope); ok {
			ctx.Variables[root] = v
			continue
		}
		if !slices.Contains(roots, root) {
			continue
		}
		if groups[root] == nil {
			groups[root] = map[string]cty.Value{}
		}
		if name, ok := second(ref); ok {
			if e.m.has(root, name) {
				groups[root][name] = e.named(root, name, ref, scope)
			}
			continue
		}
		for _, name := range e.m.known(root) { // worker[local.x]: any of them
			groups[root][name] = e.named(root, name, ref, scope)
		}
	}
	for root, names := range groups {
		ctx.Variables[root] = cty.ObjectVal(names)
	}
	return ctx, nil
}

// builtin is the value of a name that is no block.
func (e *evaluator) builtin(root string, scope decode.Scope) (cty.Value, bool) {
	switch root {
	case "path":
		return e.m.pathValue(), true
	case "ainur":
		return cty.ObjectVal(map[string]cty.Value{"version": cty.StringVal(e.m.opts.Version)}), true
	case "result", "run":
		if scope.Results {
			return e.outcome(root), true
		}
	}
	return cty.NilVal, false
}

// named is the value of worker.pool, local.n, var.x.
func (e *evaluator) named(root, name string, ref hcl.Traversal, scope decode.Scope) cty.Value {
	if root == "var" {
		return e.vars[name].value
	}
	n := e.node(addr{root, name}, ref.SourceRange())
	v := n.value
	if !v.IsKnown() || v.IsMarked() {
		return v
	}
	switch {
	case root == "sweep" && len(ref) != 2:
		object := v.AsValueMap()
		object["point"] = e.pointValue(n.instances[0], ref)
		return cty.ObjectVal(object)
	case root == "load" && scope.Results:
		object := v.AsValueMap()
		maps.Copy(object, e.result(name).AsValueMap())
		return cty.ObjectVal(object)
	case root == "experiment" && scope.Results:
		object := v.AsValueMap()
		object["results"] = e.rowsOf(name)
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
	if scope.Results {
		return nil
	}
	at, length := ref.SourceRange(), 3
	switch root := ref.RootName(); root {
	case "load", "experiment":
		if len(ref) < 3 {
			return nil
		}
		name, ok := stepName(ref[2])
		if !ok || root == "load" && !slices.Contains(resultNames, name) || root == "experiment" && name != "results" {
			return nil
		}
	case "run", "result":
		length = min(len(ref), 2)
	default:
		return nil
	}
	return &diag.Problem{
		ID: "AIN1310", Summary: diag.Traversal(ref[:length]) + " is not known before a run", At: &at,
		Label: fmt.Sprintf("a result, used in %s, which is needed to run", scope.Owner),
		Notes: []diag.Note{diag.Remark("results may be used in assert, claim, report and output")},
	}
}

// elsewhere says where the names that few expressions may use are known.
var elsewhere = map[string]string{
	"each": "in a block with for_each", "self": "in require", "point": "in exclude, assert and output", "call": "in payload",
	"result": "in assert, claim, report and output", "run": "in assert, claim, report and output",
}

// missing explains the first step of ref that leads nowhere, or returns nil.
func (e *evaluator) missing(ref hcl.Traversal, ctx *hcl.EvalContext, scope decode.Scope) *diag.Problem {
	root := ref.RootName()
	whole, at := ref.SourceRange(), ref[0].SourceRange()
	v, ok := ctx.Variables[root]
	if !ok {
		known := append(slices.Sorted(maps.Keys(scope.Vars)), roots...)
		p := &diag.Problem{ID: "AIN1301", Summary: fmt.Sprintf("nothing is called %q", root), At: &at, Suggest: diag.Suggest(root, known)}
		if where := elsewhere[root]; where != "" {
			p.Suggest, p.Notes = nil, []diag.Note{diag.Remark("%s is known %s", root, where)}
		} else if len(p.Suggest) == 0 {
			p.Notes = []diag.Note{diag.Help("a reference begins with %s", strings.Join(known, ", "))}
		}
		return p
	}
	for i, step := range ref[1:] {
		name, ok := stepName(step)
		if !ok || !v.IsKnown() || v.IsNull() || !v.Type().IsObjectType() {
			return nil
		}
		if v.IsMarked() { // what a secret has is not told
			return nil
		}
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
		case root == "cluster" && i == 2 && isAttr(ref[2], "host") && e.m.blocks[addr{"cluster", clusterName(ref)}] != nil:
			cluster := clusterName(ref)
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

func clusterName(ref hcl.Traversal) string {
	name, _ := second(ref)
	return name
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
	if !e.facts || e.hosts == nil || h.Name == "" {
		return spec.Facts{}, false
	}
	known, asked := e.m.top.facts[h.Address]
	if !asked {
		known.Facts, known.ok = e.hosts(h)
		e.m.top.facts[h.Address] = known
	}
	return known.Facts, known.ok
}
