package orchestrator

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The distance is 0 to itself, symmetric but for the mean that it is divided by, that of a shift is the
// shift, and it does not depend on how often each value is repeated.
func TestDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []int64 {
			all := rapid.SliceOfN(rapid.Int64Range(1, 1_000_000), 1, 50).Draw(t, name)
			slices.Sort(all)
			return all
		}
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > 1e-6*max(1, want) {
				t.Fatalf("%s: %g, want %g", what, got, want)
			}
		}
		a, b := draw("a"), draw("b")
		near("to itself", distance(a, a).NS, 0)
		near("the other way", distance(a, b).NS, distance(b, a).NS)
		shift := rapid.Int64Range(0, 1000).Draw(t, "shift")
		var moved, twice []int64
		for _, v := range a {
			moved, twice = append(moved, v+shift), append(twice, v, v)
		}
		near("a shift", distance(moved, a).NS, float64(shift))
		near("twice as many", distance(twice, b).NS, distance(a, b).NS)
		if d := distance(a, b); d.NS < math.Abs(meanOf(a)-meanOf(b))-1e-6 {
			t.Fatalf("%g is less than the distance of the means, %g", d.NS, math.Abs(meanOf(a)-meanOf(b)))
		}
	})
}

func meanOf(of []int64) float64 {
	sum := 0.0
	for _, v := range of {
		sum += float64(v)
	}
	return sum / float64(len(of))
}

func TestLimits(t *testing.T) {
	f := Fidelity{Load: "l", Metrics: []MetricError{{Metric: "p50", Error: -0.06}, {Metric: "p99", Error: 0.14}, {Metric: "cold_ratio", Error: math.NaN()}}}
	if got := (Limits{P50: 0.05, P99: 0.15, Cold: 0.01}).Over(f); len(got) != 2 {
		t.Errorf("over: %q, want p50 and cold_ratio", got)
	}
	if got := (Limits{P90: 0.01}).Over(f); len(got) != 0 {
		t.Errorf("over: %q, want none", got)
	}
}
