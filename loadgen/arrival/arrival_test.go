package arrival_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

const ms = time.Millisecond

// phase is an open phase of the model with rate calls a second over d.
func phase(model string, rate float64, d time.Duration, mix ...spec.Weight) spec.Phase {
	return spec.Phase{Name: "main", Duration: d, Mix: mix, Arrival: spec.Arrival{Model: model, RatePerSecond: rate}}
}

// mix is the weights as a load has them, sorted by function.
func mix(weights map[string]float64) (m []spec.Weight) {
	for _, f := range slices.Sorted(maps.Keys(weights)) {
		m = append(m, spec.Weight{Function: f, Weight: weights[f]})
	}
	return m
}

// all reads the schedule of a phase of the load "l".
func all(t testing.TB, p spec.Phase, seed uint64, calls arrival.Calls) []arrival.Arrival {
	t.Helper()
	s, err := arrival.New(spec.Load{Name: "l"}, p, seed, calls)
	if err != nil {
		t.Fatal(err)
	}
	var got []arrival.Arrival
	for a, ok := s.Next(); ok; a, ok = s.Next() {
		got = append(got, a)
	}
	if a, ok := s.Next(); ok {
		t.Errorf("after its end the schedule has %v", a)
	}
	return got
}

// times keeps the times of one function.
func times(arrivals []arrival.Arrival, function string) (at []time.Duration) {
	for _, a := range arrivals {
		if a.Function == function {
			at = append(at, a.At)
		}
	}
	return at
}

// gaps are the differences of consecutive times, in seconds.
func gaps(at []time.Duration) (g []float64) {
	for i := 1; i < len(at); i++ {
		g = append(g, (at[i] - at[i-1]).Seconds())
	}
	return g
}

func TestConstant(t *testing.T) {
	for name, tt := range map[string]struct {
		rate    float64
		d       time.Duration
		weights map[string]float64
		want    map[string]int
	}{
		"one function":                {200, 10 * time.Second, map[string]float64{"a": 1}, map[string]int{"a": 2000}},
		"weights":                     {100, 30 * time.Second, map[string]float64{"a": 0.1, "b": 0.9}, map[string]int{"a": 300, "b": 2700}},
		"a product that is not exact": {30, 10 * time.Second, map[string]float64{"a": 0.1, "b": 0.7, "c": 0.2}, map[string]int{"a": 30, "b": 210, "c": 60}},
		"thirds":                      {300, time.Second, map[string]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3}, map[string]int{"a": 100, "b": 100, "c": 100}},
		"weight 0":                    {10, time.Second, map[string]float64{"a": 1, "b": 0}, map[string]int{"a": 10, "b": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				got := all(t, phase("constant", tt.rate, tt.d, mix(tt.weights)...), seed, nil)
				for f, n := range tt.want {
					at := times(got, f)
					if len(at) != n {
						t.Fatalf("seed %d: %d calls of %s, want %d", seed, len(at), f, n)
					}
					for i, g := range gaps(at) {
						if even := tt.d.Seconds() / float64(n); math.Abs(g-even) > 2e-9 {
							t.Fatalf("seed %d: gap %d of %s is %g s, want %g s", seed, i, f, g, even)
						}
					}
				}
			}
		})
	}
}

func TestConstantOfAFractionIsRightOnAverage(t *testing.T) {
	total := 0
	for seed := range uint64(2000) {
		n := len(all(t, phase("constant", 2.3, time.Second, spec.Weight{Function: "a", Weight: 1}), seed, nil))
		if n != 2 && n != 3 {
			t.Fatalf("seed %d: %d calls in a second at 2.3/s", seed, n)
		}
		total += n
	}
	if mean := float64(total) / 2000; math.Abs(mean-2.3) > 0.05 { // five standard errors
		t.Errorf("mean %g calls, want 2.3", mean)
	}
}

// TestExponentialGaps compares with theory by the test of Kolmogorov and
// Smirnov: the largest distance between the empirical and the theoretical
// distribution, times √n, is over 1.36 in 5 % of samples.
func TestExponentialGaps(t *testing.T) {
	const rate, seeds = 50.0, 200
	over := 0
	for seed := range uint64(seeds) {
		g := gaps(times(all(t, phase("poisson", rate, 20*time.Second, spec.Weight{Function: "a", Weight: 1}), seed, nil), "a"))
		slices.Sort(g)
		distance := 0.0
		for i, x := range g {
			cdf := 1 - math.Exp(-rate*x)
			distance = max(distance, math.Abs(cdf-float64(i)/float64(len(g))), math.Abs(cdf-float64(i+1)/float64(len(g))))
		}
		if distance*math.Sqrt(float64(len(g))) > 1.36 {
			over++
		}
	}
	if over > 19 { // 10 and three standard errors
		t.Errorf("%d of %d samples differ from the exponential, want about 5 %%", over, seeds)
	}
}

