package decode

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

// attr decodes an argument; an absent or null one has its default.
func (d *Decoder) attr(def *schema.Attr, src *hclsyntax.Attribute, b *Block) (Attr, hcl.Diagnostics) {
	standard := Attr{Value: cty.NullVal(valueType(def.Type.Kind))}
	if def.Default != "" {
		standard = d.standard(def)
	}
	if src == nil {
		standard.Range = b.Range
		return standard, nil
	}
	if a, ok := d.constants[constant{src, def.Type.Kind}]; ok {
		return a, nil
	}
	at := src.Expr.Range()
	wrong := Attr{Value: cty.DynamicVal, Range: at, Given: true}
	v, diags := d.eval(src.Expr, b.Scope)
	if diags.HasErrors() {
		return wrong, diags
	}
	switch {
	case def.Type.Kind == schema.Secret:
		v, _ = v.UnmarkDeep()
	case v.IsMarked(), def.Type.Kind != schema.Ref && v.ContainsMarked(): // of what a Ref names only the address is taken
		return wrong, hcl.Diagnostics{sensitive(at)}
	}
	if v.IsNull() {
		if def.Required {
			return wrong, hcl.Diagnostics{problem("AIN1103", at, fmt.Sprintf("%q is null and is required", def.Name), "")}
		}
		standard.Range = b.Range
		return standard, nil
	}
	a, diags := d.Convert(def, v, src.Expr)
	a.standard = standard.Value
	if !diags.HasErrors() && len(src.Expr.Variables()) == 0 {
		d.constants[constant{src, def.Type.Kind}] = a
	}
	return a, diags
}

// standard is the argument when it is not given; its Range is not set.
func (d *Decoder) standard(def *schema.Attr) Attr {
	if a, ok := d.defaults[def]; ok {
		return a
	}
	a := Attr{Value: cty.NullVal(valueType(def.Type.Kind))}
	if def.Default != "" {
		expr, diags := hclsyntax.ParseExpression([]byte(def.Default), "default of "+def.Name, hcl.InitialPos)
		v, more := expr.Value(nil)
		if diags = append(diags, more...); !diags.HasErrors() {
			a, diags = d.Convert(def, v, expr)
		}
		if diags.HasErrors() {
			panic("schema: default of " + def.Name + ": " + diags.Error())
		}
		a.Given, a.standard = false, a.Value
	}
	d.defaults[def] = a
	return a
}

// valueType is the type of the value that a reference to an argument has.
func valueType(k schema.Kind) cty.Type {
	switch k {
	case schema.String, schema.Enum, schema.Policy:
		return cty.String
	case schema.Number, schema.Int, schema.Duration, schema.Bytes, schema.Rate, schema.Bits:
		return cty.Number
	case schema.Bool:
		return cty.Bool
	case schema.Strings, schema.Enums:
		return cty.List(cty.String)
	case schema.Map:
		return cty.Map(cty.String)
	}
	return cty.DynamicPseudoType
}

// Convert gives v, the value of expr, the type of an argument.
func (d *Decoder) Convert(def *schema.Attr, v cty.Value, expr hcl.Expression) (Attr, hcl.Diagnostics) {
	a := Attr{Value: cty.UnknownVal(valueType(def.Type.Kind)), Range: expr.Range(), Given: true}
	kind := def.Type.Kind
	if !v.IsKnown() || kind != schema.Any && kind != schema.Ref && kind != schema.Object && !v.IsWhollyKnown() {
		return a, nil
	}
	c := converter{def: def, expr: expr}
	var err error
	if kind == schema.Object {
		return d.object(def, v, expr)
	}
	a.Go, a.Value, err = c.convert(v)
	a.lacking = c.lacking
	var wrong *Wrong
	switch {
	case err == nil:
		return a, nil
	case errors.As(err, &wrong):
	default:
		wrong = &Wrong{diag.Problem{ID: "AIN1203", Summary: def.Name + ": " + err.Error()}}
	}
	p := wrong.Problem
	if p.At == nil {
		at := expr.Range()
		p.At = &at
	}
	if p.At.Start == expr.Range().Start {
		p = p.Rename(*p.At, word(v))
	}
	return Attr{Value: cty.UnknownVal(valueType(def.Type.Kind)), Range: expr.Range(), Given: true}, hcl.Diagnostics{p.Diagnostic()}
}

// Wrong is an error that is a Problem already; the place may be missing.
type Wrong struct{ diag.Problem }

func (w *Wrong) Error() string { return w.Summary }

// word is v when it is a string, for a fix.
func word(v cty.Value) string {
	if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		return v.AsString()
	}
	return ""
}

