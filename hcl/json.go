package hcl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
)

// translator turns JSON into native syntax.
type translator struct {
	src     []byte
	path    string
	problem *diag.Problem // the first
}

// property is a name with its value in a JSON object.
type property struct {
	name string
	at   hcl.Range
	expr hcl.Expression
}

func (t *translator) report(at hcl.Range, summary, help string) {
	if t.problem == nil {
		t.problem = &diag.Problem{ID: "AIN1004", Summary: summary, At: &at, Notes: []diag.Note{diag.Help("%s", help)}}
	}
}

// properties lists those of an object; ok is false when expr is none.
func properties(expr hcl.Expression) (items []property, ok bool) {
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return nil, false
	}
	for _, p := range pairs {
		key, _ := p.Key.Value(nil) // a JSON key is a string
		if key.Type() == cty.String && key.IsKnown() && !key.IsNull() {
			items = append(items, property{key.AsString(), p.Key.Range(), p.Value})
		}
	}
	return items, true
}

// body is an object as a body of def.
func (t *translator) body(items []property, def *schema.Block, end hcl.Range) *hclsyntax.Body {
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, EndRange: end, SrcRange: end}
	slices.SortFunc(items, func(a, b property) int { return a.at.Start.Byte - b.at.Start.Byte })
	for _, item := range items {
		if strings.HasPrefix(item.name, "//") { // a comment
			continue
		}
		inner := def.Block(item.name)
		if item.name == "dynamic" && inner == nil && len(def.Blocks) > 0 {
			t.dynamic(body, item, def)
			continue
		}
		if attr := def.Attr(item.name); inner == nil || attr != nil && !t.isBlock(item.expr) {
			if first := body.Attributes[item.name]; first != nil {
				t.report(item.at, fmt.Sprintf("%q is given twice", item.name), "keep one of them")
			}
			body.Attributes[item.name] = &hclsyntax.Attribute{
				Name: item.name, Expr: t.argument(item.expr, attr), SrcRange: hcl.RangeBetween(item.at, item.expr.Range()), NameRange: t.inside(item.at),
			}
			continue
		}
		t.blocks(body, item, inner)
	}
	return body
}

// dynamic adds dynamic blocks: by the type of the block they make.
func (t *translator) dynamic(body *hclsyntax.Body, item property, parent *schema.Block) {
	kinds, ok := properties(item.expr)
	if !ok {
		t.report(item.expr.Range(), `"dynamic" wants an object by type of block`, `write "dynamic": { "host": { "for_each": ..., "content": { ... } } }`)
		return
	}
	for _, kind := range kinds {
		content := schema.Block{}
		if def := parent.Block(kind.name); def != nil {
			content = *def
		}
		content.Type, content.Label = "content", ""
		generator := &schema.Block{
			Type: "dynamic", Label: "block", Blocks: []*schema.Block{&content},
			Attrs: []schema.Attr{{Name: "iterator", Type: schema.Type{Kind: schema.Expr, Bare: true}}},
		}
		t.each(kind.expr, func(expr hcl.Expression) { t.block(body, item, &kind, expr, generator) })
	}
}

// isBlock reports whether a value of an argument that has a block of the same
// name is the block: an object.
func (t *translator) isBlock(expr hcl.Expression) bool {
	_, ok := properties(expr)
	return ok
}

// blocks adds the blocks that a property holds: by label when they take one,
// each an object or a list of objects.
func (t *translator) blocks(body *hclsyntax.Body, item property, def *schema.Block) {
	if def.Label == "" {
		t.each(item.expr, func(expr hcl.Expression) { t.block(body, item, nil, expr, def) })
		return
	}
	t.each(item.expr, func(expr hcl.Expression) {
		labels, ok := properties(expr)
		if !ok {
			t.report(expr.Range(), fmt.Sprintf("%q wants an object of %ss by %s", item.name, def.Type, def.Label), fmt.Sprintf(`write "%s": { "%s": { ... } }`, def.Type, def.Label))
			return
		}
		for _, label := range labels {
			t.each(label.expr, func(expr hcl.Expression) { t.block(body, item, &label, expr, def) })
		}
	})
}

// each calls f for the elements of a list, or for expr itself.
func (t *translator) each(expr hcl.Expression, f func(hcl.Expression)) {
	elements, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		f(expr)
		return
	}
	for _, e := range elements {
		f(e)
	}
}

