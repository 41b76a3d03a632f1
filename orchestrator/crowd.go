package orchestrator

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// The fewest samples that make a distribution of one function, and where it has
// fewer, of all functions together.
const (
	enough      = 100
	enoughOfAll = 30
)

// crowd is the calls that a worker got from an experiment's own load, by how many
// executions on its CPUs each of their phases met.
type crowd struct {
	cores        int
	calls        []*measure.Call
	starts, ends []int64 // of executions, sorted
	// overheads of warm sandboxes, by executions under way and function; "" is all of them.
	overheads []map[string]*sim.MeasuredOverheads
	execs     map[string][]time.Duration // how long executions had taken alone, by function; once fit
}

// crowdOf is the crowd of calls that were made one list after the other.
func crowdOf(worker spec.Worker, lists ...[]measure.Call) *crowd {
	c := &crowd{cores: coresOf(worker)}
	for range c.cores + 1 {
		c.overheads = append(c.overheads, map[string]*sim.MeasuredOverheads{})
	}
	began := int64(0)
	for _, calls := range lists {
		last := began
		for i := range calls {
			if whole(&calls[i]) && calls[i].Host == worker.Name && !strings.HasPrefix(calls[i].Device, "gpu") {
				one := later(calls[i], began)
				c.calls, c.starts, c.ends = append(c.calls, one), append(c.starts, one.ExecStart), append(c.ends, one.ExecEnd)
				last = max(last, one.Received)
			}
		}
		began = last + 1
	}
	slices.Sort(c.starts)
	slices.Sort(c.ends)
	for _, one := range c.calls {
		if one.ColdKind == "cold" {
			continue
		}
		for _, name := range []string{one.Function, ""} {
			sent, ready, ended, replied := c.at(one.Intended, name), c.at(one.SandboxReady, name), c.at(one.ExecEnd, name), c.at(one.Replied, name)
			sent.Lag = append(sent.Lag, time.Duration(one.Sent-one.Intended))
			sent.Request = append(sent.Request, time.Duration(one.Queued-one.Sent))
			ready.Dispatch = append(ready.Dispatch, time.Duration(one.ExecStart-one.SandboxReady))
			ended.Finish = append(ended.Finish, time.Duration(one.Replied-one.ExecEnd))
			replied.Reply = append(replied.Reply, time.Duration(one.Received-one.Replied))
		}
	}
	return c
}

// later is a whole call that was made so much later.
func later(c measure.Call, by int64) *measure.Call {
	for _, at := range []*int64{&c.Intended, &c.Sent, &c.Queued, &c.SandboxReady, &c.ExecStart, &c.ExecEnd, &c.Replied, &c.Received} {
		*at += by
	}
	return &c
}

// running is how many executions were under way at t.
func (c *crowd) running(t int64) int {
	until := func(all []int64) int { return sort.Search(len(all), func(i int) bool { return all[i] > t }) }
	return min(c.cores, until(c.starts)-until(c.ends))
}

func (c *crowd) at(t int64, function string) *sim.MeasuredOverheads {
	level := c.overheads[c.running(t)]
	if level[function] == nil {
		level[function] = &sim.MeasuredOverheads{}
	}
	return level[function]
}

// of gives m, which was measured alone, what the function met in the crowd.
func (c *crowd) of(function string, m sim.Measured) sim.Measured {
	if execs := c.execs[function]; len(execs) >= enough {
		m.Exec = thin(execs)
	}
	m.MeasuredOverheads = c.pick(function, 0, m.MeasuredOverheads)
	last := m.MeasuredOverheads
	for running := 1; running <= c.cores; running++ {
		last = c.pick(function, running, last)
		m.Crowded = append(m.Crowded, last)
	}
	return m
}

// pick takes each overhead from the function's calls, from those of all, or from otherwise, whichever
// first has enough.
func (c *crowd) pick(function string, running int, otherwise sim.MeasuredOverheads) sim.MeasuredOverheads {
	pick := func(overhead func(*sim.MeasuredOverheads) []time.Duration) []time.Duration {
		level := c.overheads[running]
		if o := level[function]; o != nil && len(overhead(o)) >= enough {
			return thin(overhead(o))
		}
		if o := level[""]; running > 0 && o != nil && len(overhead(o)) >= enoughOfAll {
			return thin(overhead(o))
		}
		return overhead(&otherwise)
	}
	return sim.MeasuredOverheads{
		Lag:      pick(func(o *sim.MeasuredOverheads) []time.Duration { return o.Lag }),
		Request:  pick(func(o *sim.MeasuredOverheads) []time.Duration { return o.Request }),
		Dispatch: pick(func(o *sim.MeasuredOverheads) []time.Duration { return o.Dispatch }),
		Finish:   pick(func(o *sim.MeasuredOverheads) []time.Duration { return o.Finish }),
		Reply:    pick(func(o *sim.MeasuredOverheads) []time.Duration { return o.Reply }),
	}
}

// fit is how many times as long as alone executions took beside others, where curve is that of
// executions that did nothing else. mean is how long each function's takes alone.
//
// Of a call it is known how long it ran beside how many, and not how much of its work got done
// beside how many. So both are estimated in turn: the work of each call is divided by the curve, and the curve is
// the time at each level over the work that was done there. What it was measured with too little stays.
//
// What each call then had taken alone is kept too. Other than what was measured alone it has all that
// befalls executions beside others and that a curve does not say, so that drawn from it and slowed down they vary as they did.
func (c *crowd) fit(mean map[string]float64, curve []float64) []float64 {
	times := c.times(len(curve))
	seen := make([]int, len(curve))
	for _, at := range times {
		for level, t := range at {
			if t > 0 {
				seen[level]++
			}
		}
	}
	for range 50 {
		work, took := make([]float64, len(curve)), make([]float64, len(curve))
		for i, at := range times {
			done := 0.0
			for level, t := range at {
				done += t / curve[level]
			}
			for level, t := range at {
				took[level] += t
				work[level] += mean[c.calls[i].Function] * (t / curve[level]) / max(1, done)
			}
		}
		for level := range curve {
			if seen[level] >= enough {
				curve[level] = took[level] / work[level]
			}
		}
	}
	c.execs = map[string][]time.Duration{}
	for i, at := range times {
		alone := 0.0
		for level, t := range at {
			alone += t / curve[level]
		}
		name := c.calls[i].Function
		c.execs[name] = append(c.execs[name], time.Duration(alone))
	}
	return curve
}

// times are, for each call, how long its execution took beside none, one and more others, ns. More
// than levels at a time share what those get done.
func (c *crowd) times(levels int) [][]float64 {
	type edge struct {
		at   int64
		call int
		ends bool
	}
	times, edges := make([][]float64, len(c.calls)), make([]edge, 0, 2*len(c.calls))
	for i, one := range c.calls {
		times[i] = make([]float64, levels)
		edges = append(edges, edge{one.ExecStart, i, false}, edge{one.ExecEnd, i, true})
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	var running []int
	last := int64(0)
	for _, e := range edges {
		if n := len(running); n > 0 {
			level := min(n, levels)
			for _, i := range running {
				times[i][level-1] += float64(e.at-last) * float64(level) / float64(n)
			}
		}
		last = e.at
		if e.ends {
			running = slices.DeleteFunc(running, func(i int) bool { return i == e.call })
		} else {
			running = append(running, e.call)
		}
	}
	return times
}
