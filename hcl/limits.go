package hcl

import (
	"fmt"
	"slices"

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

// Names under which functions stand that no file can call: they are no
// identifiers.
const (
	meter = "for"  // counts what a for expression goes through
	even  = "list" // makes a list of a long tuple whose elements have one type
)

// typeNames are what looks like calls in a type constraint.
var typeNames = []string{"list", "set", "map", "tuple", "object", "optional"}

// bound makes the expressions of a body take bounded time: every for expression
// counts its steps, and an argument of a function that is a long tuple becomes
// a list first, for to find the type that all elements of a tuple have takes
// cty the square of their number.
func (m *Module) bound(body *hclsyntax.Body) {
	call := func(name string, arg hclsyntax.Expression) hclsyntax.Expression {
		at := arg.Range()
		return &hclsyntax.FunctionCallExpr{Name: name, Args: []hclsyntax.Expression{arg}, NameRange: at, OpenParenRange: at, CloseParenRange: at}
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			n.CollExpr = call(meter, n.CollExpr)
		case *hclsyntax.FunctionCallExpr:
			if n.Name == meter || n.Name == even || slices.Contains(typeNames, n.Name) {
				return nil
			}
			for i, arg := range n.Args {
				n.Args[i] = call(even, arg)
			}
		}
		return nil
	})
	any := []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true}}
	m.functions[meter] = function.New(&function.Spec{
		Params: any, Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
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
	m.functions[even] = function.New(&function.Spec{
		Params: any, Type: func(args []cty.Value) (cty.Type, error) { return evenType(args[0]), nil },
		Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
			if !t.IsListType() || args[0].Type().IsListType() {
				return args[0], nil
			}
			tuple, marks := args[0].Unmark()
			return cty.ListVal(tuple.AsValueSlice()).WithMarks(marks), nil
		},
	})
}

// longTuple is the length from which on a tuple becomes a list.
const longTuple = 256

// evenType is the type of v, or that of a list when v is a long tuple whose elements have one type.
func evenType(v cty.Value) cty.Type {
	t := v.Type()
	if !v.IsKnown() || v.IsNull() || !t.IsTupleType() || t.Length() < longTuple {
		return t
	}
	elements := t.TupleElementTypes()
	for _, e := range elements[1:] {
		if !e.Equals(elements[0]) || e.HasDynamicTypes() {
			return t
		}
	}
	return cty.List(elements[0])
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
