package hcl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// maxPoints bounds a sweep.
const maxPoints = 10_000

// Validate finds what is wrong whatever the hosts are like: their facts are unknown.
func (m *Module) Validate() hcl.Diagnostics {
	base := m.evaluator(false)
	for _, a := range m.order {
		if a.kind != "variable" {
			base.node(a, m.blocks[a].DefRange())
		}
	}
	for name, attr := range m.locals {
		base.node(addr{"local", name}, attr.NameRange)
	}
	base.checkResults()
	for _, name := range m.names("sweep") {
		for _, sweep := range base.nodes[addr{"sweep", name}].instances {
			base.expand(sweep)
		}
	}
	var diags hcl.Diagnostics
	used := map[addr]bool{}
	for _, name := range m.Experiments() {
		exp, more := m.experiment(base, name)
		diags = append(diags, more...)
		used = usedBy(used, exp)
	}
	base.checkUnused(used)
	return diag.Sort(append(diags, base.diags...))
}

// usedBy adds the loads, functions and workers of an experiment to used.
func usedBy(used map[addr]bool, exp *spec.Experiment) map[addr]bool {
	for _, p := range exp.Points {
		for _, f := range p.Functions {
			used[addr{"function", f.Name}] = true
		}
		for _, l := range p.Loads {
			used[addr{"load", l.Name}] = true
		}
	}
	return used
}

// checkUnused checks the loads and functions that no experiment reaches as if one did.
func (e *evaluator) checkUnused(used map[addr]bool) {
	for _, a := range e.m.order {
		if used[a] || a.kind != "load" && a.kind != "function" {
			continue
		}
		for _, in := range e.nodes[a].instances {
			b := &builder{evaluator: e, places: map[string]hcl.Range{}}
			switch a.kind {
			case "load":
				b.load(in)
			case "function":
				b.function(in)
			}
		}
	}
}

// checkResults checks the expressions over results, whose values are unknown.
func (e *evaluator) checkResults() {
	for _, a := range e.m.order {
		if a.kind != "assert" && a.kind != "output" {
			continue
		}
		scope := decode.Scope{Owner: a.owner(), Results: true}
		for _, in := range e.nodes[a].instances {
			for name, kind := range map[string]cty.Type{"that": cty.Bool, "error": cty.String, "value": cty.DynamicPseudoType} {
				expr := in.Exprs[name]
				if expr == nil {
					continue
				}
				v := e.expression(expr, scope)
				if _, err := convert.Convert(v, kind); err != nil {
					at := expr.Range()
					e.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("%s of %s wants a %s, got %s", name, a.owner(), kind.FriendlyName(), v.Type().FriendlyName()), At: &at})
				}
			}
		}
	}
}

// Experiment evaluates one experiment at every point of its sweep, with the
// facts of its hosts. The name may be "" when there is only one.
func (m *Module) Experiment(name string) (*spec.Experiment, hcl.Diagnostics) {
	names := m.Experiments()
	known := "there is " + strings.Join(names, ", ")
	p := diag.Problem{ID: "AIN1604"}
	switch {
	case len(names) == 0:
		p.Summary, p.Notes = "no experiment is declared", []diag.Note{diag.Help("add experiment \"NAME\" { ... }")}
	case name == "" && len(names) > 1:
		p.Summary, p.Notes = "several experiments are declared: say which", []diag.Note{diag.Remark("%s", known)}
	case name != "" && m.blocks[addr{"experiment", name}] == nil:
		p.Summary, p.Suggest, p.Notes = fmt.Sprintf("there is no experiment %q", name), diag.Suggest(name, names), []diag.Note{diag.Remark("%s", known)}
	case name == "":
		name = names[0]
	}
	if p.Summary != "" {
		return nil, hcl.Diagnostics{p.Diagnostic()}
	}
	base := m.evaluator(true)
	exp, diags := m.experiment(base, name)
	diags = diag.Sort(append(diags, base.diags...))
	if diags.HasErrors() {
		return nil, diags
	}
	return exp, diags
}

// experiment builds an experiment; what is wrong in the blocks all points
// share is in base, the rest is returned.
func (m *Module) experiment(base *evaluator, name string) (*spec.Experiment, hcl.Diagnostics) {
	a := addr{"experiment", name}
	in := base.node(a, m.blocks[a].DefRange()).instances[0]
	exp := &spec.Experiment{
		Name: name, Title: decode.Get[string](in.Block, "title"), Description: decode.Get[string](in.Block, "description"),
		Seed: uint64(decode.Get[int64](in.Block, "seed")), Repeat: int(decode.Get[int64](in.Block, "repeat")),
		Order: decode.Get[string](in.Block, "order"), OnFailure: "continue",
		Cooldown: decode.Get[time.Duration](in.Block, "cooldown"), Timeout: decode.Get[time.Duration](in.Block, "timeout"),
		Sources: m.sources, Variables: m.variableSpecs(),
	}
	(&builder{evaluator: base}).settled(in.Block)
	if exp.Seed == 0 && !in.Unknown("seed") {
		at := in.Range
		base.report(diag.Problem{
			ID: "AIN3001", Warning: true, Summary: fmt.Sprintf("experiment %q has seed 0", name), At: &at,
			Notes: []diag.Note{diag.Help("give it a seed of its own, such as seed = 42: the same seed gives the same load")},
		})
	}
	combinations := []combination{{}}
	sweep := ""
	for _, s := range base.refs(in.Block, "sweep") {
		sweep = s.Label
		combinations, exp.Skipped = base.expand(s)
		if exp.Order == "" {
			exp.Order = decode.Get[string](s.Block, "order")
		}
		exp.OnFailure = decode.Get[string](s.Block, "on_failure")
	}
	if exp.Order == "" {
		exp.Order = "interleaved"
	}
	var diags hcl.Diagnostics
	for _, c := range combinations {
		point, more := base.evaluatePoint(in, sweep, c)
		exp.Points = append(exp.Points, point)
		diags = append(diags, more...)
	}
	return exp, diags
}

