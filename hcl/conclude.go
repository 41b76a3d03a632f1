package hcl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Conclude checks the assertions and evaluates the outputs of an experiment.
// Results are by point id, in the order of repeats.
func (m *Module) Conclude(exp *spec.Experiment, run spec.Run, results map[string][]spec.RepeatMetrics) ([]spec.Assertion, []spec.Output, hcl.Diagnostics) {
	base := m.evaluator(true)
	base.hosts = m.hosts
	in := base.node(addr{"experiment", exp.Name}, hcl.Range{}).instances[0]
	sweep := ""
	for _, s := range base.refs(in.Block, "sweep") {
		sweep = s.Label
	}
	c := &conclusion{m: m, exp: exp, run: run}
	var rows []cty.Value
	positions := map[string]position{}
	for _, p := range exp.Points {
		at, err := restored(sweep, p.Axes)
		if err != nil {
			c.diags = append(c.diags, diag.Problem{ID: "AIN1605", Summary: fmt.Sprintf("point %s: %v", p.ID, err)}.Diagnostic())
			continue
		}
		positions[p.ID] = at
		axes := at.value
		if !axes.IsKnown() {
			axes = cty.EmptyObjectVal
		}
		rows = append(rows, row(cty.StringVal(p.ID), axes, resultsOf(p, results[p.ID])))
	}
	c.rows = cty.TupleVal(rows)
	for _, p := range exp.Points {
		if at, ok := positions[p.ID]; ok {
			c.point(base.at(at), p, results[p.ID])
		}
	}
	whole := base.at(position{sweep: sweep, value: cty.DynamicVal})
	whole.results = c.outcome(nil, 0)
	for _, a := range m.order {
		if a.kind != "assert" {
			continue
		}
		for _, in := range whole.node(a, m.blocks[a].DefRange()).instances {
			if decode.Get[string](in.Block, "each") == "run" && c.covered(in, in.Exprs["that"]) {
				c.assertions = append(c.assertions, c.assertion(whole, in, "", 0))
			}
		}
	}
	return c.assertions, c.outputs, diag.Sort(slices.Concat(c.diags, whole.diags, base.diags))
}

type conclusion struct {
	m          *Module
	exp        *spec.Experiment
	run        spec.Run
	rows       cty.Value
	assertions []spec.Assertion
	outputs    []spec.Output
	diags      hcl.Diagnostics
}

func (c *conclusion) outcome(loads map[string]cty.Value, repeat int) *outcome {
	return &outcome{experiment: c.exp.Name, loads: loads, rows: c.rows, run: runValue(c.run, repeat)}
}

// point concludes one point, over its repeats and for each of them.
func (c *conclusion) point(e *evaluator, p spec.Point, repeats []spec.RepeatMetrics) {
	whole := c.outcome(resultsOf(p, repeats), 0)
	label := ""
	if len(p.Axes) > 0 {
		label = p.ID
	}
	e.results = whole
	for _, a := range c.m.order {
		if a.kind != "assert" && a.kind != "output" {
			continue
		}
		for _, in := range e.node(a, c.m.blocks[a].DefRange()).instances {
			each := decode.Get[string](in.Block, "each")
			switch {
			case a.kind == "output" && c.covers(in.Exprs["value"]):
				c.outputs = append(c.outputs, c.output(e, in, label))
			case a.kind == "output", each == "run", !c.covered(in, in.Exprs["that"]):
			case each == "repeat":
				for i, r := range repeats {
					e.results = c.outcome(resultsOf(p, []spec.RepeatMetrics{r}), i+1)
					c.assertions = append(c.assertions, c.assertion(e, in, label, i+1))
				}
				e.results = whole
			default:
				c.assertions = append(c.assertions, c.assertion(e, in, label, 0))
			}
		}
	}
	c.diags = append(c.diags, e.diags...)
}

