package queue

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// MQFQ is start-time fair queueing with as many servers as run at a time: each item
// has a start tag and a finish tag,
//
//	S = max(V, F of the function's last)    F = S + c/w
//
// with c the predicted execution, w the weight of the function, and V, the virtual time, the
// greatest start tag that was started. The item of the least start tag starts first. Over any time in
// which two functions both have items waiting, what they were served, by weight, differs by at
// most (D + 1) times the sum of the longest of each by its weight, with D that run at a time (Jin et al. 2004,
// theorem 2, for SFQ(D)). It is the order of MQFQ (M. Hedayati et al., Multi-queue fair queueing,
// ATC 2019) on one queue, without the slack that lets a function run ahead.
type MQFQ struct {
	Weights map[string]float64 `hcl:"weights,optional" json:"weights,omitempty" doc:"share of each function, by its name; 1 where it has none"`
	Unknown time.Duration      `hcl:"unknown,optional" json:"unknown" doc:"execution of a function that was never seen"`
	Exceptions
}

func (p MQFQ) check() error {
	if p.Unknown <= 0 {
		return fmt.Errorf("unknown is %v, want a positive duration", p.Unknown)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Weights)) {
		if w := p.Weights[name]; !(w > 0 && w <= 1e6) {
			return fmt.Errorf("the weight of %s is %g, want a positive number up to 1e6", name, w)
		}
	}
	return nil
}

// New returns an Order in which nobody has been served.
func (p MQFQ) New() Order { return &mqfq{MQFQ: p, finish: map[int]time.Duration{}} }

type mqfq struct {
	MQFQ
	now    time.Duration         // virtual
	finish map[int]time.Duration // by function: the last finish tag
}

func (o *mqfq) Rank(it Item) time.Duration {
	weight := 1.0
	if w, ok := o.Weights[it.Name]; ok {
		weight = w
	}
	cost := it.Exec
	if !it.Known {
		cost = o.Unknown
	}
	start := max(o.now, o.finish[it.Function])
	o.finish[it.Function] = start + max(1, scaled(1/weight, cost))
	return start
}

func (o *mqfq) Leave(_ Item, rank time.Duration, runs bool) {
	if runs {
		o.now = max(o.now, rank)
	}
}

// DRR is deficit round robin: in each round every function that waits may use a quantum
// of predicted execution, and what it does not use is kept while it waits. An item is ranked by
// the round in which its function will have saved enough for it and all before it; in a round,
// items go in order of arrival. Two functions that both wait differ by at most a quantum and
// the longest item of each in what they were served (Shreedhar and Varghese 1995, theorem 2).
type DRR struct {
	Quantum time.Duration `hcl:"quantum,optional" json:"quantum" doc:"of each function in every round"`
	Unknown time.Duration `hcl:"unknown,optional" json:"unknown" doc:"execution of a function that was never seen"`
	Exceptions
}

func (p DRR) check() error {
	if p.Quantum <= 0 || p.Unknown <= 0 {
		return fmt.Errorf("quantum is %v and unknown is %v, want positive durations", p.Quantum, p.Unknown)
	}
	return nil
}

// New returns an Order before the first round.
func (p DRR) New() Order { return &drr{DRR: p, flows: map[int]*flow{}} }

type drr struct {
	DRR
	round int64 // that is being served
	flows map[int]*flow
}

// flow is a function that waits.
type flow struct {
	waiting int
	first   int64         // round in which it began to wait
	asked   time.Duration // by all its items since then
}

func (o *drr) Rank(it Item) time.Duration {
	f := o.flows[it.Function]
	if f == nil {
		f = &flow{}
		o.flows[it.Function] = f
	}
	if f.waiting == 0 {
		*f = flow{first: o.round}
	}
	cost := it.Exec
	if !it.Known {
		cost = o.Unknown
	}
	f.waiting++
	f.asked = min(f.asked+cost, longest)
	return time.Duration(f.first + int64((f.asked+o.Quantum-1)/o.Quantum))
}

func (o *drr) Leave(it Item, rank time.Duration, runs bool) {
	if runs {
		o.round = max(o.round, int64(rank)-1)
	}
	if f := o.flows[it.Function]; f != nil && f.waiting > 0 {
		f.waiting--
	}
}
