package hcl

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
)

// Repeats that statistics need.
const (
	someRepeats    = 5
	medianInterval = 6
)

// fewRepeats warns of experiments whose spread cannot be seen.
func (l *linter) fewRepeats(st *study) {
	n, at, known := st.repeat()
	if !known || n >= someRepeats || st.adaptive() || l.compares() != nil {
		return
	}
	l.warn(nil, diag.Problem{
		Summary: fmt.Sprintf("%s has %s", st.Scope.Owner, counted(int(n), "repeat")), At: &at,
		Notes: []diag.Note{diag.Help("write repeat = %d or more; 10 is the default", someRepeats)},
	})
}

// fewToCompare warns of comparisons that cannot find a difference.
func (l *linter) fewToCompare(st *study) {
	n, at, known := st.repeat()
	report := l.compares()
	if !known || n >= medianInterval || st.adaptive() || report == nil {
		return
	}
	l.warn(nil, diag.Problem{
		Summary: fmt.Sprintf("%s has %s, too few to compare", st.Scope.Owner, counted(int(n), "repeat")), At: &at,
		Related: []diag.Related{{At: report.Attrs["compare"].Range, Label: "they are compared here"}},
		Notes:   []diag.Note{diag.Help("write repeat = %d or more", medianInterval)},
	})
}

// adaptive reports whether the repeats go on until the result is narrow enough.
func (st *study) adaptive() bool { return st.sweep != nil && st.sweep.One("adaptive") != nil }

// compares is a table that compares points, or nil. Reports are of all experiments.
func (l *linter) compares() *decode.Block {
	for _, name := range l.m.names("report") {
		for _, table := range l.base.nodes[addr{"report", name}].instances[0].All("table") {
			if table.Attrs["compare"].Given {
				return table
			}
		}
	}
	return nil
}

// Sizes of a sweep that are seldom meant.
const (
	manyExecutions = 1000
	manyValues     = 50
)

// manyExecutions warns of sweeps that take long.
func (l *linter) manyExecutions(st *study) {
	n, _, known := st.repeat()
	total := len(st.lattice.points) * int(n)
	if st.sweep == nil || !known || total <= manyExecutions {
		return
	}
	l.warn(nil, diag.Problem{
		Summary: fmt.Sprintf("%s makes %s executions: %s, %s of each", st.sweep.Scope.Owner, grouped(total), counted(len(st.lattice.points), "point"), counted(int(n), "repeat")), At: &st.sweep.Range,
		Notes: []diag.Note{diag.Help("`ainur plan` says how long it takes; mode latin, random or pairs tries fewer")},
	})
}

// wideAxis warns of axes that are tried in full.
func (l *linter) wideAxis(st *study) {
	if st.sweep == nil || slices.Contains([]string{"latin", "random"}, decode.Get[string](st.sweep.Block, "mode")) {
		return
	}
	for _, b := range st.sweep.All("axis") {
		i := slices.IndexFunc(st.lattice.axes, func(a axis) bool { return a.name == b.Label })
		if i < 0 || len(st.lattice.axes[i].values) <= manyValues {
			continue
		}
		at := b.Attrs["values"].Range
		l.warn(nil, diag.Problem{
			Summary: fmt.Sprintf("axis %q has %s", b.Label, counted(len(st.lattice.axes[i].values), "value")), At: &at,
			Notes: []diag.Note{diag.Help("take fewer, such as linspace(1, 100, 10), or sample them with mode latin or random")},
		})
	}
}

// assertsNothing warns of experiments that no assertion or claim is about.
func (l *linter) assertsNothing(st *study) {
	if !st.known || slices.ContainsFunc(l.sites, func(s *site) bool { return s.asserts() && st.covers(s) }) {
		return
	}
	at, name := st.Range, "NAME"
	if len(st.loads) > 0 {
		name = st.loads[0]
	}
	l.warn(nil, diag.Problem{
		Summary: st.Scope.Owner + " asserts nothing", At: &at,
		Notes: []diag.Note{diag.Help("write assert \"no_errors\" { that = load.%s.errors.count == 0 }", name)},
	})
}