// TestPoissonCounts compares with theory: counts in disjoint windows have mean
// and variance rate·w, and those of other seeds are independent.
func TestPoissonCounts(t *testing.T) {
	const rate, seconds = 50.0, 200
	p := phase("poisson", rate, seconds*time.Second, spec.Weight{Function: "a", Weight: 1})
	for _, seed := range []uint64{1, 2, 3} {
		mean, variance := moments(counts(times(all(t, p, seed, nil), "a"), seconds))
		if math.Abs(mean-rate) > 3*math.Sqrt(rate/seconds) {
			t.Errorf("seed %d: mean count %.2f, want %.0f", seed, mean, rate)
		}
		if ratio := variance / mean; ratio < 0.7 || ratio > 1.3 { // three standard errors, √(2/200)
			t.Errorf("seed %d: variance of counts over mean is %.2f, want 1", seed, ratio)
		}
	}

	a, b := counts(times(all(t, p, 1, nil), "a"), seconds), counts(times(all(t, p, 2, nil), "a"), seconds)
	meanA, varA := moments(a)
	meanB, varB := moments(b)
	covariance := 0.0
	for i := range a {
		covariance += (a[i] - meanA) * (b[i] - meanB) / seconds
	}
	if r := covariance / math.Sqrt(varA*varB); math.Abs(r) > 3/math.Sqrt(seconds) {
		t.Errorf("counts of two seeds correlate: r = %.2f", r)
	}
}

// counts are the arrivals in each second.
func counts(at []time.Duration, seconds int) []float64 {
	n := make([]float64, seconds)
	for _, x := range at {
		n[int(x/time.Second)]++
	}
	return n
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, variance
}

func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 1, 6, rapid.ID[string]).Draw(rt, "functions")
		model := rapid.SampledFrom([]string{"constant", "poisson"}).Draw(rt, "model")
		d := time.Duration(rapid.Int64Range(1, int64(2*time.Second)).Draw(rt, "duration"))
		seed := rapid.Uint64().Draw(rt, "seed")
		var mix []spec.Weight
		for _, n := range names {
			mix = append(mix, spec.Weight{Function: n, Weight: rapid.Float64Range(0, 1).Draw(rt, "weight")})
		}
		p := phase(model, rapid.Float64Range(0.1, 300).Draw(rt, "rate"), d, mix...)
		got := all(t, p, seed, nil)
		for i, a := range got {
			if a.At < 0 || a.At >= d || i > 0 && a.At < got[i-1].At {
				rt.Fatalf("arrival %d of %v at %v", i, got, a.At)
			}
		}
		if diff := cmp.Diff(got, all(t, p, seed, nil)); diff != "" {
			rt.Fatalf("same seed, another schedule:\n%s", diff)
		}
		last := len(mix) - 1
		p.Mix = mix[:last]
		if last > 0 {
			rest := slices.DeleteFunc(slices.Clone(got), func(a arrival.Arrival) bool { return a.Function == names[last] })
			if diff := cmp.Diff(all(t, p, seed, nil), rest, cmpEmpty); diff != "" {
				rt.Fatalf("%s moved others:\n%s", names[last], diff)
			}
		}
	})
}

// cmpEmpty makes nil and empty slices equal.
var cmpEmpty = cmp.Transformer("list", func(a []arrival.Arrival) map[int]arrival.Arrival {
	m := map[int]arrival.Arrival{}
	for i, x := range a {
		m[i] = x
	}
	return m
})

func TestStreamsAreNamed(t *testing.T) {
	p := phase("poisson", 100, time.Second, spec.Weight{Function: "a", Weight: 1})
	base := all(t, p, 1, nil)
	other := p
	other.Name = "peak"
	if cmp.Equal(base, all(t, other, 1, nil)) {
		t.Error("two phases have the same arrivals")
	}
	if cmp.Equal(base, all(t, p, 2, nil)) {
		t.Error("two seeds have the same arrivals")
	}
	if want := []arrival.Arrival{{At: 1855934, Function: "a"}}; !cmp.Equal(base[:1], want) {
		t.Errorf("seed 1 begins with %v, as always %v", base[:1], want)
	}
}

