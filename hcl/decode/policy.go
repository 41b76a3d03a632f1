package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/registry"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

// policy decodes the short form `queue = "sjf"` or the long form `queue "ttl" { idle = "1m" }`.
func (d *Decoder) policy(b *Block, def *schema.Attr, short *hclsyntax.Attribute, body *hclsyntax.Body) (Attr, hcl.Diagnostics) {
	var long *hclsyntax.Block
	for _, inner := range body.Blocks {
		if inner.Type == def.Name && len(inner.Labels) == 1 {
			long = inner
		}
	}
	if short != nil && long != nil {
		at := long.DefRange()
		return Attr{Value: cty.UnknownVal(cty.String), Range: at, Given: true}, hcl.Diagnostics{diag.Problem{
			ID: "AIN1112", Summary: fmt.Sprintf("%s is given twice", def.Name), At: &at,
			Related: []diag.Related{{At: short.SrcRange, Label: "the short form is here"}}, Notes: []diag.Note{diag.Help("keep one of them")},
		}.Diagnostic()}
	}
	c := choice{def: def}
	if long != nil {
		c.Attr = Attr{Go: long.Labels[0], Value: cty.StringVal(long.Labels[0]), Range: long.LabelRanges[0], Given: true}
		c.at, c.options = long.DefRange(), long.Body.Attributes
	} else {
		var diags hcl.Diagnostics
		if short != nil {
			if c.Attr, diags = d.attr(&schema.Attr{Name: def.Name, Type: schema.Type{Kind: schema.String}}, short, b); diags.HasErrors() {
				return c.Attr, diags
			}
		}
		if !c.Given {
			c.Attr = Attr{Value: cty.NullVal(cty.String), Range: b.Range}
			if name := strings.Trim(def.Default, `"`); name != "" {
				c.Go, c.Value = name, cty.StringVal(name)
			}
		}
		if c.Go == nil {
			return c.Attr, nil
		}
		c.at = c.Range
		if options := body.Attributes["options"]; options != nil && b.Def.Attr("options") != nil {
			if c.options, diags = optionObject(options.Expr); diags.HasErrors() {
				return c.Attr, diags
			}
		}
	}
	c.name, _ = c.Go.(string)
	c.Go = nil
	c.translate(short)
	named, diags := d.named(&c, b.Scope)
	if !diags.HasErrors() && len(named.Options) > 0 {
		c.Go = named
	}
	return c.Attr, diags
}

// choice is a policy that was chosen.
type choice struct {
	Attr
	def     *schema.Attr
	name    string
	at      hcl.Range // of the whole
	options hclsyntax.Attributes
}

// translate makes of a name that others use ours, and of a duration the policy
// that it is an option of.
func (c *choice) translate(short *hclsyntax.Attribute) {
	if ours := c.def.Type.Aliases[c.name]; ours != "" {
		c.name, c.Value = ours, cty.StringVal(ours)
	}
	name, option, ok := strings.Cut(c.def.Type.Duration, ".")
	if _, err := units.Duration(c.name); ok && err == nil && short != nil {
		c.name, c.Value = name, cty.StringVal(name)
		c.options = hclsyntax.Attributes{option: short}
	}
}

// optionObject is the fields of `options = { ... }` as arguments.
func optionObject(expr hclsyntax.Expression) (hclsyntax.Attributes, hcl.Diagnostics) {
	object, ok := expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return nil, hcl.Diagnostics{problem("AIN1203", expr.Range(), "options wants an object", "write options = { name = value }")}
	}
	attributes := hclsyntax.Attributes{}
	for _, item := range object.Items {
		name := hcl.ExprAsKeyword(item.KeyExpr)
		if v, diags := item.KeyExpr.Value(nil); name == "" && !diags.HasErrors() {
			name = word(v)
		}
		if name == "" {
			return nil, hcl.Diagnostics{problem("AIN1203", item.KeyExpr.Range(), "the name of an option is written out", "")}
		}
		attributes[name] = &hclsyntax.Attribute{
			Name: name, Expr: item.ValueExpr, NameRange: item.KeyExpr.Range(), SrcRange: hcl.RangeBetween(item.KeyExpr.Range(), item.ValueExpr.Range()),
		}
	}
	return attributes, nil
}

