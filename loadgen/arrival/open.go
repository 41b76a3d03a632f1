package arrival

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/minheap"
	"github.com/ainur-faas/ainur/internal/stream"
)

// Calls reads a trace: each call's time since the trace began, in order, and
// the trace's name of the function. It returns false at the end.
type Calls func() (at time.Duration, function string, ok bool)

// New returns the schedule of an open phase of load: every arrival before the
// phase's Duration. A phase without a mix has the load's. Only the trace model
// reads calls; it needs a fresh one for each phase.
//
// Each function draws from its own stream of seed, so the arrivals of one
// function do not depend on which others are in the mix.
func New(load spec.Load, phase spec.Phase, seed uint64, calls Calls) (Schedule, error) {
	a := phase.Arrival
	switch a.Model {
	case "constant", "poisson":
		if !(a.RatePerSecond > 0) || math.IsInf(a.RatePerSecond, 0) {
			return nil, fmt.Errorf("phase %s: rate is %g per second, want a positive number", phase.Name, a.RatePerSecond)
		}
	case "ramp":
		if err := checkRamp(a); err != nil {
			return nil, fmt.Errorf("phase %s: %w", phase.Name, err)
		}
	case "trace":
		if calls == nil || a.Trace == nil {
			return nil, fmt.Errorf("phase %s: arrival trace has no trace", phase.Name)
		}
		if a.Speed < 0 || math.IsNaN(a.Speed) || math.IsInf(a.Speed, 0) {
			return nil, fmt.Errorf("phase %s: speed is %g, want a positive number", phase.Name, a.Speed)
		}
		return &replay{calls, a.Trace.Map, a.Start, cmp.Or(a.Speed, 1), phase.Duration}, nil
	default:
		return nil, fmt.Errorf("phase %s: arrival model %q has no schedule", phase.Name, a.Model)
	}

	mix := mixOf(load, phase)
	if len(mix) == 0 {
		return nil, fmt.Errorf("phase %s: the mix names no function", phase.Name)
	}
	m := &merge{end: phase.Duration}
	for _, w := range mix {
		if !(w.Weight > 0) {
			continue
		}
		rng := stream.New(seed, load.Name, phase.Name, "arrival", w.Function)
		s := &source{function: w.Function}
		switch a.Model {
		case "constant":
			s.next = constant(a.RatePerSecond*w.Weight, phase.Duration, rng)
		case "poisson":
			s.next = poisson(a.RatePerSecond*w.Weight, rng)
		case "ramp":
			r := newRamp(a, w.Weight, phase.Duration)
			if s.next = r.poisson(rng); a.Even {
				s.next = even(r.total, r.at, phase.Duration, rng)
			}
		}
		m.plan(s)
	}
	return m, nil
}

// mixOf is the phase's mix, or the load's where the phase has none.
func mixOf(load spec.Load, phase spec.Phase) []spec.Weight {
	if len(phase.Mix) > 0 {
		return phase.Mix
	}
	return load.Mix
}

// constant spaces arrivals evenly, at (k+u)/rate.
func constant(rate float64, d time.Duration, rng *rand.Rand) func() time.Duration {
	return even(rate*d.Seconds(), func(n float64) float64 { return n / rate }, d, rng)
}

// even has the arrivals numbered k+u for k = 0, 1, … with one offset u drawn
// from [0, 1), so that functions of equal rate do not arrive in step. There are exactly n
// of them in d where that is a whole number, else one of its two neighbours, and n on
// average. The time when so many have arrived is at, in seconds.
func even(n float64, at func(float64) float64, d time.Duration, rng *rand.Rand) func() time.Duration {
	if whole := math.Round(n); math.Abs(n-whole) < 1e-6 {
		n = whole // 0.1·3·10 is not quite 3
	}
	u := rng.Float64()
	count := math.Ceil(n - u)
	k := 0.0
	return func() time.Duration {
		if k >= count {
			return never
		}
		t := min(duration(at(k+u)), d-1)
		k++
		return t
	}
}

// poisson draws exponential gaps of mean 1/rate: a Poisson process.
func poisson(rate float64, rng *rand.Rand) func() time.Duration {
	at := 0.0 // seconds
	return func() time.Duration {
		at += rng.ExpFloat64() / rate
		return duration(at)
	}
}

// never is later than any arrival.
const never = time.Duration(math.MaxInt64)

// duration converts seconds, and what is too long for a Duration to never.
func duration(seconds float64) time.Duration {
	if ns := seconds * 1e9; ns < math.MaxInt64 {
		return time.Duration(ns)
	}
	return never
}

// source is the arrivals of one function.
type source struct {
	function string
	next     func() time.Duration
}

// merge yields the arrivals of all sources in order of time.
type merge struct {
	end     time.Duration
	sources minheap.Heap[*source] // by the time of the next arrival
}

// plan puts s where its next arrival belongs, if there is one.
func (m *merge) plan(s *source) {
	if at := s.next(); at < m.end {
		m.sources.Push(int64(at), s)
	}
}

func (m *merge) Next() (Arrival, bool) {
	if m.sources.Len() == 0 {
		return Arrival{}, false
	}
	at, s := m.sources.Pop()
	m.plan(s)
	return Arrival{At: time.Duration(at), Function: s.function}, true
}

// replay yields the calls of a trace from start on, speed times faster, as
// calls of the functions that serve them. A function that the map does not
// name serves itself.
type replay struct {
	calls Calls
	serve map[string]string
	start time.Duration
	speed float64
	end   time.Duration
}

func (r *replay) Next() (Arrival, bool) {
	for {
		at, function, ok := r.calls()
		if !ok {
			return Arrival{}, false
		}
		if at < r.start {
			continue
		}
		if at = time.Duration(float64(at-r.start) / r.speed); at >= r.end {
			return Arrival{}, false
		}
		if f, ok := r.serve[function]; ok {
			function = f
		}
		return Arrival{At: at, Function: function}, true
	}
}
