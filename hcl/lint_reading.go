package hcl

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
)

// site is an expression over results.
type site struct {
	*instance // an assert, claim or output
	expr      hclsyntax.Expression
	readings  []reading
}

// asserts reports whether the run depends on the site: an output is only shown.
func (s *site) asserts() bool { return s.Type != "output" }

// reading is a result that a site names: load.l.phase.p.latency["f"].p99.
type reading struct {
	site      *site
	load      string // "" in a row of result: that of the only load
	phase     string // "" is all that are recorded
	kind      string // "latency"
	function  string // "" is all
	statistic string // "p99"; "" where there is none
	vague     bool   // some name in it is computed, and not known
	at        hcl.Range
}

// findSites lists the sites with what they read.
func (l *linter) findSites() {
	for _, a := range l.m.order {
		name := map[string]string{"assert": "that", "claim": "that", "output": "value"}[a.kind]
		if name == "" {
			continue
		}
		in := l.base.node(a, hcl.Range{}).instances[0]
		s := &site{instance: in, expr: in.Exprs[name].(hclsyntax.Expression)}
		s.readings = l.readingsIn(s)
		l.sites = append(l.sites, s)
	}
}

// readingsIn lists the results that the expression of a site names.
func (l *linter) readingsIn(s *site) (all []reading) {
	rows := rowNames(s.expr)
	inner := map[hclsyntax.Node]bool{} // parts of a reference that has been seen as a whole
	_ = hclsyntax.VisitAll(s.expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			if r, ok := l.metric(s, call); ok {
				all = append(all, r)
			}
			return nil
		}
		expr, ok := n.(hclsyntax.Expression)
		if !ok || inner[n] {
			return nil
		}
		steps := l.steps(expr, inner)
		if len(steps) < 2 {
			return nil
		}
		r := reading{site: s, at: expr.Range()}
		switch root := steps[0]; {
		case root == "load":
			r.load, r.vague = steps[1], steps[1] == ""
			steps = steps[2:]
		case !slices.Contains(rows, root):
			return nil
		case len(steps) > 2 && steps[1] == "load":
			r.load, r.vague = steps[2], steps[2] == ""
			steps = steps[3:]
		default:
			steps = steps[1:]
		}
		if r.read(steps) {
			all = append(all, r)
		}
		return nil
	})
	return all
}

// read takes the steps behind the load; false where they are no result.
func (r *reading) read(steps []string) bool {
	next := func() (step string) {
		if len(steps) > 0 {
			step, steps = steps[0], steps[1:]
			r.vague = r.vague || step == ""
		}
		return step
	}
	r.kind = next()
	if r.kind == "phase" {
		r.phase, r.kind = next(), next()
	}
	if !slices.Contains(resultNames, r.kind) {
		return false
	}
	r.statistic = next()
	if !slices.Contains(reserved, r.statistic) && r.kind != "status" {
		r.function, r.statistic = r.statistic, next()
	}
	return true
}

// rowNames are the names that stand for a row of results in an expression: the
// variables of its for expressions over result. A splat has the name "*".
func rowNames(expr hclsyntax.Expression) []string {
	names := []string{}
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			if namesRows(n.CollExpr, names) {
				names = append(names, n.ValVar)
			}
		case *hclsyntax.SplatExpr:
			if namesRows(n.Source, names) {
				names = append(names, "*")
			}
		}
		return nil
	})
	return names
}

// namesRows reports whether an expression is about rows: result, or the rows of
// a group, which is a row of names.
func namesRows(expr hclsyntax.Expression, names []string) bool {
	return slices.ContainsFunc(expr.Variables(), func(ref hcl.Traversal) bool {
		return slices.Contains([]string{"result", "experiment"}, ref.RootName()) || slices.Contains(names, ref.RootName())
	})
}

// metricArgument is which argument of a function names a metric of rows.
var metricArgument = map[string]int{"ratio": 1, "fidelity": 2}

// metric is a result that a call names as text: ratio(result, "latency.p99", ...).
func (l *linter) metric(s *site, call *hclsyntax.FunctionCallExpr) (r reading, ok bool) {
	i, ok := metricArgument[call.Name]
	if !ok || i >= len(call.Args) {
		return r, false
	}
	r = reading{site: s, at: call.Args[i].Range()}
	return r, r.read(strings.Split(l.key(call.Args[i]), "."))
}

// steps are the names of a reference: load, l, latency, p99. A name that is
// computed and not known is "". It is nil for what is no reference. Parts are
// the expressions inside it.
func (l *linter) steps(expr hclsyntax.Expression, parts map[hclsyntax.Node]bool) []string {
	within := func(inner hclsyntax.Expression, more ...string) []string {
		steps := l.steps(inner, parts)
		if parts[inner] = true; steps == nil {
			return nil
		}
		return append(steps, more...)
	}
	switch e := expr.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return append([]string{e.Traversal.RootName()}, names(e.Traversal[1:])...)
	case *hclsyntax.AnonSymbolExpr:
		return []string{"*"}
	case *hclsyntax.RelativeTraversalExpr:
		return within(e.Source, names(e.Traversal)...)
	case *hclsyntax.IndexExpr:
		return within(e.Collection, l.key(e.Key))
	case *hclsyntax.ParenthesesExpr:
		return within(e.Expression)
	}
	return nil
}

// names are those of the steps of a reference.
func names(steps hcl.Traversal) (all []string) {
	for _, step := range steps {
		name, _ := stepName(step)
		all = append(all, name)
	}
	return all
}

// key is the name that an expression computes, "" when it is not known.
func (l *linter) key(expr hclsyntax.Expression) string {
	v, diags := l.base.eval(expr, decode.Scope{Results: true})
	if diags.HasErrors() || v.IsMarked() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// covers reports whether a site is about an experiment: it says so, or else it
// is about loads that the experiment runs.
func (st *study) covers(s *site) bool {
	if s.Attrs["experiment"].Given {
		return slices.Contains(decode.Get[[]string](s.Block, "experiment"), st.id)
	}
	return !slices.ContainsFunc(s.expr.Variables(), func(ref hcl.Traversal) bool {
		name, ok := second(ref)
		return ok && ref.RootName() == "load" && !slices.Contains(st.loads, name)
	})
}

// readingsOf are the readings of each load of an experiment.
func (l *linter) readingsOf(st *study) map[string][]reading {
	all := map[string][]reading{}
	for _, s := range l.sites {
		if st.covers(s) {
			for _, r := range s.readings {
				if r.load == "" && len(st.loads) == 1 {
					r.load = st.loads[0]
				}
				all[r.load] = append(all[r.load], r)
			}
		}
	}
	return all
}