// alwaysHolds warns of assertions, and parts of them, that no run can fail.
func (l *linter) alwaysHolds() {
	for _, s := range l.sites {
		if !s.asserts() {
			continue
		}
		for _, part := range conjuncts(s.expr) {
			label, always := l.always(part)
			if !always {
				continue
			}
			at := part.Range()
			what := "this part of " + s.Scope.Owner
			if part == s.expr {
				what = s.Scope.Owner
			}
			l.warn(nil, diag.Problem{Summary: what + " holds whatever is measured", At: &at, Label: label, Notes: []diag.Note{diag.Help("assert a bound that a run may miss")}})
		}
	}
}

// conjuncts are the parts of an expression that all must hold.
func conjuncts(expr hclsyntax.Expression) []hclsyntax.Expression {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return conjuncts(e.Expression)
	case *hclsyntax.BinaryOpExpr:
		if e.Op == hclsyntax.OpLogicalAnd {
			return append(conjuncts(e.LHS), conjuncts(e.RHS)...)
		}
	}
	return []hclsyntax.Expression{expr}
}

// always reports whether an expression is true by its form, and why.
func (l *linter) always(expr hclsyntax.Expression) (why string, yes bool) {
	scope := decode.Scope{Results: true, Vars: map[string]cty.Value{"point": cty.DynamicVal}}
	if v, diags := l.base.eval(expr, scope); !diags.HasErrors() && v.RawEquals(cty.True) {
		return "no result changes it", true
	}
	e, ok := expr.(*hclsyntax.BinaryOpExpr)
	if !ok {
		return "", false
	}
	if e.Op == hclsyntax.OpLogicalOr {
		for _, side := range []hclsyntax.Expression{e.LHS, e.RHS} {
			if why, yes := l.always(side); yes {
				return why, true
			}
		}
		return "", false
	}
	result, bound, op := e.LHS, e.RHS, e.Op
	if turned, ok := mirrored[op]; ok && l.metricOf(result) == nil {
		result, bound, op = bound, result, turned
	}
	r := l.metricOf(result)
	v, diags := l.base.eval(bound, scope)
	if r == nil || diags.HasErrors() || v.IsMarked() || !v.IsKnown() || v.IsNull() || v.Type() != cty.Number {
		return "", false
	}
	limit, _ := v.AsBigFloat().Float64()
	switch {
	case op == hclsyntax.OpGreaterThanOrEqual && limit <= 0, op == hclsyntax.OpGreaterThan && limit < 0, op == hclsyntax.OpNotEqual && limit < 0:
		return "it is never below 0", true
	case r.statistic != "ratio":
		return "", false
	case op == hclsyntax.OpLessThanOrEqual && limit >= 1, op == hclsyntax.OpLessThan && limit > 1, op == hclsyntax.OpNotEqual && limit > 1:
		return "a ratio is never above 1", true
	}
	return "", false
}

// mirrored are comparisons with their sides exchanged.
var mirrored = map[*hclsyntax.Operation]*hclsyntax.Operation{
	hclsyntax.OpGreaterThan: hclsyntax.OpLessThan, hclsyntax.OpGreaterThanOrEqual: hclsyntax.OpLessThanOrEqual,
	hclsyntax.OpLessThan: hclsyntax.OpGreaterThan, hclsyntax.OpLessThanOrEqual: hclsyntax.OpGreaterThanOrEqual,
	hclsyntax.OpNotEqual: hclsyntax.OpNotEqual,
}

// perhapsNegative are differences of clocks that may disagree.
var perhapsNegative = []string{"overhead", "lag"}

// metricOf is the result that an expression is, where that is a number from 0.
func (l *linter) metricOf(expr hclsyntax.Expression) *reading {
	all := l.readingsIn(&site{expr: expr})
	if len(all) != 1 || all[0].at != expr.Range() || slices.Contains(perhapsNegative, all[0].kind) && all[0].statistic != "count" {
		return nil
	}
	return &all[0]
}
