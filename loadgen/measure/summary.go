package measure

import (
	"cmp"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Summarize computes what is reported of the calls of one load, in the whole of
// its recorded phases and in each phase; stopped is when sending ended, since
// the load started. A time that is missing is left out, never counted as 0.
//
// The duration of a group is the length of its phases and, where its last call
// ended after them, until then: a system that falls behind has the throughput
// it had, not the one it was offered.
func Summarize(calls []Call, load spec.Load, stopped time.Duration) spec.LoadMetrics {
	s := summary{actual: load.MeasureFrom == "actual"}
	m := spec.LoadMetrics{Phases: map[string]spec.Group{}}
	recorded := window{}
	var all []*Call
	begin := time.Duration(0)
	for _, p := range load.Phases {
		var of []*Call
		for i := range calls {
			if calls[i].Phase == p.Name {
				of = append(of, &calls[i])
			}
		}
		w := window{max(0, min(p.Duration, stopped-begin)), min(begin+p.Duration, stopped)}
		begin += p.Duration
		m.Phases[p.Name] = s.group(of, w)
		if p.Record {
			recorded = window{recorded.length + w.length, w.end}
			all = append(all, of...)
		}
	}
	m.Group = s.group(all, recorded)
	return m
}

// window is the time of one or more phases.
type window struct {
	length time.Duration
	end    time.Duration // of the last phase, since the load started
}

// until is the length of the window, or longer when last, the latest of its
// calls' times or Missing, is after its end.
func (w window) until(last int64) time.Duration {
	return w.length + max(0, time.Duration(last)-w.end)
}

// summary holds what the computation of metrics shares.
type summary struct {
	actual  bool // latency counts from the actual, not the intended send time
	scratch []int64
}

func (s *summary) group(calls []*Call, w window) spec.Group {
	last := Missing
	for _, c := range calls {
		last = max(last, c.Received)
	}
	d := w.until(last)
	g := spec.Group{Metrics: s.metrics(calls, d), Functions: map[string]spec.Metrics{}}
	calls = slices.Clone(calls)
	slices.SortStableFunc(calls, func(a, b *Call) int { return cmp.Compare(a.Function, b.Function) })
	for start := 0; start < len(calls); {
		function := calls[start].Function
		end := start
		for end < len(calls) && calls[end].Function == function {
			end++
		}
		g.Functions[function] = s.metrics(calls[start:end], d)
		start = end
	}
	return g
}

func (s *summary) metrics(calls []*Call, d time.Duration) spec.Metrics {
	m := spec.Metrics{Offered: int64(len(calls)), Statuses: map[string]int64{}, Duration: d}
	completed := make([]*Call, 0, len(calls))
	for _, c := range calls {
		m.Statuses[c.Status]++
		if c.Status != OK {
			continue
		}
		completed = append(completed, c)
		if c.ColdKind == "cold" {
			m.Cold++
		}
	}
	m.Completed = int64(len(completed))
	m.Failed = m.Offered - m.Completed
	if d > 0 {
		m.ThroughputPerSecond = float64(m.Completed) / d.Seconds()
	}
	m.Latency = s.quantiles(completed, s.latency)
	m.Overhead = s.quantiles(completed, func(c *Call) int64 { return minus(s.latency(c), c.Exec()) })
	m.Exec = s.quantiles(completed, (*Call).Exec)
	m.Queue = s.quantiles(completed, func(c *Call) int64 { return minus(c.Dequeued, c.Queued) })
	m.Start = s.quantiles(completed, func(c *Call) int64 {
		if c.ColdKind != "cold" {
			return Missing
		}
		return minus(c.SandboxReady, c.Dequeued)
	})
	m.Lag = s.quantiles(calls, (*Call).Lag)
	return m
}

func (s *summary) latency(c *Call) int64 {
	if s.actual {
		return c.Service()
	}
	return c.Latency()
}

func (s *summary) quantiles(calls []*Call, of func(*Call) int64) spec.Quantiles {
	s.scratch = s.scratch[:0]
	for _, c := range calls {
		if v := of(c); v != Missing {
			s.scratch = append(s.scratch, v)
		}
	}
	return Quantiles(s.scratch)
}

// Quantiles summarises nanoseconds, and sorts them. The quantile q of n values
// is the nearest rank: the ⌈q·n⌉-th smallest, so always a value that occurred
// (Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996,
// doi:10.2307/2684934, definition 1).
func Quantiles(ns []int64) spec.Quantiles {
	if len(ns) == 0 {
		return spec.Quantiles{}
	}
	slices.Sort(ns)
	rank := func(permille int) time.Duration { return time.Duration(ns[(len(ns)*permille+999)/1000-1]) }
	sum := 0.0
	for _, v := range ns {
		sum += float64(v)
	}
	return spec.Quantiles{
		Count: int64(len(ns)), Mean: time.Duration(sum / float64(len(ns))),
		P50: rank(500), P90: rank(900), P95: rank(950), P99: rank(990), P999: rank(999), Max: time.Duration(ns[len(ns)-1]),
	}
}
