package arrival_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

func TestDrawMoments(t *testing.T) {
	for name, tt := range map[string]struct {
		dist     spec.Dist
		mean, cv float64 // ms, -
	}{
		"zero value":              {spec.Dist{}, 0, 0},
		"constant":                {spec.Dist{Kind: "constant", Mean: 7 * ms}, 7, 0},
		"exponential":             {spec.Dist{Kind: "exponential", Mean: 20 * ms}, 20, 1},
		"lognormal":               {spec.Dist{Kind: "lognormal", Mean: 20 * ms, CV: 0.5}, 20, 0.5},
		"lognormal, no variation": {spec.Dist{Kind: "lognormal", Mean: 20 * ms}, 20, 0},
		"uniform":                 {spec.Dist{Kind: "uniform", Min: 10 * ms, Max: 30 * ms}, 20, 1 / math.Sqrt(12)},
		"uniform, one value":      {spec.Dist{Kind: "uniform", Min: 10 * ms, Max: 10 * ms}, 10, 0},
		"empirical":               {spec.Dist{Kind: "empirical", Samples: []time.Duration{10 * ms, 30 * ms}}, 20, 0.5},
		"empirical, no sample":    {spec.Dist{Kind: "empirical"}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rng := stream.New(1, name)
			x := make([]float64, 50_000)
			for i := range x {
				x[i] = float64(arrival.Draw(tt.dist, rng)) / float64(ms)
			}
			mean, variance := moments(x)
			if math.Abs(mean-tt.mean) > 0.02*tt.mean {
				t.Errorf("mean %g ms, want %g ms", mean, tt.mean)
			}
			if cv := math.Sqrt(variance) / max(mean, 1e-9); math.Abs(cv-tt.cv) > 0.02 {
				t.Errorf("coefficient of variation %g, want %g", cv, tt.cv)
			}
		})
	}
}

// TestLognormalMedian: the median of exp(μ + σZ) is exp(μ) = m / √(1 + c²).
func TestLognormalMedian(t *testing.T) {
	rng := stream.New(1)
	x := make([]time.Duration, 20_001)
	for i := range x {
		x[i] = arrival.Draw(spec.Dist{Kind: "lognormal", Mean: 100 * ms, CV: 1}, rng)
	}
	slices.Sort(x)
	if got, want := x[10_000].Seconds(), 0.1/math.Sqrt2; math.Abs(got-want) > 0.02*want {
		t.Errorf("median %g s, want %g s", got, want)
	}
}

func TestDrawIsNeverNegative(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := spec.Dist{
			Kind: rapid.SampledFrom([]string{"", "constant", "exponential", "lognormal", "uniform", "empirical"}).Draw(rt, "kind"),
			Mean: time.Duration(rapid.Int64().Draw(rt, "mean")),
			CV:   rapid.Float64Range(0, 1e6).Draw(rt, "cv"),
			Min:  time.Duration(rapid.Int64Range(-1000, 1<<60).Draw(rt, "min")),
			Max:  time.Duration(rapid.Int64Range(-1000, 1<<60).Draw(rt, "max")),
		}
		rng := stream.New(rapid.Uint64().Draw(rt, "seed"))
		if x := arrival.Draw(d, rng); x < 0 {
			rt.Fatalf("%+v drew %v", d, x)
		}
	})
}

func TestClient(t *testing.T) {
	load := spec.Load{Name: "l", Mix: []spec.Weight{{Function: "a", Weight: 0.25}, {Function: "b", Weight: 0.75}}}
	p := spec.Phase{Name: "main", Arrival: spec.Arrival{Model: "closed", Think: spec.Dist{Kind: "exponential", Mean: 10 * ms}}}
	one, same, two := arrival.NewClient(load, p, 1, 0), arrival.NewClient(load, p, 1, 0), arrival.NewClient(load, p, 1, 1)
	calls, equal := map[string]int{}, 0
	for range 4000 {
		think, f := one.Next()
		if t2, f2 := same.Next(); think != t2 || f != f2 {
			t.Fatal("the same client draws otherwise")
		}
		if t2, _ := two.Next(); think == t2 {
			equal++
		}
		calls[f]++
	}
	if equal > 0 {
		t.Errorf("two clients drew the same think time %d times", equal)
	}
	if calls["a"] < 900 || calls["a"] > 1100 || calls["a"]+calls["b"] != 4000 {
		t.Errorf("calls %v, want about 1000 and 3000", calls)
	}
}