// object decodes an object with known fields; its Go is a *Block.
func (d *Decoder) object(def *schema.Attr, v cty.Value, expr hcl.Expression) (Attr, hcl.Diagnostics) {
	a := Attr{Value: cty.DynamicVal, Range: expr.Range(), Given: true}
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		return a, hcl.Diagnostics{problem("AIN1203", expr.Range(), fmt.Sprintf("%s: want an object, got %s", def.Name, t.FriendlyName()), "")}
	}
	var diags hcl.Diagnostics
	b := &Block{Type: def.Name, Range: expr.Range(), Scope: Scope{Owner: def.Name}, Attrs: map[string]Attr{}}
	fields := v.AsValueMap()
	var names []string
	for i := range def.Type.Fields {
		field := &def.Type.Fields[i]
		names = append(names, field.Name)
		value, given := fields[field.Name]
		switch {
		case given && !value.IsNull():
			var more hcl.Diagnostics
			b.Attrs[field.Name], more = d.Convert(field, value, part(expr, field.Name))
			diags = append(diags, more...)
		case field.Required:
			diags = append(diags, problem("AIN1103", expr.Range(), fmt.Sprintf("%s needs %q", def.Name, field.Name), field.Doc))
		default:
			b.Attrs[field.Name] = d.standard(field)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(names, name) {
			at := KeyRange(expr, name)
			p := diag.Problem{ID: "AIN1102", Summary: fmt.Sprintf("unknown field %q in %s", name, def.Name), At: &at, Suggest: diag.Suggest(name, names)}
			if len(p.Suggest) == 0 {
				p.Notes = []diag.Note{diag.Help("it takes %s", strings.Join(names, ", "))}
			}
			diags = append(diags, p.Rename(at, name).Diagnostic())
		}
	}
	if !diags.HasErrors() {
		a.Go, a.Value = b, cty.ObjectVal(b.Object())
	}
	return a, diags
}

// KeyRange is where an object constructor has a key, or all of expr when it is computed.
func KeyRange(expr hcl.Expression, name string) hcl.Range {
	if object, ok := expr.(*hclsyntax.ObjectConsExpr); ok {
		for _, item := range object.Items {
			if hcl.ExprAsKeyword(item.KeyExpr) == name {
				return item.KeyExpr.Range()
			}
			if v, diags := item.KeyExpr.Value(nil); !diags.HasErrors() && word(v) == name {
				return item.KeyExpr.Range()
			}
		}
	}
	return expr.Range()
}

type converter struct {
	def     *schema.Attr
	expr    hcl.Expression
	lacking []lack // found in the value
}

func (c *converter) convert(v cty.Value) (any, cty.Value, error) {
	t := c.def.Type
	switch t.Kind {
	case schema.Any:
		return v, v, nil
	case schema.Ref, schema.Secret:
		ids, err := c.refs(v)
		if err != nil {
			return nil, cty.NilVal, err
		}
		return ids, v, nil
	case schema.Duration:
		d, err := duration(v, c.expr)
		return d, funcs.Number(d.Seconds()), c.check(float64(d), err)
	case schema.Bytes:
		n, err := size(v, c.expr)
		if err == nil && int64(n) < t.Min && n >= 0 {
			err = fmt.Errorf("want at least %s", units.FormatBytes(spec.Bytes(t.Min)))
		}
		return n, cty.NumberIntVal(int64(n)), c.check(float64(n), err)
	case schema.Bits:
		n, err := bandwidth(v, c.expr)
		return n, funcs.Number(n), c.check(n, err)
	case schema.Rate:
		r, err := rate(v, c.expr)
		return r, funcs.Number(r), c.check(r, err)
	case schema.Dist:
		d, err := dist(v, c.expr)
		return d, v, err
	}
	conv, err := convert.Convert(v, valueType(t.Kind))
	if err != nil || conv.IsNull() || !conv.IsWhollyKnown() {
		return nil, cty.NilVal, fmt.Errorf("want %s, got %s", valueType(t.Kind).FriendlyName(), v.Type().FriendlyName())
	}
	switch t.Kind {
	case schema.String:
		return conv.AsString(), conv, nil
	case schema.Enum:
		return conv.AsString(), conv, c.enum(conv.AsString())
	case schema.Bool:
		return conv.True(), conv, nil
	case schema.Number:
		f, _ := conv.AsBigFloat().Float64()
		return f, conv, c.check(f, nil)
	case schema.Int:
		n, accuracy := conv.AsBigFloat().Int64()
		if accuracy != big.Exact {
			return nil, cty.NilVal, fmt.Errorf("want a whole number, got %s", diag.Value(conv))
		}
		if t.Max > 0 && n > t.Max {
			return nil, cty.NilVal, fmt.Errorf("want at most %d, got %d", t.Max, n)
		}
		if n >= 0 && n < t.Min {
			return nil, cty.NilVal, fmt.Errorf("want at least %d, got %d", t.Min, n)
		}
		return n, conv, c.check(float64(n), nil)
	case schema.Strings, schema.Enums:
		list := []string{}
		for _, s := range conv.Elements() {
			if s.IsNull() {
				return nil, cty.NilVal, errors.New("the list holds a null")
			}
			list = append(list, s.AsString())
			if t.Kind == schema.Enums {
				if err := c.enum(s.AsString()); err != nil {
					return nil, cty.NilVal, err
				}
			}
		}
		return list, conv, nil
	case schema.Map:
		entries := map[string]string{}
		for key, s := range conv.Elements() {
			if s.IsNull() {
				return nil, cty.NilVal, fmt.Errorf("the value of %s is null", key.AsString())
			}
			entries[key.AsString()] = s.AsString()
		}
		return entries, conv, nil
	}
	panic("schema: no conversion to " + t.Kind)
}

