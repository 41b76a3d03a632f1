package hcl

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// outcome is what a run gave, as far as expressions may name it.
type outcome struct {
	experiment string
	loads      map[string]cty.Value // by name: load.NAME at one point, over the repeats or of one
	rows       cty.Value            // result: a row for each point
	run        cty.Value            // run
}

// resultKey is the key of the unknown results of a load.
type resultKey struct{ load string }

// result is what load.NAME measured. Before a run every number is unknown, and
// the names are checked all the same.
func (e *evaluator) result(name string) cty.Value {
	if e.results != nil {
		if v, ok := e.results.loads[name]; ok {
			return v
		}
	}
	key := resultKey{name}
	v, ok := e.top().memo[key].(cty.Value)
	if !ok {
		v = e.unknownResult(name)
		e.top().memo[key] = v
	}
	return v
}

func (e *evaluator) unknownResult(name string) cty.Value {
	static := e.m.evaluator(false)
	n := static.node(addr{"load", name}, hcl.Range{})
	if len(n.instances) == 1 {
		if made := (&builder{evaluator: static, engine: unchecked}).load(n.instances[0]); made.complete {
			return resultValue(made.spec, spec.LoadMetrics{}, false)
		}
	}
	unknown := map[string]cty.Value{}
	for _, name := range resultNames {
		unknown[name] = cty.DynamicVal
	}
	return cty.ObjectVal(unknown)
}

// outcome is the value of result or run.
func (e *evaluator) outcome(root string) cty.Value {
	switch {
	case root == "result" && e.results != nil:
		return e.results.rows
	case root == "result":
		return e.unknownRows(e.about)
	case e.results != nil:
		return e.results.run
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.UnknownVal(cty.String), "seed": cty.UnknownVal(cty.Number), "repeat": cty.UnknownVal(cty.Number), "started_at": cty.UnknownVal(cty.String),
	})
}

// rowsOf is experiment.NAME.results.
func (e *evaluator) rowsOf(name string) cty.Value {
	switch {
	case e.results == nil:
		return e.unknownRows(name)
	case e.results.experiment == name:
		return e.results.rows
	}
	return cty.DynamicVal // of another run
}

// unknownRows stands for the rows of an experiment before it has run: one row
// of which only the names are known.
func (e *evaluator) unknownRows(experiment string) cty.Value {
	if experiment == "" || e.m.blocks[addr{"experiment", experiment}] == nil {
		return cty.DynamicVal
	}
	n := e.node(addr{"experiment", experiment}, hcl.Range{})
	if len(n.instances) == 0 {
		return cty.DynamicVal
	}
	loads := map[string]cty.Value{}
	for _, l := range e.refs(n.instances[0].Block, "load") {
		if l.in == e {
			loads[l.name] = e.result(l.Label)
		}
	}
	return cty.TupleVal([]cty.Value{row(cty.UnknownVal(cty.String), e.pointOf(experiment), loads)})
}

// row is a point with its results: its axes by name and together as axes, the
// loads by name, and the results of the only load as they are.
func row(id, axes cty.Value, loads map[string]cty.Value) cty.Value {
	object := map[string]cty.Value{}
	if len(loads) == 1 {
		for _, l := range loads {
			maps.Copy(object, l.AsValueMap())
		}
	}
	if len(loads) > 0 {
		object["load"] = cty.ObjectVal(loads)
	}
	if axes.IsKnown() {
		maps.Copy(object, axes.AsValueMap())
	}
	object["point"], object["axes"] = id, axes
	return cty.ObjectVal(object)
}

// pointOf is the value of point in the results of an experiment: its axes, as
// far as they are known.
func (e *evaluator) pointOf(experiment string) cty.Value {
	if e.point.value.IsKnown() {
		return e.point.value
	}
	if experiment == "" || e.m.blocks[addr{"experiment", experiment}] == nil {
		return cty.DynamicVal
	}
	axes := map[string]cty.Value{}
	for _, in := range e.node(addr{"experiment", experiment}, hcl.Range{}).instances {
		for _, s := range e.refs(in.Block, "sweep") {
			for _, name := range s.in.axisNames(s) {
				axes[name] = cty.DynamicVal
			}
		}
	}
	return cty.ObjectVal(axes)
}

// runValue is the value of run.
func runValue(r spec.Run, repeat int) cty.Value {
	number := cty.NullVal(cty.Number)
	if repeat > 0 {
		number = cty.NumberIntVal(int64(repeat))
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(r.ID), "seed": cty.NumberUIntVal(r.Seed), "repeat": number, "started_at": cty.StringVal(r.Started),
	})
}

// covered reports whether an assertion or output is about an experiment: it
// says so, or else it is about loads that the experiment runs.
func (c *conclusion) covered(in *instance, expr hcl.Expression) bool {
	if in.Attrs["experiment"].Given {
		return slices.Contains(decode.Get[[]string](in.Block, "experiment"), "experiment."+c.exp.Name)
	}
	return c.covers(expr)
}
