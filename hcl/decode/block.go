// Package decode turns blocks of source into typed values, as package schema defines them.
package decode

import (
	"fmt"
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/registry"
	"github.com/ainur-faas/ainur/hcl/schema"
)

// Scope is where an expression stands.
type Scope struct {
	Owner   string               // the block, for messages: worker "pool"
	Vars    map[string]cty.Value // names known only here: each, point
	Results bool                 // what a run measured may be used
}

// With is s with another name known.
func (s Scope) With(name string, v cty.Value) Scope {
	vars := maps.Clone(s.Vars)
	if vars == nil {
		vars = map[string]cty.Value{}
	}
	vars[name] = v
	s.Vars = vars
	return s
}

// Policy is a registry of policies, whatever it builds.
type Policy interface {
	Names() []string
	Check(name string, decode registry.Decoder) error
}

// Decoder decodes blocks.
type Decoder struct {
	// eval evaluates an expression. After an error reported elsewhere it
	// returns an unknown value and no diagnostics.
	eval func(hcl.Expression, Scope) (cty.Value, hcl.Diagnostics)
	// policies by argument: queue, keepalive, policy. An argument that has none
	// takes the names of its schema.
	policies map[string]Policy
	defaults map[*schema.Attr]Attr
	// constants are the arguments that depend on nothing, by what they are read as.
	constants map[constant]Attr
}

type constant struct {
	src *hclsyntax.Attribute
	as  schema.Kind
}

// New returns a decoder.
func New(eval func(hcl.Expression, Scope) (cty.Value, hcl.Diagnostics), policies map[string]Policy) *Decoder {
	return &Decoder{eval, policies, map[*schema.Attr]Attr{}, map[constant]Attr{}}
}

// With is d with another way to evaluate.
func (d *Decoder) With(eval func(hcl.Expression, Scope) (cty.Value, hcl.Diagnostics)) *Decoder {
	return &Decoder{eval, d.policies, d.defaults, d.constants}
}

// Block is a decoded block.
type Block struct {
	Type   string
	Label  string // "" when the block takes none
	Def    *schema.Block
	Range  hcl.Range // of its header
	Scope  Scope
	Attrs  map[string]Attr           // every argument of Def but those to be evaluated later
	Exprs  map[string]hcl.Expression // as written
	Blocks []*Block
}

// Attr is a decoded argument.
type Attr struct {
	Go    any       // what the Kind decodes to; nil when absent, unknown or wrong
	Value cty.Value // for references to it: durations are seconds, sizes bytes
	Range hcl.Range // of its expression, or of the block's header
	Given bool      // in the source, and not null

	standard cty.Value // what the argument is when it is not given
	lacking  []lack
}

// lack is something valid that engines do not have yet.
type lack struct {
	engines schema.Engine
	what    string // isolation = "docker"
}

// Get returns the argument called name, or the zero T when it has no value.
func Get[T any](b *Block, name string) T {
	v, _ := b.Attrs[name].Go.(T)
	return v
}

// Unknown reports whether the argument was given and its value is not known, or wrong.
func (b *Block) Unknown(name string) bool { return b.Attrs[name].Given && b.Attrs[name].Go == nil }

// All returns the blocks of a type inside b, in source order.
func (b *Block) All(kind string) []*Block {
	var all []*Block
	for _, inner := range b.Blocks {
		if inner.Type == kind {
			all = append(all, inner)
		}
	}
	return all
}