func (t *translator) block(body *hclsyntax.Body, item property, label *property, expr hcl.Expression, def *schema.Block) {
	items, ok := properties(expr)
	if !ok {
		t.report(expr.Range(), fmt.Sprintf("%q is a block: it wants an object", item.name), fmt.Sprintf(`write "%s": { ... }`, item.name))
		return
	}
	at := expr.Range()
	open := hcl.Range{Filename: at.Filename, Start: at.Start, End: at.Start}
	b := &hclsyntax.Block{Type: item.name, TypeRange: t.inside(item.at), OpenBraceRange: open, CloseBraceRange: hcl.Range{Filename: at.Filename, Start: at.End, End: at.End}}
	if label != nil {
		b.Labels, b.LabelRanges = []string{label.name}, []hcl.Range{label.at}
		b.TypeRange = label.at // where the block is: a property may hold several
		if def.Variants != nil {
			def = def.Variant(label.name)
		}
	}
	if def == nil || def.Policy != "" {
		def = &schema.Block{}
	}
	b.Body = t.body(items, def, open)
	body.Blocks = append(body.Blocks, b)
	if len(body.Blocks) > maxBlocks {
		t.report(item.at, fmt.Sprintf("more than %d blocks", maxBlocks), "use for_each or dynamic")
	}
}

// inside is a range without its quotes.
func (t *translator) inside(r hcl.Range) hcl.Range {
	if text := r.SliceBytes(t.src); len(text) >= 2 && text[0] == '"' && r.Start.Line == r.End.Line {
		r.Start.Byte, r.Start.Column = r.Start.Byte+1, r.Start.Column+1
		r.End.Byte, r.End.Column = r.End.Byte-1, r.End.Column-1
	}
	return r
}

// argument is a value.
func (t *translator) argument(expr hcl.Expression, attr *schema.Attr) hclsyntax.Expression {
	if attr != nil && attr.Type.Bare {
		return t.bare(expr)
	}
	return t.expression(expr)
}

// bare is text that is an expression as such, not a template: a type, a name.
func (t *translator) bare(expr hcl.Expression) hclsyntax.Expression {
	if elements, diags := hcl.ExprList(expr); !diags.HasErrors() {
		list := &hclsyntax.TupleConsExpr{SrcRange: expr.Range(), OpenRange: expr.Range()}
		for _, e := range elements {
			list.Exprs = append(list.Exprs, t.bare(e))
		}
		return list
	}
	native := t.expression(expr)
	text, ok := t.text(expr)
	if where, _ := tooDeep([]byte(text), t.path); !ok || where != nil {
		return native
	}
	bare, diags := hclsyntax.ParseExpression([]byte(text), t.path, t.inside(expr.Range()).Start)
	if diags.HasErrors() {
		return native
	}
	return bare
}

// text is the string that expr is.
func (t *translator) text(expr hcl.Expression) (s string, ok bool) {
	raw := expr.Range().SliceBytes(t.src)
	ok = bytes.HasPrefix(raw, []byte(`"`)) && json.Unmarshal(raw, &s) == nil
	return s, ok
}

func (t *translator) expression(expr hcl.Expression) hclsyntax.Expression {
	at := expr.Range()
	if elements, diags := hcl.ExprList(expr); !diags.HasErrors() {
		list := &hclsyntax.TupleConsExpr{SrcRange: at, OpenRange: at}
		for _, e := range elements {
			list.Exprs = append(list.Exprs, t.expression(e))
		}
		return list
	}
	if items, ok := properties(expr); ok {
		object := &hclsyntax.ObjectConsExpr{SrcRange: at, OpenRange: at}
		for _, item := range items {
			object.Items = append(object.Items, hclsyntax.ObjectConsItem{
				KeyExpr:   &hclsyntax.ObjectConsKeyExpr{Wrapped: t.template(item.name, item.at), ForceNonLiteral: true},
				ValueExpr: t.expression(item.expr),
			})
		}
		return object
	}
	if text, ok := t.text(expr); ok {
		return t.template(text, at)
	}
	raw := at.SliceBytes(t.src)
	literal := &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: at}
	if hugeNumber(string(raw)) {
		t.report(at, fmt.Sprintf("this number has over %d digits, or an exponent over that", maxExponent), "write a smaller one")
		return literal
	}
	kind, err := ctyjson.ImpliedType(raw)
	if err == nil {
		literal.Val, err = ctyjson.Unmarshal(raw, kind)
	}
	if err != nil {
		t.report(at, "this is no value", err.Error())
	}
	return literal
}

// template is a string, which may have ${ } in it.
func (t *translator) template(text string, at hcl.Range) hclsyntax.Expression {
	start := t.inside(at).Start
	if where, what := tooDeep([]byte("x = \""+text+"\""), t.path); where != nil {
		t.report(at, what, "split it with locals")
		return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: at}
	}
	template, diags := hclsyntax.ParseTemplate([]byte(text), t.path, start)
	if diags.HasErrors() {
		d := firstError(diags)
		t.report(at, "the template in this string is wrong", d.Summary+": "+d.Detail)
		return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: at}
	}
	if plain, ok := template.(*hclsyntax.TemplateExpr); ok && plain.IsStringLiteral() {
		plain.SrcRange = at
	}
	return template
}
