package arrival

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Draw returns a duration distributed as d, never negative.
//
// The lognormal is given by its mean m and coefficient of variation c: with Z
// standard normal, exp(μ + σZ) has m = exp(μ + σ²/2) and c² = exp(σ²) − 1
// (Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions,
// volume 1, 2nd ed. 1994, chapter 14), so
//
//	σ² = ln(1 + c²)    μ = ln m − σ²/2
func Draw(d spec.Dist, rng *rand.Rand) time.Duration {
	mean := d.Mean.Seconds()
	switch d.Kind {
	case "", "constant":
		return max(0, d.Mean)
	case "exponential":
		return max(0, duration(mean*rng.ExpFloat64()))
	case "lognormal":
		z := rng.NormFloat64()
		if mean <= 0 {
			return 0
		}
		variance := math.Log1p(d.CV * d.CV)
		return duration(math.Exp(math.Log(mean) - variance/2 + float64(math.Sqrt(variance)*z)))
	case "uniform":
		return max(0, d.Min+time.Duration(rng.Uint64N(uint64(max(0, d.Max-d.Min))+1)))
	case "empirical":
		if len(d.Samples) == 0 {
			return 0
		}
		return max(0, d.Samples[rng.IntN(len(d.Samples))])
	default:
		panic(fmt.Sprintf("arrival: distribution %q passed validation", d.Kind))
	}
}