// check refuses numbers out of the range of the argument.
func (c *converter) check(f float64, err error) error {
	switch {
	case err != nil:
		return err
	case math.IsInf(f, 0):
		return errors.New("the number is too large")
	case f < 0:
		return errors.New("want no negative value")
	case f == 0 && c.def.Type.Positive:
		return errors.New("want more than 0")
	}
	return nil
}

func (c *converter) enum(s string) error {
	t := c.def.Type
	if slices.Contains(t.Values, s) {
		if in := t.Lacking[s]; in != 0 {
			c.lacking = append(c.lacking, lack{in, fmt.Sprintf("%s %q", c.def.Name, s)})
		}
		return nil
	}
	p := diag.Problem{ID: "AIN1202", Summary: fmt.Sprintf("%q is no %s", s, c.def.Name), Suggest: diag.Suggest(s, t.Values)}
	if len(t.Values) > 0 {
		p.Notes = []diag.Note{diag.Help("%s is one of %s", c.def.Name, strings.Join(t.Values, ", "))}
	}
	if t.Kind == schema.Enums {
		at := element(c.expr, s)
		p.At = &at
		p = p.Rename(at, s)
	}
	return &Wrong{p}
}

// element is where a list constructor has a string, or all of expr.
func element(expr hcl.Expression, s string) hcl.Range {
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok {
		for _, e := range list.Exprs {
			if v, diags := e.Value(nil); !diags.HasErrors() && word(v) == s {
				return e.Range()
			}
		}
	}
	return expr.Range()
}

// quantity reads text with a unit, or a computed number of base units. A
// literal number is a mistake: what it counts is not written down.
func quantity[T ~int64 | ~float64](v cty.Value, expr hcl.Expression, parse func(string) (T, error), base float64, bare diag.Problem) (T, error) {
	switch {
	case v.IsNull():
		return 0, errors.New("the value is null")
	case v.Type() == cty.String:
		q, err := parse(v.AsString())
		if errors.Is(err, units.ErrNoUnit) {
			return 0, &Wrong{bare}
		}
		return q, err
	case v.Type() != cty.Number:
		return 0, fmt.Errorf("want text with a unit or a computed number, got %s", v.Type().FriendlyName())
	case literal(expr):
		return 0, &Wrong{bare}
	}
	f, _ := v.AsBigFloat().Float64()
	if f *= base; math.Abs(f) >= 1<<63 {
		return 0, errors.New("the number is too large")
	}
	if _, fraction := any(T(0)).(float64); !fraction {
		f = math.Round(f)
	}
	return T(f), nil
}

func duration(v cty.Value, expr hcl.Expression) (time.Duration, error) {
	n := number(v)
	return quantity(v, expr, units.Duration, 1e9, diag.Problem{
		ID: "AIN1204", Summary: "a duration needs a unit", Label: "this is a bare number",
		Notes: []diag.Note{diag.Help("write \"%ss\" for seconds or \"%sm\" for minutes", n, n)},
	})
}

func size(v cty.Value, expr hcl.Expression) (spec.Bytes, error) {
	n := number(v)
	return quantity(v, expr, units.Bytes, 1, diag.Problem{
		ID: "AIN1204", Summary: "a size needs a unit", Label: "this is a bare number",
		Notes: []diag.Note{diag.Help("write \"%sMiB\" for mebibytes or \"%sGiB\" for gibibytes", n, n)},
	})
}