// resultsOf is the results of each load of a point, merged over repeats.
func resultsOf(p spec.Point, repeats []spec.RepeatMetrics) map[string]cty.Value {
	results := map[string]cty.Value{}
	for _, load := range p.Loads {
		var measured []spec.LoadMetrics
		for _, r := range repeats {
			if m, ok := r[load.Name]; ok {
				measured = append(measured, m)
			}
		}
		results[load.Name] = resultValue(load, merge(measured), true)
	}
	return results
}

// covers reports whether the experiment runs every load that expr names.
func (c *conclusion) covers(expr hcl.Expression) bool {
	for _, ref := range expr.Variables() {
		name, ok := second(ref)
		if ref.RootName() == "load" && ok && !slices.ContainsFunc(c.exp.Points[0].Loads, func(l spec.Load) bool { return l.Name == name }) {
			return false
		}
	}
	return true
}

func (c *conclusion) assertion(e *evaluator, in *instance, point string, repeat int) spec.Assertion {
	that := in.Exprs["that"]
	a := spec.Assertion{Name: in.Label, Severity: decode.Get[string](in.Block, "severity"), Point: point, Repeat: repeat, Source: c.m.text(that.Range())}
	scope := decode.Scope{Owner: in.Scope.Owner, Results: true, Vars: map[string]cty.Value{"point": e.pointOf(c.exp.Name)}}
	ctx, diags := e.context(that.Variables(), scope)
	if diags.HasErrors() {
		c.diags = append(c.diags, diags...)
		a.Message = diags[0].Summary
		return a
	}
	a.Values = diag.Values(that.Variables(), ctx)
	v, diags := that.Value(ctx)
	v, _ = v.UnmarkDeep()
	if verdict, err := convert.Convert(v, cty.Bool); !diags.HasErrors() && err == nil && verdict.IsKnown() && !verdict.IsNull() {
		a.Passed = verdict.True()
	} else if diags.HasErrors() {
		a.Message = diags[0].Summary + ": " + diags[0].Detail
	} else {
		a.Message = "it is neither true nor false"
	}
	if a.Passed {
		return a
	}
	if empty := nothing(that.Variables(), ctx); len(empty) > 0 {
		a.Message = fmt.Sprintf("nothing was measured: %s has no value", strings.Join(empty, ", "))
		return a
	}
	if expr := in.Exprs["error"]; expr != nil {
		text, diags := e.eval(expr, scope)
		if text, err := convert.Convert(text, cty.String); err == nil && !diags.HasErrors() && text.IsKnown() && !text.IsNull() {
			a.Message = spec.Redacted
			if !text.IsMarked() {
				a.Message = text.AsString()
			}
		}
	}
	if a.Message == "" {
		a.Message = "it does not hold that " + a.Source
	}
	return a
}

// nothing lists the references that are null: what they count never happened.
func nothing(refs []hcl.Traversal, ctx *hcl.EvalContext) []string {
	var names []string
	for _, ref := range refs {
		if v, diags := ref.TraverseAbs(ctx); ref.RootName() == "load" && !diags.HasErrors() && v.IsNull() {
			names = append(names, diag.Traversal(ref))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *conclusion) output(e *evaluator, in *instance, point string) spec.Output {
	o := spec.Output{Name: in.Label, Point: point, Description: decode.Get[string](in.Block, "description"), Value: []byte(redacted)}
	v, diags := e.eval(in.Exprs["value"], decode.Scope{Owner: in.Scope.Owner, Results: true, Vars: map[string]cty.Value{"point": e.pointOf(c.exp.Name)}})
	c.diags = append(c.diags, diags...)
	if !decode.Get[bool](in.Block, "sensitive") {
		o.Value = marshal(v)
	}
	return o
}

// text is the source at a range, on one line.
func (m *Module) text(r hcl.Range) string {
	f := m.files[r.Filename]
	if f == nil {
		return ""
	}
	return strings.Join(strings.Fields(string(r.SliceBytes(f.Bytes))), " ")
}
