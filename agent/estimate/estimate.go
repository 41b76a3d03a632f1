// Package estimate predicts how long something takes from how long it took.
//
// What was never seen has no prediction, which is not the prediction 0. Memory and the
// time that an observation takes do not grow with the number of them.
package estimate

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/registry"
)

// Policy is a way to predict, with its options. It has no state.
type Policy interface {
	// New returns an Estimator that has seen nothing.
	New() Estimator
}

// Estimator predicts one thing, such as the executions of a function in sandboxes that are warm. Load is
// the invocations that run on the worker at the beginning, the one in question not counted.
type Estimator interface {
	Add(load int, took time.Duration)
	// At predicts under a load, false where nothing was seen.
	At(load int) (time.Duration, bool)
}

// Builtin lists the estimators that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("estimate policy")
	add(r, "ewma", registry.About{
		Doc:    "the exponentially weighted moving average",
		Source: "S. W. Roberts, Control chart tests based on geometric moving averages, 1959, doi:10.1080/00401706.1959.10489860",
	}, EWMA{Weight: 0.1}) // Ilúvatar's
	add(r, "quantile", registry.About{
		Doc:    "a quantile of the last that were seen: the median is that of most, whatever a few take",
		Source: "R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages, 1996, definition 1, doi:10.1080/00031305.1996.10473566",
	}, Quantile{Window: 50, Quantile: 0.5})
	add(r, "regression", registry.About{
		Doc:    "a straight line through the times by the load that they were seen under: least squares with exponential forgetting",
		Source: "L. Ljung and T. Söderström, Theory and practice of recursive identification, 1983, section 2.2",
	}, Regression{Memory: 0.99})
	return r
}

// add registers a policy whose options are those of P, by default as in defaults.
func add[P interface {
	Policy
	check() error
}](r *registry.Registry[Policy], name string, about registry.About, defaults P) {
	r.Add(name, about, func(decode registry.Decoder) (Policy, error) {
		p := defaults
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
}

// EWMA is the exponentially weighted moving average
//
//	e ← e + w·(x − e)
//
// of the observations x, with w the weight of the last, dimensionless. The first sets it.
type EWMA struct {
	Weight float64 `hcl:"weight,optional" json:"weight" doc:"of the last that was seen, over 0, to 1"`
}

func (p EWMA) check() error {
	if !(p.Weight > 0 && p.Weight <= 1) {
		return fmt.Errorf("weight is %g, want more than 0, to 1", p.Weight)
	}
	return nil
}

// New returns an average of nothing.
func (p EWMA) New() Estimator { return &ewma{weight: p.Weight} }

type ewma struct {
	weight float64
	value  time.Duration
	seen   bool
}

func (e *ewma) Add(_ int, took time.Duration) {
	if !e.seen {
		e.value, e.seen = took, true
		return
	}
	e.value += time.Duration(e.weight * float64(took-e.value))
}

func (e *ewma) At(int) (time.Duration, bool) { return e.value, e.seen }

// Quantile is the quantile, by nearest rank, of the last Window observations.
type Quantile struct {
	Window   int     `hcl:"window,optional" json:"window" doc:"how many of the last count, 1 to 10000"`
	Quantile float64 `hcl:"quantile,optional" json:"quantile" doc:"over 0, to 1"`
}

func (p Quantile) check() error {
	switch {
	case p.Window < 1 || p.Window > 10_000:
		return fmt.Errorf("window is %d, want 1 to 10000", p.Window)
	case !(p.Quantile > 0 && p.Quantile <= 1):
		return fmt.Errorf("quantile is %g, want more than 0, to 1", p.Quantile)
	}
	return nil
}

// New returns a window without observations.
func (p Quantile) New() Estimator { return &quantile{Quantile: p} }

type quantile struct {
	Quantile
	ring   []time.Duration // in the order in which they were seen, from oldest on
	oldest int
	sorted []time.Duration
}

func (e *quantile) Add(_ int, took time.Duration) {
	if len(e.ring) < e.Window {
		e.ring = append(e.ring, took)
	} else {
		at, _ := slices.BinarySearch(e.sorted, e.ring[e.oldest])
		e.sorted = slices.Delete(e.sorted, at, at+1)
		e.ring[e.oldest] = took
		e.oldest = (e.oldest + 1) % e.Window
	}
	at, _ := slices.BinarySearch(e.sorted, took)
	e.sorted = slices.Insert(e.sorted, at, took)
}

func (e *quantile) At(int) (time.Duration, bool) {
	n := len(e.sorted)
	if n == 0 {
		return 0, false
	}
	return e.sorted[rank(e.Quantile.Quantile, n)-1], true
}

// rank is the nearest rank, ⌈q·n⌉, of the quantile q among n.
func rank(q float64, n int) int { return min(max(int(math.Ceil(float64(q*float64(n))-1e-9)), 1), n) }

// Regression is the straight line through the observations, by the load that they were seen
// under, that has the least sum of squares where each counts Memory times as much as the one after it. Its sums are
// kept and not the observations, and as differences from the means, so that they do not cancel.
type Regression struct {
	Memory float64 `hcl:"memory,optional" json:"memory" doc:"how much an observation counts when another has come, over 0, to 1, which forgets nothing"`
}

func (p Regression) check() error {
	if !(p.Memory > 0 && p.Memory <= 1) {
		return fmt.Errorf("memory is %g, want more than 0, to 1", p.Memory)
	}
	return nil
}

// New returns a line through nothing.
func (p Regression) New() Estimator { return &regression{memory: p.Memory} }

type regression struct {
	memory float64
	n      float64 // weight of all observations
	x, y   float64 // means of load and time, ns
	xx, xy float64 // weighted sums of products of the differences from them
}

func (e *regression) Add(load int, took time.Duration) {
	e.n = float64(e.memory*e.n) + 1
	dx, dy := float64(load)-e.x, float64(took)-e.y
	e.x += dx / e.n
	e.y += dy / e.n
	e.xx = float64(e.memory*e.xx) + float64(dx*(float64(load)-e.x))
	e.xy = float64(e.memory*e.xy) + float64(dx*(float64(took)-e.y))
}

// At is the mean where all were seen under one load, and nothing less than 0.
func (e *regression) At(load int) (time.Duration, bool) {
	at := e.y
	if e.xx > 1e-9 {
		at += float64(e.xy / e.xx * (float64(load) - e.x))
	}
	return time.Duration(min(max(at, 0), 1<<62)), e.n > 0
}