// evaluatePoint builds the point of one combination.
func (e *evaluator) evaluatePoint(exp *instance, sweep string, c combination) (spec.Point, hcl.Diagnostics) {
	pe := e.at(sweep, c.object())
	point := pe.build(exp, c.axes)
	if len(c.axes) > 0 {
		for _, d := range pe.diags {
			p := d.Extra.(*diag.Problem)
			p.Notes = append(p.Notes, diag.Remark("at the point %s", c))
		}
	}
	return point, pe.diags
}

// combination is one value for each axis.
type combination struct {
	axes   []spec.AxisValue
	values []cty.Value
}

func (c combination) object() cty.Value {
	if c.axes == nil {
		return cty.DynamicVal
	}
	object := map[string]cty.Value{}
	for i, a := range c.axes {
		object[a.Name] = c.values[i]
	}
	return cty.ObjectVal(object)
}

func (c combination) String() string {
	var parts []string
	for _, a := range c.axes {
		parts = append(parts, a.Name+" = "+string(a.Value))
	}
	return strings.Join(parts, ", ")
}

// restored is the combination of a point that was recorded.
func restored(axes []spec.AxisValue) (c combination, err error) {
	for _, a := range axes {
		v, more := jsonValue(a.Value)
		err = errors.Join(err, more)
		c.axes, c.values = append(c.axes, a), append(c.values, v)
	}
	return c, err
}

// expand lists the combinations of a sweep, the first axis varying slowest,
// and those its exclude blocks leave out. While values are unknown there is one
// combination, unknown too.
func (e *evaluator) expand(sweep *instance) (points []combination, skipped []spec.Skipped) {
	(&builder{evaluator: e}).settled(sweep.Block)
	all := []combination{{}}
	for _, axis := range sweep.All("axis") {
		values := e.axisValues(axis)
		if values == nil {
			return []combination{{}}, nil
		}
		if len(all)*len(values) > maxPoints {
			e.report(diag.Problem{ID: "AIN1603", Summary: fmt.Sprintf("%s has more than %d points", sweep.Scope.Owner, maxPoints), At: &sweep.Range})
			return []combination{{}}, nil
		}
		var longer []combination
		for _, c := range all {
			for _, v := range values {
				longer = append(longer, combination{
					append(c.axes[:len(c.axes):len(c.axes)], spec.AxisValue{Name: axis.Label, Value: marshal(v)}),
					append(c.values[:len(c.values):len(c.values)], v),
				})
			}
		}
		all = longer
	}
	for _, c := range all {
		if reason, out := e.excluded(sweep, c); out {
			skipped = append(skipped, spec.Skipped{Axes: c.axes, Reason: reason})
			continue
		}
		points = append(points, c)
	}
	if len(points) == 0 {
		e.report(diag.Problem{ID: "AIN1603", Summary: sweep.Scope.Owner + " excludes every point", At: &sweep.Range})
		return []combination{{}}, nil
	}
	return points, skipped
}

// axisValues are the values of an axis, nil when they are unknown or wrong.
func (e *evaluator) axisValues(axis *decode.Block) []cty.Value {
	(&builder{evaluator: e}).settled(axis)
	attr := axis.Attrs["values"]
	v, known := attr.Go.(cty.Value)
	if !known || !v.IsWhollyKnown() {
		return nil
	}
	if t := v.Type(); t.IsObjectType() || t.IsMapType() || !v.CanIterateElements() || v.LengthInt() == 0 {
		e.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("values of axis %q is a list of at least one", axis.Label), At: &attr.Range})
		return nil
	}
	var values []cty.Value
	seen := map[string]bool{}
	for _, value := range v.Elements() {
		text := string(marshal(value))
		if seen[text] {
			e.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("axis %q has %s twice", axis.Label, text), At: &attr.Range})
			return nil
		}
		seen[text] = true
		values = append(values, value)
	}
	return values
}

// excluded reports whether an exclude block leaves a combination out, and why.
func (e *evaluator) excluded(sweep *instance, c combination) (reason string, out bool) {
	for _, exclude := range sweep.All("exclude") {
		when := exclude.Exprs["when"]
		scope := decode.Scope{Owner: schema.Owner("exclude"), Vars: map[string]cty.Value{"point": c.object()}}
		v := e.expression(when, scope)
		if !v.IsKnown() {
			continue
		}
		yes, err := convert.Convert(v, cty.Bool)
		if err != nil || yes.IsNull() {
			at := when.Range()
			e.report(diag.Problem{ID: "AIN1203", Summary: "when wants a bool, got " + v.Type().FriendlyName(), At: &at})
			continue
		}
		if yes.True() {
			return decode.Get[string](exclude, "reason"), true
		}
	}
	return "", false
}

// jsonValue is a value as marshal wrote it.
func jsonValue(text json.RawMessage) (cty.Value, error) {
	t, err := ctyjson.ImpliedType(text)
	if err != nil {
		return cty.DynamicVal, err
	}
	return ctyjson.Unmarshal(text, t)
}
