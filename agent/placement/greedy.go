package placement

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// GreedyWeights orders the functions by the time that they save on a GPU for each second,
//
//	o = (c − g)/i
//
// with c and g the executions on CPU and GPU, and i the mean time between calls, 100 s where it is not known. The first so
// many, by Allow, run on GPUs: the first half of those always, and the rest where they are predicted to end first. What has no times yet
// is not ordered and tried. (Ilúvatar orders a function that CPU never ran first of all; `queue_tput` allows none where the
// queue is short, and compares calls per second with busy devices.)
type GreedyWeights struct {
	Every     time.Duration `hcl:"every,optional" json:"every" doc:"between two computations of the set"`
	Allow     string        `hcl:"allow,optional" json:"allow" doc:"how many: top_quarter, top_third, load_limit, queue_tput, fixed or incremental; all but fixed no more than run on the GPUs at a time"`
	Load      float64       `hcl:"load,optional" json:"load,omitempty" doc:"of load_limit: busy devices, over 0"`
	Functions int           `hcl:"functions,optional" json:"functions,omitempty" doc:"of fixed: how many; of incremental: at first"`
	Assign    bool          `hcl:"assign,optional" json:"assign,omitempty" doc:"GPUs for all of the set, whatever is predicted"`
}

var (
	greedyDefaults = GreedyWeights{Every: 3 * time.Second, Allow: "top_quarter", Load: 1, Functions: 5}
	allows         = []string{"top_quarter", "top_third", "load_limit", "queue_tput", "fixed", "incremental"}
)

func (p GreedyWeights) check() error {
	switch {
	case p.Every <= 0:
		return fmt.Errorf("every is %v, want a positive duration", p.Every)
	case !slices.Contains(allows, p.Allow):
		return fmt.Errorf("allow is %q, want one of %q", p.Allow, allows)
	case !(p.Load > 0 && p.Load <= 1e6) || p.Functions < 1 || p.Functions > 1e6:
		return fmt.Errorf("load is %g and functions %d, want more than 0, and 1 or more, to 1e6", p.Load, p.Functions)
	}
	return nil
}

// New has an empty set.
func (p GreedyWeights) New(*rand.Rand) Placer { return &greedy{GreedyWeights: p, size: p.Functions} }

type greedy struct {
	GreedyWeights
	queueless
	functions perFunction[worth]
	next      time.Duration
	ranks     perFunction[int] // place in the set from 1, 0 outside it
	allowed   int
	size      int // of incremental
	ended     ring
}

// worth is a function. Times are in seconds.
type worth struct{ cpu, gpu, interval float64 }

func (w worth) saves() float64 { return (w.cpu - w.gpu) / w.interval }

func (g *greedy) Place(c *Call) Compute {
	if !c.CPU.Known || !c.GPU.Known {
		return soonest(c)
	}
	w := worth{c.CPU.Exec.Seconds(), c.GPU.Exec.Seconds(), c.Interval.Seconds()}
	if w.interval <= 0 {
		w.interval = 100
	}
	*g.functions.of(c.Function) = w
	if c.Now >= g.next {
		g.next = c.Now + g.Every
		g.compute(c)
	}
	rank := *g.ranks.of(c.Function)
	switch {
	case rank == 0:
		return CPU
	case g.Assign || 2*rank <= g.allowed+1:
		return GPU
	default:
		return soonest(c)
	}
}

func (g *greedy) compute(c *Call) {
	var order []int
	for i, w := range g.functions {
		if w.interval > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(g.functions[b].saves(), g.functions[a].saves()) })
	n := g.allow(order, c)
	if g.Allow != "fixed" {
		n = min(n, c.Tokens)
	}
	g.allowed = min(max(n, 1), len(order))
	clear(g.ranks)
	for i, f := range order[:g.allowed] {
		*g.ranks.of(f + 1) = i + 1
	}
}

// allow is how many of the order, before the limits.
func (g *greedy) allow(order []int, c *Call) int {
	until := func(load float64) int { // busy devices
		sum, n := 0.0, 0
		for n < len(order) && sum < load {
			sum += g.functions[order[n]].gpu / g.functions[order[n]].interval
			n++
		}
		return n
	}
	busy := g.ended.busy()
	waits := c.GPU.Work.Seconds() / float64(c.Tokens)
	switch g.Allow {
	case "top_quarter":
		return len(order) / 4
	case "top_third":
		return len(order) / 3
	case "load_limit":
		return until(g.Load)
	case "queue_tput":
		if c.GPU.Waiting <= 10 {
			return len(order)
		}
		return until(busy)
	case "incremental":
		switch {
		case waits == 0:
			g.size++
		case busy >= 0.75 && waits >= 15:
			g.size = max(1, g.size-1)
		case busy >= 0.6 || waits >= 5:
			g.size++
		}
		return g.size
	default:
		return g.Functions
	}
}

func (g *greedy) Ended(o Outcome) {
	if o.On == GPU {
		g.ended.add(o)
	}
}

// ring is the last invocations that ended on GPUs.
type ring struct {
	last [20]Outcome
	n    int
}

func (r *ring) add(o Outcome) {
	r.last[r.n%len(r.last)] = o
	r.n++
}

// busy is the mean number of devices that executed them: the sum of their times by that from the end of the oldest to
// the end of the newest, 0 where that is none.
func (r *ring) busy() float64 {
	kept := min(r.n, len(r.last))
	if kept == 0 {
		return 0
	}
	oldest, newest := r.last[(r.n-kept)%len(r.last)], r.last[(r.n-1)%len(r.last)]
	var sum time.Duration
	for _, o := range r.last[:kept] {
		sum += o.Exec
	}
	if newest.Now <= oldest.Now {
		return 0
	}
	return float64(sum) / float64(newest.Now-oldest.Now)
}
