package hcl

import (
	"maps"
	"slices"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// resultNames are what load.NAME has once a run has measured it.
var resultNames = []string{
	"offered", "completed", "failed", "dropped", "errors", "cold", "throughput",
	"latency", "overhead", "lag", "exec", "queue", "start", "slowdown", "phase", "status",
}

// measured is a kind of time, as results name it.
var measured = map[string]func(spec.Metrics) spec.Quantiles{
	"latency":  func(m spec.Metrics) spec.Quantiles { return m.Latency },
	"overhead": func(m spec.Metrics) spec.Quantiles { return m.Overhead },
	"lag":      func(m spec.Metrics) spec.Quantiles { return m.Lag },
	"exec":     func(m spec.Metrics) spec.Quantiles { return m.Exec },
	"queue":    func(m spec.Metrics) spec.Quantiles { return m.Queue },
	"start":    func(m spec.Metrics) spec.Quantiles { return m.Start },
}

// reserved are the names beside which a function's own results stand:
// load.x.latency.p99 and load.x.latency["resize"].p99.
var reserved = []string{"count", "ratio", "mean", "p50", "p90", "p95", "p99", "p999", "max"}

// resultValue is the results of a load as expressions see them.
func resultValue(load spec.Load, m spec.LoadMetrics, known bool) cty.Value {
	functions := functionsOf(load)
	result := groupValue(m.Group, functions, known)
	phases := map[string]cty.Value{}
	for _, p := range load.Phases {
		phases[p.Name] = cty.ObjectVal(groupValue(m.Phases[p.Name], functions, known))
	}
	result["phase"] = cty.ObjectVal(phases)
	return cty.ObjectVal(result)
}

// functionsOf lists the functions a load calls, sorted.
func functionsOf(load spec.Load) []string {
	names := map[string]bool{}
	mixes := [][]spec.Weight{load.Mix}
	for _, p := range load.Phases {
		mixes = append(mixes, p.Mix)
		if t := p.Arrival.Trace; t != nil {
			for _, function := range t.Map {
				names[function] = true
			}
		}
	}
	for _, w := range slices.Concat(mixes...) {
		names[w.Function] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func groupValue(g spec.Group, functions []string, known bool) map[string]cty.Value {
	number := func(n int64) cty.Value { return leaf(cty.NumberIntVal(n), known) }
	status := map[string]cty.Value{}
	for _, s := range measure.Statuses {
		status[s] = number(g.Statuses[s])
	}
	value := map[string]cty.Value{
		"offered": number(g.Offered), "completed": number(g.Completed), "failed": number(g.Failed),
		"dropped":    number(g.Statuses[measure.Dropped]),
		"throughput": leaf(funcs.Number(g.ThroughputPerSecond), known),
		"status":     cty.ObjectVal(status),
	}
	// withFunctions puts what each function measured beside the whole.
	withFunctions := func(f func(spec.Metrics) map[string]cty.Value) cty.Value {
		object := map[string]cty.Value{}
		for _, name := range functions {
			object[name] = cty.ObjectVal(f(g.Functions[name]))
		}
		maps.Copy(object, f(g.Metrics))
		return cty.ObjectVal(object)
	}
	share := func(part, of int64) map[string]cty.Value {
		ratio := cty.NullVal(cty.Number)
		if of > 0 {
			ratio = funcs.Number(float64(part) / float64(of))
		}
		return map[string]cty.Value{"count": number(part), "ratio": leaf(ratio, known)}
	}
	value["errors"] = withFunctions(func(m spec.Metrics) map[string]cty.Value { return share(m.Failed, m.Offered) })
	value["cold"] = withFunctions(func(m spec.Metrics) map[string]cty.Value { return share(m.Cold, m.Completed) })
	// A name that designs use and no engine measures yet: never seen, so null.
	value["slowdown"] = withFunctions(func(spec.Metrics) map[string]cty.Value { return quantilesValue(spec.Quantiles{}, known) })
	for name, quantiles := range measured {
		value[name] = withFunctions(func(m spec.Metrics) map[string]cty.Value { return quantilesValue(quantiles(m), known) })
	}
	return value
}

// quantilesValue is q in seconds; null where nothing was seen.
func quantilesValue(q spec.Quantiles, known bool) map[string]cty.Value {
	seconds := func(d time.Duration) cty.Value {
		if q.Count == 0 {
			return leaf(cty.NullVal(cty.Number), known)
		}
		return leaf(funcs.Number(d.Seconds()), known)
	}
	return map[string]cty.Value{
		"count": leaf(cty.NumberIntVal(q.Count), known), "mean": seconds(q.Mean), "p50": seconds(q.P50), "p90": seconds(q.P90),
		"p95": seconds(q.P95), "p99": seconds(q.P99), "p999": seconds(q.P999), "max": seconds(q.Max),
	}
}

// merge is several repeats of a load as one: the repeat is the unit of
// replication, so counts add up, and every time and rate is the median over
// the repeats that have one.
func merge(repeats []spec.LoadMetrics) spec.LoadMetrics {
	var groups []spec.Group
	phases := map[string][]spec.Group{}
	for _, r := range repeats {
		groups = append(groups, r.Group)
		for name, p := range r.Phases {
			phases[name] = append(phases[name], p)
		}
	}
	merged := spec.LoadMetrics{Group: mergeGroups(groups), Phases: map[string]spec.Group{}}
	for name, p := range phases {
		merged.Phases[name] = mergeGroups(p)
	}
	return merged
}

func mergeGroups(groups []spec.Group) spec.Group {
	var whole []spec.Metrics
	functions := map[string][]spec.Metrics{}
	for _, g := range groups {
		whole = append(whole, g.Metrics)
		for name, m := range g.Functions {
			functions[name] = append(functions[name], m)
		}
	}
	merged := spec.Group{Metrics: mergeMetrics(whole), Functions: map[string]spec.Metrics{}}
	for name, m := range functions {
		merged.Functions[name] = mergeMetrics(m)
	}
	return merged
}

func mergeMetrics(repeats []spec.Metrics) spec.Metrics {
	merged := spec.Metrics{Statuses: map[string]int64{}}
	var throughputs []float64
	for _, r := range repeats {
		merged.Offered += r.Offered
		merged.Completed += r.Completed
		merged.Failed += r.Failed
		merged.Cold += r.Cold
		merged.Duration += r.Duration
		for status, n := range r.Statuses {
			merged.Statuses[status] += n
		}
		throughputs = append(throughputs, r.ThroughputPerSecond)
	}
	merged.ThroughputPerSecond = median(throughputs)
	for q, of := range map[*spec.Quantiles]func(spec.Metrics) spec.Quantiles{
		&merged.Latency: measured["latency"], &merged.Overhead: measured["overhead"], &merged.Lag: measured["lag"],
		&merged.Exec: measured["exec"], &merged.Queue: measured["queue"], &merged.Start: measured["start"],
	} {
		var all []spec.Quantiles
		for _, r := range repeats {
			all = append(all, of(r))
		}
		*q = mergeQuantiles(all)
	}
	return merged
}

func mergeQuantiles(repeats []spec.Quantiles) spec.Quantiles {
	repeats = slices.DeleteFunc(repeats, func(q spec.Quantiles) bool { return q.Count == 0 })
	var merged spec.Quantiles
	for _, q := range repeats {
		merged.Count += q.Count
	}
	middle := func(of func(spec.Quantiles) time.Duration) time.Duration {
		var all []time.Duration
		for _, q := range repeats {
			all = append(all, of(q))
		}
		return median(all)
	}
	merged.Mean = middle(func(q spec.Quantiles) time.Duration { return q.Mean })
	merged.P50 = middle(func(q spec.Quantiles) time.Duration { return q.P50 })
	merged.P90 = middle(func(q spec.Quantiles) time.Duration { return q.P90 })
	merged.P95 = middle(func(q spec.Quantiles) time.Duration { return q.P95 })
	merged.P99 = middle(func(q spec.Quantiles) time.Duration { return q.P99 })
	merged.P999 = middle(func(q spec.Quantiles) time.Duration { return q.P999 })
	merged.Max = middle(func(q spec.Quantiles) time.Duration { return q.Max })
	return merged
}

// median is 0 for no values, and halfway between the middle two of an even number.
func median[T time.Duration | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	low, high := values[(len(values)-1)/2], values[len(values)/2]
	return low + (high-low)/2
}
