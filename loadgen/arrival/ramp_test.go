package arrival_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

// ramp is a phase of one function, "a", whose rate goes from one to another.
func ramp(from, to float64, shape string, even bool, d time.Duration) spec.Phase {
	p := phase("ramp", 0, d, spec.Weight{Function: "a", Weight: 1})
	p.Arrival.FromPerSecond, p.Arrival.ToPerSecond, p.Arrival.Shape, p.Arrival.Even = from, to, shape, even
	return p
}

// rateAt is the rate of a ramp, as its documentation has it.
func rateAt(p spec.Phase, t float64) float64 {
	a, part := p.Arrival, t/p.Duration.Seconds()
	if a.Shape == "exponential" {
		return a.FromPerSecond * math.Pow(a.ToPerSecond/a.FromPerSecond, part)
	}
	return a.FromPerSecond + (a.ToPerSecond-a.FromPerSecond)*part
}

// expected returns how many arrivals are expected before times that rise: the
// integral of the rate, by Simpson's rule in steps of at most 0.1 s.
func expected(rate func(t float64) float64, times []float64) []float64 {
	out, sum, from := make([]float64, len(times)), 0.0, 0.0
	for i, to := range times {
		steps := 1 + int((to-from)*10)
		h := (to - from) / float64(steps)
		for k := range steps {
			t := from + float64(k)*h
			sum += h / 6 * (rate(t) + 4*rate(t+h/2) + rate(t+h))
		}
		out[i], from = sum, to
	}
	return out
}

func seconds(at []time.Duration) (s []float64) {
	for _, t := range at {
		s = append(s, t.Seconds())
	}
	return s
}

var ramps = map[string]spec.Phase{
	"linear":               ramp(20, 180, "", false, 10*time.Second),
	"linear from nothing":  ramp(0, 200, "linear", false, 10*time.Second),
	"linear to nothing":    ramp(200, 0, "linear", false, 10*time.Second),
	"level":                ramp(100, 100, "linear", false, 10*time.Second),
	"exponential":          ramp(10, 400, "exponential", false, 10*time.Second),
	"exponential, falling": ramp(400, 10, "exponential", false, 10*time.Second),
	"exponential, level":   ramp(100, 100, "exponential", false, 10*time.Second),
}

// unitRate reports how many of the samples are not, at the level of 5 %, those
// of the process with this rate: in the time of its expected count it is a Poisson process
// of rate 1, whose gaps are exponential (F. Papangelou, 1972; E. Brown et al., The time-rescaling
// theorem, 2002, doi:10.1162/08997660252741149), by the test of Kolmogorov and Smirnov.
func unitRate(rate func(t float64) float64, samples [][]time.Duration) (over int) {
	for _, at := range samples {
		n := expected(rate, seconds(at))
		g := make([]float64, len(n))
		for i := range n {
			if g[i] = n[i]; i > 0 {
				g[i] -= n[i-1]
			}
		}
		slices.Sort(g)
		distance := 0.0
		for i, x := range g {
			cdf := 1 - math.Exp(-x)
			distance = max(distance, math.Abs(cdf-float64(i)/float64(len(g))), math.Abs(cdf-float64(i+1)/float64(len(g))))
		}
		if distance*math.Sqrt(float64(len(g))) > 1.36 {
			over++
		}
	}
	return over
}

// uniform reports how many of the samples are not, at the level of 5 %, spread
// over the phase as the rate says: given their number, the times of a Poisson process are
// independent draws from the rate as a density.
func uniform(rate func(t float64) float64, d time.Duration, samples [][]time.Duration) (over int) {
	total := expected(rate, []float64{d.Seconds()})[0]
	for _, at := range samples {
		distance := 0.0
		for i, n := range expected(rate, seconds(at)) {
			cdf := n / total
			distance = max(distance, math.Abs(cdf-float64(i)/float64(len(at))), math.Abs(cdf-float64(i+1)/float64(len(at))))
		}
		if distance*math.Sqrt(float64(len(at))) > 1.36 {
			over++
		}
	}
	return over
}

const (
	rampSeeds = 100
	overMost  = 12 // 5 and three standard errors
)

func sample(t *testing.T, p spec.Phase) (samples [][]time.Duration) {
	t.Helper()
	for seed := range uint64(rampSeeds) {
		samples = append(samples, times(all(t, p, seed, nil), "a"))
	}
	return samples
}