func TestLoadMixServesPhasesWithout(t *testing.T) {
	load := spec.Load{Name: "l", Mix: []spec.Weight{{Function: "a", Weight: 1}}}
	s, err := arrival.New(load, phase("constant", 1, time.Second), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := s.Next(); !ok || a.Function != "a" {
		t.Errorf("got %v, %v", a, ok)
	}
}

// replay reads recorded calls.
func replay(calls ...arrival.Arrival) arrival.Calls {
	return func() (time.Duration, string, bool) {
		if len(calls) == 0 {
			return 0, "", false
		}
		a := calls[0]
		calls = calls[1:]
		return a.At, a.Function, true
	}
}

func TestTrace(t *testing.T) {
	recorded := []arrival.Arrival{{0, "x"}, {100 * ms, "y"}, {100 * ms, "x"}, {250 * ms, "z"}}
	for name, tt := range map[string]struct {
		arrival spec.Arrival
		d       time.Duration
		want    []arrival.Arrival
	}{
		"as recorded":            {spec.Arrival{}, time.Second, []arrival.Arrival{{0, "a"}, {100 * ms, "b"}, {100 * ms, "a"}, {250 * ms, "z"}}},
		"ten times faster":       {spec.Arrival{Speed: 10}, time.Second, []arrival.Arrival{{0, "a"}, {10 * ms, "b"}, {10 * ms, "a"}, {25 * ms, "z"}}},
		"from a start":           {spec.Arrival{Start: 50 * ms, Speed: 0.5}, time.Second, []arrival.Arrival{{100 * ms, "b"}, {100 * ms, "a"}, {400 * ms, "z"}}},
		"cut at the phase's end": {spec.Arrival{}, 100 * ms, []arrival.Arrival{{0, "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := spec.Phase{Name: "main", Duration: tt.d, Arrival: tt.arrival}
			p.Arrival.Model, p.Arrival.Trace = "trace", &spec.Trace{Map: map[string]string{"x": "a", "y": "b"}}
			if diff := cmp.Diff(tt.want, all(t, p, 1, replay(recorded...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	a := spec.Weight{Function: "a", Weight: 1}
	trace := phase("trace", 0, time.Second)
	trace.Arrival.Trace, trace.Arrival.Speed = &spec.Trace{}, -1
	for want, p := range map[string]spec.Phase{
		"rate is 0 per second":             phase("poisson", 0, time.Second, a),
		"rate is NaN per second":           phase("constant", math.NaN(), time.Second, a),
		"names no function":                phase("poisson", 1, time.Second),
		`"closed" has no schedule`:         phase("closed", 1, time.Second, a),
		"speed is -1":                      trace,
		"phase main: arrival trace has no": phase("trace", 1, time.Second),
	} {
		calls := replay()
		if _, err := arrival.New(spec.Load{}, p, 1, calls); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// The shares of all generators are the schedules that they share, each arrival once.
func TestSharesAreTheWhole(t *testing.T) {
	load := spec.Load{Name: "l", Mix: []spec.Weight{{Function: "a", Weight: 0.3}, {Function: "b", Weight: 0.7}}}
	for of := 1; of <= 4; of++ {
		var whole []arrival.Arrival
		parts := make([][]arrival.Arrival, of)
		shares := make([]arrival.Share, of)
		for i := range shares {
			shares[i] = arrival.Share{Index: i, Of: of}
		}
		for _, name := range []string{"first", "second"} {
			phase := spec.Phase{Name: name, Duration: time.Second, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: 101}}
			draw := func() arrival.Schedule {
				s, err := arrival.New(load, phase, 7, nil)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			for a := draw(); ; {
				next, ok := a.Next()
				if !ok {
					break
				}
				whole = append(whole, next)
			}
			for i := range shares {
				for s := shares[i].Take(draw()); ; {
					next, ok := s.Next()
					if !ok {
						break
					}
					parts[i] = append(parts[i], next)
				}
			}
		}
		for i, a := range whole {
			if got := parts[i%of][i/of]; got != a {
				t.Fatalf("of %d: arrival %d is %v, its generator has %v", of, i, a, got)
			}
		}
		total := 0
		for _, p := range parts {
			total += len(p)
		}
		if total != len(whole) {
			t.Errorf("%d generators make %d of %d arrivals", of, total, len(whole))
		}
	}
}