// One returns the only block of a type inside b, or nil.
func (b *Block) One(kind string) *Block {
	if all := b.All(kind); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Object is the block's arguments as a value.
func (b *Block) Object() map[string]cty.Value {
	object := make(map[string]cty.Value, len(b.Attrs)+4) // and what its kind exports
	for name, a := range b.Attrs {
		object[name] = a.Value
	}
	return object
}

// Block decodes src, which has passed schema.Check.
func (d *Decoder) Block(src *hclsyntax.Block, def *schema.Block, scope Scope) (*Block, hcl.Diagnostics) {
	b := &Block{Type: src.Type, Range: src.DefRange(), Scope: scope}
	if len(src.Labels) > 0 {
		b.Label = src.Labels[0]
	}
	diags := d.body(b, src.Body, def)
	return b, diags
}

func (d *Decoder) body(b *Block, body *hclsyntax.Body, def *schema.Block) (diags hcl.Diagnostics) {
	if def.Variants != nil {
		if def = def.Variant(b.Label); def == nil {
			def = &schema.Block{Type: b.Type} // reported by schema.Check
		}
	}
	b.Def, b.Attrs, b.Exprs = def, make(map[string]Attr, len(def.Attrs)), make(map[string]hcl.Expression, len(body.Attributes))
	for _, inner := range body.Blocks {
		blocks, more := d.inner(inner, def, b.Scope)
		diags = append(diags, more...)
		b.Blocks = append(b.Blocks, blocks...)
	}
	for i := range def.Attrs {
		a := &def.Attrs[i]
		src := body.Attributes[a.Name]
		if src != nil {
			b.Exprs[a.Name] = src.Expr
		}
		switch {
		case a.Type.Kind == schema.Expr:
		case a.Type.Kind == schema.Policy:
			attr, more := d.policy(b, a, src, body)
			diags = append(diags, more...)
			b.Attrs[a.Name] = attr
		default:
			attr, more := d.attr(a, src, b)
			diags = append(diags, more...)
			b.Attrs[a.Name] = attr
		}
	}
	return diags
}

// Lacking lists what of b an engine does not have yet: a problem for each
// argument, value and block.
func (b *Block) Lacking(engine schema.Engine) (problems []diag.Problem) {
	refuse := func(at hcl.Range, what string) {
		how := "run"
		if engine == schema.Simulated {
			how = "simulate"
		}
		problems = append(problems, diag.Problem{
			ID: "AIN1111", Summary: fmt.Sprintf("this version cannot %s %s yet", how, what), At: &at,
			Notes: []diag.Note{diag.Remark("it is valid, and refused rather than ignored")},
		})
	}
	if b.Def.Lacking&engine != 0 {
		refuse(b.Range, b.Scope.Owner)
		return problems
	}
	for _, def := range b.Def.Attrs {
		a := b.Attrs[def.Name]
		if expr := b.Exprs[def.Name]; def.Lacking&engine != 0 && expr != nil && !b.standard(def) {
			refuse(expr.Range(), fmt.Sprintf("%s of %s", def.Name, b.Scope.Owner))
			continue
		}
		for _, l := range a.lacking {
			if l.engines&engine != 0 {
				refuse(a.Range, fmt.Sprintf("%s in %s", l.what, b.Scope.Owner))
			}
		}
	}
	for _, inner := range b.Blocks {
		problems = append(problems, inner.Lacking(engine)...)
	}
	return problems
}

// standard reports whether an argument has the value it would have without being given.
func (b *Block) standard(def schema.Attr) bool {
	a, given := b.Attrs[def.Name]
	if !given || !a.Given {
		return given // Exprs are evaluated later: given is given
	}
	return def.Default != "" && a.Go != nil && a.Value.IsWhollyKnown() && a.Value.RawEquals(a.standard)
}

// Standard is a block of def whose arguments all have their defaults.
func (d *Decoder) Standard(def *schema.Block, at hcl.Range) *Block {
	b := &Block{Type: def.Type, Def: def, Range: at, Attrs: map[string]Attr{}}
	for i := range def.Attrs {
		if a := &def.Attrs[i]; a.Type.Kind != schema.Expr && a.Type.Kind != schema.Policy {
			b.Attrs[a.Name] = d.standard(a)
		}
	}
	return b
}

// inner decodes a block inside another, which a dynamic block may make many of.
func (d *Decoder) inner(src *hclsyntax.Block, parent *schema.Block, scope Scope) ([]*Block, hcl.Diagnostics) {
	if src.Type == "dynamic" && len(src.Labels) == 1 {
		if def := parent.Block(src.Labels[0]); def != nil {
			return d.dynamic(src, def, scope)
		}
	}
	def := parent.Block(src.Type)
	if def == nil || def.Policy != "" || (def.Label != "") != (len(src.Labels) == 1) || len(src.Labels) > 1 {
		return nil, nil // a policy is decoded with its argument, a mistake is reported by schema.Check
	}
	scope.Owner = schema.Owner(src.Type, src.Labels...) + " of " + scope.Owner
	b, diags := d.Block(src, def, scope)
	return []*Block{b}, diags
}

func (d *Decoder) dynamic(src *hclsyntax.Block, def *schema.Block, scope Scope) (blocks []*Block, diags hcl.Diagnostics) {
	attrs := src.Body.Attributes
	if attrs["for_each"] == nil || len(src.Body.Blocks) != 1 || def.Label != "" && attrs["labels"] == nil {
		return nil, nil // reported by schema.Check
	}
	content := src.Body.Blocks[0].Body
	iterator := def.Type
	if attrs["iterator"] != nil {
		iterator = hcl.ExprAsKeyword(attrs["iterator"].Expr)
	}
	elements, diags := d.ForEach(attrs["for_each"].Expr, scope)
	for _, e := range elements {
		inner := scope.With(iterator, cty.ObjectVal(map[string]cty.Value{"key": e.Key, "value": e.Value}))
		b := &Block{Type: def.Type, Range: src.DefRange(), Scope: inner}
		if def.Label != "" {
			label, more := d.label(attrs["labels"].Expr, inner)
			if diags = append(diags, more...); label == "" {
				continue
			}
			b.Label = label
			b.Scope.Owner = schema.Owner(def.Type, label) + " of " + scope.Owner
		}
		diags = append(diags, d.body(b, content, def)...)
		blocks = append(blocks, b)
	}
	return blocks, diags
}

// label evaluates the labels of a dynamic block; "" when they are unknown or wrong.
func (d *Decoder) label(expr hcl.Expression, scope Scope) (string, hcl.Diagnostics) {
	v, diags := d.eval(expr, scope)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return "", diags
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() || !v.CanIterateElements() || v.LengthInt() != 1 {
		return "", append(diags, problem("AIN1104", expr.Range(), "labels is a list of one name", "write labels = [...]"))
	}
	for _, label := range v.Elements() {
		if label.Type() == cty.String && !label.IsNull() && hclsyntax.ValidIdentifier(label.AsString()) {
			return label.AsString(), diags
		}
	}
	return "", append(diags, problem("AIN1108", expr.Range(), "this label cannot be a name", "a name begins with a letter and has letters, digits, _ and -"))
}

// maxElements bounds a for_each.
const maxElements = 10_000

// Element is one element of a for_each.
type Element struct {
	Key, Value cty.Value // Key is a string
}

// ForEach evaluates what for_each may be: a map, an object, or a list or set
// of strings. It returns nil when the value is unknown or wrong.
func (d *Decoder) ForEach(expr hcl.Expression, scope Scope) ([]Element, hcl.Diagnostics) {
	v, diags := d.eval(expr, scope)
	if diags.HasErrors() || !v.IsKnown() {
		return nil, diags
	}
	if v.ContainsMarked() {
		return nil, append(diags, sensitive(expr.Range()))
	}
	t := v.Type()
	wrong := problem("AIN1203", expr.Range(), fmt.Sprintf("for_each wants a map, an object or strings, got %s", t.FriendlyName()),
		"a list becomes a map with { for i, v in list : i => v }")
	if v.IsNull() || !v.CanIterateElements() {
		return nil, append(diags, wrong)
	}
	if n := v.LengthInt(); n > maxElements {
		return nil, append(diags, problem("AIN1336", expr.Range(), fmt.Sprintf("for_each makes %d blocks, and at most %d are made", n, maxElements), ""))
	}
	elements := []Element{}
	for key, value := range v.Elements() {
		if !t.IsMapType() && !t.IsObjectType() {
			if value.Type() != cty.String || value.IsNull() || !value.IsKnown() {
				return nil, append(diags, wrong)
			}
			key = value
		}
		elements = append(elements, Element{key, value})
	}
	return elements, diags
}

func problem(id string, at hcl.Range, summary, help string) *hcl.Diagnostic {
	p := diag.Problem{ID: id, Summary: summary, At: &at}
	if help != "" {
		p.Notes = []diag.Note{diag.Help("%s", help)}
	}
	return p.Diagnostic()
}

func sensitive(at hcl.Range) *hcl.Diagnostic {
	return problem("AIN1206", at, "a sensitive value cannot be used here", "everything in an experiment is recorded with its results")
}
