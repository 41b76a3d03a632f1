package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/registry"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
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
	var name Attr
	var at hcl.Range
	options := &hclsyntax.Body{}
	if long != nil {
		name = Attr{Go: long.Labels[0], Value: cty.StringVal(long.Labels[0]), Range: long.LabelRanges[0], Given: true}
		at, options = long.DefRange(), long.Body
	} else {
		text := *def
		text.Type.Kind = schema.String
		var diags hcl.Diagnostics
		if name, diags = d.attr(&text, short, b); diags.HasErrors() || name.Go == nil {
			return name, diags
		}
		at = name.Range
	}
	named, diags := d.named(def.Name, name, at, options, b.Scope)
	if name.Go = nil; !diags.HasErrors() && len(named.Options) > 0 {
		name.Go = named
	}
	return name, diags
}

// named checks the policy and its options with the registry, which fills in defaults.
func (d *Decoder) named(kind string, name Attr, at hcl.Range, body *hclsyntax.Body, scope Scope) (spec.Named, hcl.Diagnostics) {
	n := spec.Named{Name: name.Go.(string)}
	policies := d.Policies[kind]
	if policies == nil {
		panic("hcl: no registry for " + kind)
	}
	var placed hcl.Diagnostics
	unknown := false
	err := policies.Check(n.Name, func(into any) (err error) {
		if placed, unknown = d.options(into, kind, body, scope); placed.HasErrors() {
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
		r := name.Range
		return n, hcl.Diagnostics{diag.Problem{
			ID: "AIN1201", Summary: missing.Error(), At: &r, Suggest: diag.Suggest(n.Name, missing.Known),
			Notes: []diag.Note{diag.Help("known: %s", strings.Join(missing.Known, ", "))},
		}.Diagnostic()}
	case err != nil && !unknown:
		return n, hcl.Diagnostics{problem("AIN1203", at, fmt.Sprintf("%s %s: %v", kind, n.Name, err), "")}
	case unknown:
		n.Options = nil
	}
	return n, placed
}

// options fills the struct at into from the arguments that its hcl tags name.
func (d *Decoder) options(into any, kind string, body *hclsyntax.Body, scope Scope) (diags hcl.Diagnostics, unknown bool) {
	fields := map[string]reflect.Value{}
	v := reflect.ValueOf(into).Elem()
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("hcl"), ","); tag != "" {
			fields[tag] = v.Field(i)
		}
	}
	known := slices.Sorted(maps.Keys(fields))
	for _, name := range slices.Sorted(maps.Keys(body.Attributes)) {
		src := body.Attributes[name]
		field, ok := fields[name]
		if !ok {
			p := diag.Problem{ID: "AIN1102", Summary: fmt.Sprintf("unknown option %q of this %s", name, kind), At: &src.NameRange, Suggest: diag.Suggest(name, known)}
			if len(known) == 0 {
				p.Notes = []diag.Note{diag.Help("it has no options")}
			} else if len(p.Suggest) == 0 {
				p.Notes = []diag.Note{diag.Help("its options are %s", strings.Join(known, ", "))}
			}
			diags = append(diags, p.Diagnostic())
			continue
		}
		def := &schema.Attr{Name: name, Type: schema.Type{Kind: optionKind(field.Type())}, Required: true}
		a, more := d.attr(def, src, &Block{Scope: scope})
		diags = append(diags, more...)
		if a.Go == nil {
			unknown = true
			continue
		}
		field.Set(reflect.ValueOf(a.Go).Convert(field.Type()))
	}
	return diags, unknown
}

// optionKind is what an option of a Go type holds in HCL.
func optionKind(t reflect.Type) schema.Kind {
	switch t {
	case reflect.TypeFor[spec.Bytes]():
		return schema.Bytes
	case reflect.TypeFor[[]string]():
		return schema.Strings
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