func rate(v cty.Value, expr hcl.Expression) (float64, error) {
	n := number(v)
	return quantity(v, expr, units.Rate, 1, diag.Problem{
		ID: "AIN1204", Summary: "a rate needs a unit", Label: "this is a bare number",
		Notes: []diag.Note{diag.Help("write \"%s/s\" for calls per second or \"%s/m\" for calls per minute", n, n)},
	})
}

func bandwidth(v cty.Value, expr hcl.Expression) (float64, error) {
	n := number(v)
	return quantity(v, expr, units.Bits, 1, diag.Problem{
		ID: "AIN1204", Summary: "a bandwidth needs a unit", Label: "this is a bare number",
		Notes: []diag.Note{diag.Help("write \"%sGbit/s\" or \"%sMbit/s\"", n, n)},
	})
}

// literal reports whether expr is a number as such, perhaps negated.
func literal(expr hcl.Expression) bool {
	switch e := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return true
	case *hclsyntax.ParenthesesExpr:
		return literal(e.Expression)
	case *hclsyntax.UnaryOpExpr:
		return literal(e.Val)
	}
	return false
}

// number is the number that lacks its unit.
func number(v cty.Value) string {
	if v.IsNull() {
		return ""
	}
	if v.Type() == cty.String {
		return v.AsString()
	}
	return diag.Value(v)
}

// dist reads a constant such as "20ms", or a distribution such as
// { kind = "lognormal", mean = "20ms", cv = 0.5 }.
func dist(v cty.Value, expr hcl.Expression) (spec.Dist, error) {
	if !v.Type().IsObjectType() {
		d, err := duration(v, expr)
		if err == nil && d < 0 {
			err = errors.New("want no negative value")
		}
		return spec.Dist{Kind: "constant", Mean: d}, err
	}
	fields := v.AsValueMap()
	kind := "constant"
	if k, ok := fields["kind"]; ok && k.Type() == cty.String && !k.IsNull() {
		kind = k.AsString()
	}
	known := map[string][]string{
		"constant": {"mean"}, "exponential": {"mean"}, "lognormal": {"mean", "cv"}, "uniform": {"min", "max"}, "empirical": {"samples"},
	}
	want, ok := known[kind]
	if !ok {
		kinds := []string{"constant", "exponential", "lognormal", "uniform", "empirical"}
		return spec.Dist{}, &Wrong{diag.Problem{
			ID: "AIN1202", Summary: fmt.Sprintf("%q is no kind of distribution", kind), Suggest: diag.Suggest(kind, kinds),
			Notes: []diag.Note{diag.Help("kind is one of %s", strings.Join(kinds, ", "))},
		}}
	}
	d := spec.Dist{Kind: kind}
	for name := range fields {
		if name != "kind" && !slices.Contains(want, name) {
			return d, fmt.Errorf("a distribution of kind %s takes %s, not %s", kind, strings.Join(want, " and "), name)
		}
	}
	times := map[string]*time.Duration{"mean": &d.Mean, "min": &d.Min, "max": &d.Max}
	for _, name := range want {
		field, ok := fields[name]
		if !ok {
			return d, fmt.Errorf("a distribution of kind %s needs %s", kind, name)
		}
		var err error
		switch name {
		case "cv":
			var cv cty.Value
			if cv, err = convert.Convert(field, cty.Number); err == nil && !cv.IsNull() {
				d.CV, _ = cv.AsBigFloat().Float64()
			}
		case "samples":
			d.Samples, err = samples(field, expr)
		default:
			*times[name], err = duration(field, part(expr, name))
		}
		if err != nil {
			return d, err
		}
	}
	if d.Mean < 0 || d.Min < 0 || d.Max < d.Min || d.CV < 0 {
		return d, errors.New("want no negative value, and min up to max")
	}
	return d, nil
}

func samples(v cty.Value, expr hcl.Expression) ([]time.Duration, error) {
	if v.IsNull() || !v.CanIterateElements() || v.LengthInt() == 0 {
		return nil, errors.New("samples is a list of durations, at least one")
	}
	var all []time.Duration
	for _, element := range v.Elements() {
		d, err := duration(element, expr)
		if err != nil {
			return nil, err
		}
		if d < 0 {
			return nil, errors.New("want no negative value")
		}
		all = append(all, d)
	}
	slices.Sort(all)
	return all, nil
}

// part is the expression of a field of an object constructor, or expr itself.
func part(expr hcl.Expression, field string) hcl.Expression {
	object, ok := expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return expr
	}
	for _, item := range object.Items {
		if key, diags := item.KeyExpr.Value(nil); !diags.HasErrors() && key.Type() == cty.String && key.AsString() == field {
			return item.ValueExpr
		}
	}
	return expr
}
