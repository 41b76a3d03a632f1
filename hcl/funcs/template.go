package funcs

import (
	"errors"
	"fmt"
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// templatefile renders a file as a template with the given values and every function but itself.
func templatefile(o Options) function.Function {
	return static(cty.String, func(args []cty.Value) (cty.Value, error) {
		name := Abs(o.Root, args[0].AsString())
		if t := args[1].Type(); !t.IsObjectType() && !t.IsMapType() {
			return cty.NilVal, function.NewArgErrorf(1, "want an object, got %s", kind(args[1]))
		}
		src, err := readText(name)
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		if err := shallow([]byte(src), name); err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		template, diags := hclsyntax.ParseTemplate([]byte(src), name, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(0, diags)
		}
		meter(template)
		functions := With(o)
		delete(functions, "templatefile")
		variables := map[string]cty.Value{}
		maps.Copy(variables, args[1].AsValueMap())
		v, diags := template.Value(&hcl.EvalContext{Variables: variables, Functions: functions})
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(0, diags)
		}
		v, err = convert.Convert(v, cty.String)
		if err == nil && v.IsNull() {
			err = errors.New("the template gives null")
		}
		return v, err
	}, cty.String, cty.DynamicPseudoType)
}

// maxOperators bounds what a template has between two separators: the parser
// goes down for each.
const maxOperators = 2000

// shallow reports a template that is too deep for the parser.
func shallow(src []byte, name string) error {
	tokens, _ := hclsyntax.LexTemplate(src, name, hcl.InitialPos) // what is wrong is the parser's to say
	depth, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc, hclsyntax.TokenOQuote:
			depth++
			operators = 0
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenCQuote:
			depth--
		case hclsyntax.TokenComma, hclsyntax.TokenNewline:
			operators = 0
		default:
			operators++
		}
		if depth > maxDepth || depth > 0 && operators > maxOperators {
			return fmt.Errorf("%s:%d: over the limit of %d brackets in one another, or of %d operators", name, t.Range.Start.Line, maxDepth, maxOperators)
		}
	}
	return nil
}

// meter makes a template fail when its loops go through too many elements, or
// its text gets too long.
func meter(template hclsyntax.Expression) {
	steps, bytes := 0, 0
	var loops []*hclsyntax.ForExpr
	var texts []*hclsyntax.TemplateExpr
	_ = hclsyntax.VisitAll(template, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			loops = append(loops, n)
		case *hclsyntax.TemplateExpr:
			texts = append(texts, n)
		}
		return nil
	})
	for _, loop := range loops {
		loop.CollExpr = metered{loop.CollExpr, func(v cty.Value) error {
			if steps += 1 + lengthOf(v); steps > maxList {
				return errList
			}
			return nil
		}}
	}
	for _, text := range texts {
		for i, part := range text.Parts {
			text.Parts[i] = metered{part, func(v cty.Value) error {
				if v, err := convert.Convert(v, cty.String); err == nil {
					bytes += len(textOf(v))
				}
				if bytes > maxText {
					return errText
				}
				return nil
			}}
		}
	}
}

// metered is an expression whose value is looked at.
type metered struct {
	hclsyntax.Expression
	look func(cty.Value) error
}

// Value is that of the expression, or an error of look.
func (m metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := m.Expression.Value(ctx)
	if !diags.HasErrors() {
		if err := m.look(v); err != nil {
			at := m.Range()
			return cty.DynamicVal, append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Too much", Detail: err.Error(), Subject: &at})
		}
	}
	return v, diags
}
