// Package prewarm decides which sandboxes are made before an invocation asks for one. Policies are
// pure; the worker makes what they want if there is memory that nobody waits for.
package prewarm

import (
	"fmt"
	"math"
	"time"

	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/hcl/registry"
)

// Policy is a way to make sandboxes ahead, with its options. It has no state.
type Policy interface {
	// New returns the Planner of one worker.
	New() Planner
}

// Call is an invocation that has arrived, as a Planner sees it.
type Call struct {
	Function int           // number of the function on this worker, from 1
	Idle     time.Duration // how long nothing of the function had been under way, 0 when something is, less than 0 when none has been
	Interval time.Duration // mean time between two arrivals of the function; 0 = not known
	Service  time.Duration // predicted execution; 0 = not known
}

// Planner says what to make. It may have state and is used by one worker.
type Planner interface {
	// Arrived returns how many sandboxes of the function there should be now, busy ones included. 0 is as many as there are.
	Arrived(Call) int
	// Next returns how long after the end of a function's last invocation a sandbox of it should be made where none is idle.
	Next(function int) (time.Duration, bool)
}

// Builtin lists the prewarm policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("prewarm policy")
	r.Add("none", registry.About{Doc: "sandboxes are made on demand"}, func(decode registry.Decoder) (Policy, error) { return None{}, decode(&struct{}{}) })
	r.Add("little", registry.About{
		Doc:    "as many as are busy on average, by the rate of the function and its execution",
		Source: "J. D. C. Little, A proof for the queuing formula L = λW, 1961, doi:10.1287/opre.9.3.383; A. Fuerst et al., Ilúvatar, HPDC 2023, section 6.2, doi:10.1145/3588195.3592995",
	}, func(decode registry.Decoder) (Policy, error) {
		p := Little{Headroom: 1, Most: 100}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	r.Add("histogram", registry.About{
		Doc:    "one when the next invocation is about to come, from the histogram of the times between them; with keepalive histogram, none is kept until then",
		Source: "M. Shahrad et al., Serverless in the Wild, ATC 2020, section 4",
	}, func(decode registry.Decoder) (Policy, error) {
		p := Histogram{Head: 0.05, Margin: 0.1, Times: estimate.Times{Bin: time.Minute, Bins: 240, Least: 5, Spread: 2, Outside: 0.5}}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	return r
}

// None makes nothing ahead.
type None struct{}

// New is without state.
func (None) New() Planner { return none{} }

type none struct{}

func (none) Arrived(Call) int               { return 0 }
func (none) Next(int) (time.Duration, bool) { return 0, false }

// Little has the sandboxes that Little's law says are busy on average:
//
//	n = ⌈h·λ·E[S]⌉
//
// with h the headroom, λ the rate of the function's arrivals, as one by the mean time between them, and E[S] its
// predicted execution.
type Little struct {
	Headroom float64 `hcl:"headroom,optional" json:"headroom" doc:"how many times as many as the law says, over 0, to 1000"`
	Most     int     `hcl:"most,optional" json:"most" doc:"of a function, 1 to 10000"`
}

func (p Little) check() error {
	switch {
	case !(p.Headroom > 0 && p.Headroom <= 1000):
		return fmt.Errorf("headroom is %g, want more than 0, to 1000", p.Headroom)
	case p.Most < 1 || p.Most > 10_000:
		return fmt.Errorf("most is %d, want 1 to 10000", p.Most)
	}
	return nil
}

// New is without state.
func (p Little) New() Planner { return little{Little: p} }

type little struct {
	Little
	none
}

// Arrived returns 0 while rate and execution are not known.
func (p little) Arrived(c Call) int {
	if c.Interval <= 0 || c.Service <= 0 {
		return 0
	}
	n := math.Ceil(float64(p.Headroom*float64(c.Service)/float64(c.Interval)) - 1e-9)
	return min(max(int(min(n, 1e6)), 1), p.Most)
}

// Histogram makes a sandbox when the next invocation is about to come: at the quantile Head of the times for which
// nothing of the function was under way, less a margin. Where the histogram tells nothing, and where that is in
// its first bin, it makes none.
type Histogram struct {
	Head   float64 `hcl:"head,optional" json:"head" doc:"quantile of the times between invocations by which a sandbox is made, over 0, to 1"`
	Margin float64 `hcl:"margin,optional" json:"margin" doc:"how much earlier, as a share, 0 to 1"`
	estimate.Times
}

func (p Histogram) check() error {
	switch {
	case !(p.Head > 0 && p.Head <= 1):
		return fmt.Errorf("head is %g, want more than 0, to 1", p.Head)
	case !(p.Margin >= 0 && p.Margin <= 1):
		return fmt.Errorf("margin is %g, want 0 to 1", p.Margin)
	}
	return p.Times.Check()
}

// New returns a Planner that knows no function.
func (p Histogram) New() Planner { return &histogram{Histogram: p, by: p.Times.New()} }

type histogram struct {
	Histogram
	by *estimate.ByFunction
}

func (h *histogram) Arrived(c Call) int {
	if c.Idle >= 0 {
		h.by.Add(c.Function, c.Idle)
	}
	return 0
}

func (h *histogram) Next(function int) (time.Duration, bool) {
	times, ok := h.by.Of(function)
	if !ok {
		return 0, false
	}
	from, _ := times.Quantile(h.Head)
	return time.Duration(float64(from) * (1 - h.Margin)), from > 0
}
