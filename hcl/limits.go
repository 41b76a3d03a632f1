package hcl

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/ainur-faas/ainur/hcl/diag"
)

// Bounds of evaluation, far above what people compute.
const (
	maxSize  = 1 << 20   // of a value: elements, and bytes of text
	maxSteps = 300_000   // of for expressions within one expression
	maxTotal = 1_200_000 // of for expressions within all, a value counting for a 32nd of its size
	maxChain = 2000      // of references in one another
)

// meter is the name under which a function counts what for expressions go
// through. No file can call it: it is no identifier.
const meter = "for"

// bound makes every for expression in a body count its steps.
func (m *Module) bound(body *hclsyntax.Body) {
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		if loop, ok := n.(*hclsyntax.ForExpr); ok {
			at := loop.CollExpr.Range()
			loop.CollExpr = &hclsyntax.FunctionCallExpr{Name: meter, Args: []hclsyntax.Expression{loop.CollExpr}, NameRange: at, OpenParenRange: at, CloseParenRange: at}
		}
		return nil
	})
	m.functions[meter] = function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			list, _ := args[0].Unmark()
			if list.IsKnown() && !list.IsNull() && list.CanIterateElements() {
				m.steps += list.LengthInt()
				m.top.total += list.LengthInt()
			}
			if m.steps > maxSteps || m.top.total > maxTotal {
				return cty.DynamicVal, errTooManySteps
			}
			return args[0], nil
		},
	})
}

var errTooManySteps = fmt.Errorf("for expressions go through more than %d elements, or all together more than %d", maxSteps, maxTotal)

// tooLarge reports an expression whose references alone would make its value too large.
func (m *Module) tooLarge(expr hcl.Expression, refs []hcl.Traversal, ctx *hcl.EvalContext) *diag.Problem {
	if _, plain := expr.(*hclsyntax.ScopeTraversalExpr); plain || len(refs) < 2 {
		return nil
	}
	total := 0
	for _, ref := range refs {
		if v, diags := ref.TraverseAbs(ctx); !diags.HasErrors() {
			n := size(v, maxSize)
			total += n
			m.charge(n)
		}
		if total > maxSize {
			return large(expr.Range())
		}
	}
	return nil
}

func large(at hcl.Range) *diag.Problem {
	return &diag.Problem{
		ID: "AIN1333", Summary: fmt.Sprintf("this value is too large: more than %d elements and bytes of text", maxSize), At: &at,
		Notes: []diag.Note{diag.Help("an experiment is small; read large data with trace, or in the function")},
	}
}

// charge counts the work that a value of this size makes, and reports whether
// the work of all is too much.
func (m *Module) charge(n int) bool {
	m.top.total += n / 32
	return m.top.total > maxTotal
}

// size counts the elements of v and the bytes of its texts, up to limit.
func size(v cty.Value, limit int) int {
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() || limit <= 0 {
		return 1
	}
	switch {
	case v.Type() == cty.String:
		return 1 + len(v.AsString())
	case !v.CanIterateElements():
		return 1
	}
	n := 1
	for it := v.ElementIterator(); it.Next() && n < limit; {
		_, element := it.Element()
		n += size(element, limit-n)
	}
	return n
}