func TestRampIsAPoissonProcessOfItsRate(t *testing.T) {
	for name, p := range ramps {
		t.Run(name, func(t *testing.T) {
			rate, samples := func(t float64) float64 { return rateAt(p, t) }, sample(t, p)
			if over := unitRate(rate, samples); over > overMost {
				t.Errorf("gaps of %d of %d samples differ from the exponential, want about 5 %%", over, rampSeeds)
			}
			if over := uniform(rate, p.Duration, samples); over > overMost {
				t.Errorf("times of %d of %d samples differ from the rate, want about 5 %%", over, rampSeeds)
			}
			counts := make([]float64, 0, rampSeeds)
			for _, at := range samples {
				counts = append(counts, float64(len(at)))
			}
			want := expected(rate, []float64{p.Duration.Seconds()})[0]
			mean, variance := moments(counts)
			if math.Abs(mean-want) > 4*math.Sqrt(want/rampSeeds) {
				t.Errorf("%.1f calls on average, want %.1f", mean, want)
			}
			if ratio := variance / mean; ratio < 0.45 || ratio > 1.55 { // four standard errors, √(2/100)
				t.Errorf("variance of counts over mean is %.2f, want 1", ratio)
			}
		})
	}
}

// The tests see a process of another rate or law.
func TestRampTestsRejectMutants(t *testing.T) {
	p := ramps["linear"]
	rate, samples := func(t float64) float64 { return rateAt(p, t) }, sample(t, p)
	for name, other := range map[string]spec.Phase{
		"the mean rate throughout": ramp(100, 100, "", false, p.Duration),
		"turned round":             ramp(180, 20, "", false, p.Duration),
		"the other shape":          ramp(20, 180, "exponential", false, p.Duration),
		"half as far":              ramp(60, 140, "", false, p.Duration),
	} {
		wrong := sample(t, other)
		if over := unitRate(rate, wrong); over <= overMost {
			t.Errorf("gaps: %s is found out in %d of %d samples", name, over, rampSeeds)
		}
		if over := uniform(rate, p.Duration, wrong); over <= overMost {
			t.Errorf("times: %s is found out in %d of %d samples", name, over, rampSeeds)
		}
	}
	if even := sample(t, ramp(20, 180, "", true, p.Duration)); unitRate(rate, even) <= overMost {
		t.Error("gaps: an even ramp passes for one of chance")
	}
	if unitRate(rate, samples) > overMost || uniform(rate, p.Duration, samples) > overMost {
		t.Error("the process itself, which must pass")
	}
}

// Without chance, arrival k comes when k + u are expected, u the same for all.
func TestEvenRamp(t *testing.T) {
	for name, p := range ramps {
		t.Run(name, func(t *testing.T) {
			p.Arrival.Even = true
			total := expected(func(t float64) float64 { return rateAt(p, t) }, []float64{p.Duration.Seconds()})[0]
			counts := 0.0
			for seed := range uint64(50) {
				at := times(all(t, p, seed, nil), "a")
				n := expected(func(t float64) float64 { return rateAt(p, t) }, seconds(at))
				for k, got := range n {
					if math.Abs(got-float64(k)-n[0]) > 1e-4 || n[0] > 1 {
						t.Fatalf("seed %d: arrival %d comes when %g are expected, and the first when %g", seed, k, got, n[0])
					}
				}
				if float64(len(n)) < math.Floor(total+1e-6) || float64(len(n)) > math.Ceil(total-1e-6) {
					t.Fatalf("seed %d: %d calls, want %g", seed, len(n), total)
				}
				counts += float64(len(n)) / 50
			}
			if math.Abs(counts-total) > 0.3 { // four standard errors, of a count of which one is left to chance
				t.Errorf("%g calls on average, want %g", counts, total)
			}
		})
	}
}

// A level ramp is what it is called elsewhere, and to the last nanosecond or two.
func TestLevelRampIsConstantOrPoisson(t *testing.T) {
	for model, even := range map[string]bool{"constant": true, "poisson": false} {
		for _, shape := range []string{"linear", "exponential"} {
			level := all(t, ramp(37, 37, shape, even, 10*time.Second), 3, nil)
			plain := all(t, phase(model, 37, 10*time.Second, spec.Weight{Function: "a", Weight: 1}), 3, nil)
			if len(level) != len(plain) {
				t.Fatalf("%s, %s: %d and %d arrivals", model, shape, len(level), len(plain))
			}
			for i := range level {
				if d := level[i].At - plain[i].At; d < -10 || d > 10 {
					t.Fatalf("%s, %s: arrival %d at %v and %v", model, shape, i, level[i].At, plain[i].At)
				}
			}
		}
	}
}

func TestRampProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		shape := rapid.SampledFrom([]string{"", "linear", "exponential"}).Draw(rt, "shape")
		low := 0.0
		if shape == "exponential" {
			low = 1e-9
		}
		from, to := rapid.Float64Range(low, 300).Draw(rt, "from"), rapid.Float64Range(low+1e-9, 300).Draw(rt, "to")
		if rapid.Bool().Draw(rt, "fall") {
			from, to = to, from
		}
		d := time.Duration(rapid.Int64Range(1, int64(3*time.Second)).Draw(rt, "duration"))
		p, seed := ramp(from, to, shape, rapid.Bool().Draw(rt, "even"), d), rapid.Uint64().Draw(rt, "seed")
		p.Mix = append(p.Mix, spec.Weight{Function: "b", Weight: rapid.Float64Range(0, 1).Draw(rt, "weight")})
		got := all(t, p, seed, nil)
		for i, a := range got {
			if a.At < 0 || a.At >= d || i > 0 && a.At < got[i-1].At {
				rt.Fatalf("arrival %d of %d at %v", i, len(got), a.At)
			}
		}
		if !slices.Equal(got, all(t, p, seed, nil)) {
			rt.Fatal("same seed, another schedule")
		}
		alone := times(got, "a")
		p.Mix = p.Mix[:1]
		if !slices.Equal(alone, times(all(t, p, seed, nil), "a")) {
			rt.Fatal("a function that is added moves another")
		}
	})
}

func TestRates(t *testing.T) {
	trace := spec.Arrival{Model: "trace", Speed: 10, Trace: &spec.Trace{Calls: 1200, Duration: 100 * time.Second}}
	for name, tt := range map[string]struct {
		arrival    spec.Arrival
		mean, peak float64
	}{
		"constant":             {spec.Arrival{Model: "constant", RatePerSecond: 7}, 7, 7},
		"linear":               {ramp(10, 30, "linear", false, 1).Arrival, 20, 30},
		"falling":              {ramp(30, 0, "", true, 1).Arrival, 15, 30},
		"exponential":          {ramp(1, math.E, "exponential", false, 1).Arrival, math.E - 1, math.E},
		"exponential, falling": {ramp(math.E, 1, "exponential", false, 1).Arrival, math.E - 1, math.E},
		"exponential, level":   {ramp(5, 5, "exponential", false, 1).Arrival, 5, 5},
		"trace":                {trace, 120, 120},
		"closed":               {spec.Arrival{Model: "closed", Clients: 3}, 0, 0},
	} {
		if mean, peak := arrival.Rates(tt.arrival); math.Abs(mean-tt.mean) > 1e-9 || peak != tt.peak {
			t.Errorf("%s: mean %g, peak %g, want %g, %g", name, mean, peak, tt.mean, tt.peak)
		}
	}
}

func TestRampRefuses(t *testing.T) {
	for want, p := range map[string]spec.Phase{
		"phase main: the ramp goes from -1 to 5 per second, want 0 or more":                                                 ramp(-1, 5, "", false, time.Second),
		"phase main: the ramp goes from NaN to 5 per second, want 0 or more":                                                ramp(math.NaN(), 5, "", false, time.Second),
		"phase main: the ramp goes from 1 to +Inf per second, want 0 or more":                                               ramp(1, math.Inf(1), "", false, time.Second),
		"phase main: the ramp goes from 0 to 0 per second, want one of them over 0":                                         ramp(0, 0, "", false, time.Second),
		`phase main: shape is "round", want linear or exponential`:                                                          ramp(1, 5, "round", false, time.Second),
		"phase main: an exponential ramp goes from 0 to 5 per second, want both over 0; a linear one may begin or end at 0": ramp(0, 5, "exponential", false, time.Second),
	} {
		if _, err := arrival.New(spec.Load{}, p, 1, nil); fmt.Sprint(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