// named checks the policy and its options with the registry, which fills in
// defaults. A policy that the language has and the registry does not is valid,
// and lacking.
func (d *Decoder) named(c *choice, scope Scope) (spec.Named, hcl.Diagnostics) {
	n := spec.Named{Name: c.name}
	kind, policies := c.def.Name, d.policies[c.def.Name]
	if policies == nil || slices.Contains(c.def.Type.Values, n.Name) && !slices.Contains(policies.Names(), n.Name) {
		if !slices.Contains(c.def.Type.Values, n.Name) {
			return n, unknownPolicy(c, c.def.Type.Values)
		}
		c.lacking = []lack{{schema.Both, fmt.Sprintf("%s %q", kind, n.Name)}}
		n.Options = json.RawMessage("{}")
		return n, d.evaluateAll(c.options, scope)
	}
	var placed hcl.Diagnostics
	unknown := false
	err := policies.Check(n.Name, func(into any) (err error) {
		if placed, unknown = d.options(into, kind, c.options, scope); placed.HasErrors() {
			return placed
		}
		n.Options, err = json.Marshal(into)
		return err
	})
	var missing *registry.UnknownError
	switch {
	case placed.HasErrors():
		return n, placed
	case errors.As(err, &missing):
		return n, unknownPolicy(c, missing.Known)
	case err != nil && !unknown:
		return n, hcl.Diagnostics{problem("AIN1203", c.at, fmt.Sprintf("%s %s: %v", kind, n.Name, err), "")}
	case unknown:
		n.Options = nil
	}
	return n, placed
}

// evaluateAll evaluates options of a policy whose options are not known yet.
func (d *Decoder) evaluateAll(options hclsyntax.Attributes, scope Scope) (diags hcl.Diagnostics) {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		_, more := d.eval(options[name].Expr, scope)
		diags = append(diags, more...)
	}
	return diags
}

func unknownPolicy(c *choice, known []string) hcl.Diagnostics {
	known = slices.Concat(known, c.def.Type.Values)
	slices.Sort(known)
	known = slices.Compact(known)
	kind := c.def.Name + " policy"
	if c.def.Name == "policy" {
		kind = "balancer policy"
	}
	return hcl.Diagnostics{diag.Problem{
		ID: "AIN1201", Summary: fmt.Sprintf("unknown %s %q", kind, c.name), At: &c.Range, Suggest: diag.Suggest(c.name, known),
		Notes: []diag.Note{diag.Help("known: %s", strings.Join(known, ", "))},
	}.Rename(c.Range, c.name).Diagnostic()}
}

// options fills the struct at into from the arguments that its hcl tags name.
func (d *Decoder) options(into any, kind string, given hclsyntax.Attributes, scope Scope) (diags hcl.Diagnostics, unknown bool) {
	fields := map[string]reflect.Value{}
	v := reflect.ValueOf(into).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) { // those of embedded structs too
		if tag, _, _ := strings.Cut(f.Tag.Get("hcl"), ","); tag != "" {
			fields[tag] = v.FieldByIndex(f.Index)
		}
	}
	known := slices.Sorted(maps.Keys(fields))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		src := given[name]
		field, ok := fields[name]
		if !ok {
			p := diag.Problem{ID: "AIN1102", Summary: fmt.Sprintf("unknown option %q of this %s", name, kind), At: &src.NameRange, Suggest: diag.Suggest(name, known)}
			if len(known) == 0 {
				p.Notes = []diag.Note{diag.Help("it has no options")}
			} else if len(p.Suggest) == 0 {
				p.Notes = []diag.Note{diag.Help("its options are %s", strings.Join(known, ", "))}
			}
			diags = append(diags, p.Rename(src.NameRange, name).Diagnostic())
			continue
		}
		def := &schema.Attr{Name: name, Type: schema.Type{Kind: optionKind(field.Type())}, Required: true}
		a, more := d.attr(def, src, &Block{Scope: scope})
		diags = append(diags, more...)
		if a.Go == nil {
			unknown = true
			continue
		}
		if field.Type() == numbers {
			all, err := parseNumbers(a.Go.(map[string]string))
			if err != nil {
				diags = append(diags, diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("%s: %v", name, err), At: &a.Range}.Diagnostic())
				continue
			}
			field.Set(reflect.ValueOf(all))
			continue
		}
		field.Set(reflect.ValueOf(a.Go).Convert(field.Type()))
	}
	return diags, unknown
}

// numbers is the type of an option that has a number for each of some names.
var numbers = reflect.TypeFor[map[string]float64]()

func parseNumbers(texts map[string]string) (map[string]float64, error) {
	all := map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		v, err := strconv.ParseFloat(texts[name], 64)
		if err != nil {
			return nil, fmt.Errorf("%s is %q, want a number", name, texts[name])
		}
		all[name] = v
	}
	return all, nil
}

// optionKind is what an option of a Go type holds in HCL.
func optionKind(t reflect.Type) schema.Kind {
	switch t {
	case reflect.TypeFor[spec.Bytes]():
		return schema.Bytes
	case reflect.TypeFor[[]string]():
		return schema.Strings
	case numbers:
		return schema.Map
	}
	switch {
	case t.String() == "time.Duration":
		return schema.Duration
	case t.Kind() == reflect.String:
		return schema.String
	case t.Kind() == reflect.Bool:
		return schema.Bool
	case t.Kind() == reflect.Float64:
		return schema.Number
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return schema.Int
	}
	panic("registry: no HCL for an option of type " + t.String())
}
