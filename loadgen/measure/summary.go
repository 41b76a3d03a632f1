package measure

import (
	"maps"
	"math"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Exact lets a Summary keep the times of every call.
const Exact = math.MaxInt

// Summary is what is reported of the calls of one load. It is given them one by
// one, in any order.
type Summary struct {
	load   spec.Load
	keep   int
	phases map[string]*group // by name

	calls, dropped int
	recorded, sent int   // of recorded calls: all, and those that were sent
	lastSent       int64 // of recorded calls, Missing when none was sent
	lag            tally // of recorded calls
}

// NewSummary returns the summary of no calls. It keeps up to so many times of
// each kind of each function in each phase, and takes quantiles from them. Those
// of more come from buckets and are within 0.1 % of a time that occurred.
func NewSummary(load spec.Load, keep int) *Summary {
	s := &Summary{load: load, keep: keep, phases: map[string]*group{}, lastSent: Missing}
	for _, p := range load.Phases {
		s.phases[p.Name] = newGroup()
	}
	return s
}

// Summarize is the exact Summary of calls.
func Summarize(calls []Call, load spec.Load) *Summary {
	s := NewSummary(load, Exact)
	for i := range calls {
		s.Add(&calls[i])
	}
	return s
}

// Add counts a call that has ended.
func (s *Summary) Add(c *Call) {
	s.calls++
	if c.Status == Dropped {
		s.dropped++
	}
	if c.Record {
		s.recorded++
		if c.Sent != Missing {
			s.sent++
			s.lastSent = max(s.lastSent, c.Sent)
			s.lag.add(c.Lag(), s.keep)
		}
	}
	if g := s.phases[c.Phase]; g != nil {
		g.add(c, s.load.MeasureFrom == "actual", s.keep)
	}
}

// Metrics is what is reported of the load's recorded phases together and of each
// phase; stopped is when sending ended, since the load started. A time that is
// missing is left out, never counted as 0.
//
// The duration of a group is the length of its phases and, where its last call
// ended after them, until then: a system that falls behind has the throughput
// it had, not the one it was offered.
func (s *Summary) Metrics(stopped time.Duration) spec.LoadMetrics {
	m := spec.LoadMetrics{Phases: map[string]spec.Group{}}
	recorded, all := window{}, newGroup()
	begin := time.Duration(0)
	for _, p := range s.load.Phases {
		w := window{max(0, min(p.Duration, stopped-begin)), min(begin+p.Duration, stopped)}
		begin += p.Duration
		m.Phases[p.Name] = s.phases[p.Name].metrics(w)
		if p.Record {
			recorded = window{recorded.length + w.length, w.end}
			all.merge(s.phases[p.Name])
		}
	}
	m.Group = all.metrics(recorded)
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

// group is the calls of one or more phases.
type group struct {
	functions map[string]*cell
	last      int64 // time at which the last call ended, Missing when none did
}

func newGroup() *group { return &group{functions: map[string]*cell{}, last: Missing} }

func (g *group) add(c *Call, actual bool, keep int) {
	g.last = max(g.last, c.Received)
	f := g.functions[c.Function]
	if f == nil {
		f = &cell{statuses: map[string]int64{}}
		g.functions[c.Function] = f
	}
	f.add(c, actual, keep)
}

func (g *group) merge(other *group) {
	g.last = max(g.last, other.last)
	for name, from := range other.functions {
		f := g.functions[name]
		if f == nil {
			f = &cell{statuses: map[string]int64{}}
			g.functions[name] = f
		}
		f.merge(from)
	}
}

func (g *group) metrics(w window) spec.Group {
	d := w.until(g.last)
	all := cell{statuses: map[string]int64{}}
	out := spec.Group{Functions: make(map[string]spec.Metrics, len(g.functions))}
	for name, f := range g.functions {
		out.Functions[name] = f.metrics(d)
		all.merge(f)
	}
	out.Metrics = all.metrics(d)
	return out
}

// cell is the calls of one function.
type cell struct {
	offered, completed, cold int64
	statuses                 map[string]int64 // but OK, by status

	latency, overhead, exec, queue, start, lag tally
}

func (f *cell) add(c *Call, actual bool, keep int) {
	put := func(t *tally, v int64) {
		if v != Missing {
			t.add(v, keep)
		}
	}
	f.offered++
	put(&f.lag, c.Lag())
	if c.Status != OK {
		f.statuses[c.Status]++
		return
	}
	f.completed++
	latency := c.Latency()
	if actual {
		latency = c.Service()
	}
	put(&f.latency, latency)
	put(&f.exec, c.Exec())
	put(&f.overhead, minus(latency, c.Exec()))
	put(&f.queue, minus(c.Dequeued, c.Queued))
	if c.ColdKind == "cold" {
		f.cold++
		put(&f.start, minus(c.SandboxReady, c.Dequeued))
	}
}

func (f *cell) merge(other *cell) {
	f.offered += other.offered
	f.completed += other.completed
	f.cold += other.cold
	for status, n := range other.statuses {
		f.statuses[status] += n
	}
	f.latency.merge(&other.latency)
	f.overhead.merge(&other.overhead)
	f.exec.merge(&other.exec)
	f.queue.merge(&other.queue)
	f.start.merge(&other.start)
	f.lag.merge(&other.lag)
}

func (f *cell) metrics(d time.Duration) spec.Metrics {
	m := spec.Metrics{
		Offered: f.offered, Completed: f.completed, Failed: f.offered - f.completed, Cold: f.cold,
		Statuses: map[string]int64{}, Duration: d,
		Latency: f.latency.quantiles(), Overhead: f.overhead.quantiles(), Exec: f.exec.quantiles(),
		Queue: f.queue.quantiles(), Start: f.start.quantiles(), Lag: f.lag.quantiles(),
	}
	maps.Copy(m.Statuses, f.statuses)
	if f.completed > 0 {
		m.Statuses[OK] = f.completed
	}
	if d > 0 {
		m.ThroughputPerSecond = float64(m.Completed) / d.Seconds()
	}
	return m
}
