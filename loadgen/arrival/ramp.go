package arrival

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// ramp is a rate that goes from a to b, in calls per second, over d seconds:
//
//	linear       λ(t) = a + (b − a)·t/d    Λ(t) = a·t + (b − a)·t²/2d
//	exponential  λ(t) = a·exp(g·t)         Λ(t) = a·(exp(g·t) − 1)/g    g = ln(b/a)/d
//
// Λ(t), the integral of λ, is the expected number of arrivals before t. Where L₁ < L₂ < …
// are a Poisson process of rate 1, Λ⁻¹(L₁), Λ⁻¹(L₂), … are one of rate λ (E. Çinlar,
// Introduction to stochastic processes, 1975, section 4.7): exact, and one draw an arrival.
type ramp struct {
	a, b, d float64
	growth  float64 // g of the exponential shape; 0 is linear
	total   float64 // Λ(d)
}

// newRamp returns the ramp of a function with this weight in the mix.
func newRamp(a spec.Arrival, weight float64, d time.Duration) ramp {
	r := ramp{a: a.FromPerSecond * weight, b: a.ToPerSecond * weight, d: d.Seconds()}
	if a.Shape == "exponential" {
		r.growth = math.Log(a.ToPerSecond/a.FromPerSecond) / r.d
	}
	mean, _ := Rates(a)
	r.total = mean * weight * r.d
	return r
}

// checkRamp says what is wrong with the rates or the shape of a ramp.
func checkRamp(a spec.Arrival) error {
	low, high := min(a.FromPerSecond, a.ToPerSecond), max(a.FromPerSecond, a.ToPerSecond)
	switch {
	case !(low >= 0) || math.IsInf(high, 0):
		return fmt.Errorf("the ramp goes from %g to %g per second, want 0 or more", a.FromPerSecond, a.ToPerSecond)
	case high == 0:
		return errors.New("the ramp goes from 0 to 0 per second, want one of them over 0")
	case a.Shape != "" && a.Shape != "linear" && a.Shape != "exponential":
		return fmt.Errorf("shape is %q, want linear or exponential", a.Shape)
	case a.Shape == "exponential" && low == 0:
		return fmt.Errorf("an exponential ramp goes from %g to %g per second, want both over 0; a linear one may begin or end at 0", a.FromPerSecond, a.ToPerSecond)
	}
	return nil
}

// at is Λ⁻¹(n): when n arrivals are expected to have come, in seconds.
func (r ramp) at(n float64) float64 {
	if r.growth != 0 {
		return math.Log1p(r.growth*n/r.a) / r.growth
	}
	// The form of the root that loses no digits where a is near b. Beyond the end of a ramp that
	// falls there may be no root; what this gives is later than the end.
	return 2 * n / (r.a + math.Sqrt(max(0, float64(r.a*r.a)+2*(r.b-r.a)*n/r.d)))
}

// poisson draws a Poisson process of rate λ.
func (r ramp) poisson(rng *rand.Rand) func() time.Duration {
	n := 0.0
	return func() time.Duration {
		n += rng.ExpFloat64()
		return duration(r.at(n))
	}
}

// Rates are the mean and the highest rate of an open arrival model over its
// phase, in calls per second; those of a trace are the mean of the whole trace. A
// closed model has none: both are 0.
func Rates(a spec.Arrival) (mean, peak float64) {
	switch {
	case a.Trace != nil && a.Trace.Duration > 0:
		mean = float64(a.Trace.Calls) / a.Trace.Duration.Seconds() * a.Speed
		return mean, mean
	case a.Model != "ramp":
		return a.RatePerSecond, a.RatePerSecond
	}
	from, to := a.FromPerSecond, a.ToPerSecond
	if a.Shape == "exponential" && from != to {
		return (to - from) / math.Log(to/from), max(from, to)
	}
	return (from + to) / 2, max(from, to)
}
