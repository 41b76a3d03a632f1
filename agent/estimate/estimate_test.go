package estimate_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/hcl/catalog"
)

// observation is what one call took under a load.
type observation struct {
	load int
	took time.Duration
}

var observations = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) observation {
	return observation{rapid.IntRange(0, 20).Draw(t, "load"), time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "took"))}
}), 0, 60)

func feed(e estimate.Estimator, all []observation) estimate.Estimator {
	for _, o := range all {
		e.Add(o.load, o.took)
	}
	return e
}

// What was never seen has no prediction; what always takes as long is predicted to, 0 too.
func TestEveryEstimator(t *testing.T) {
	for _, name := range estimate.Builtin().Names() {
		p, err := estimate.Builtin().Build(name, func(any) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if got, seen := p.New().At(3); seen || got != 0 {
			t.Errorf("%s predicts %v of nothing", name, got)
		}
		rapid.Check(t, func(t *rapid.T) {
			always := time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "always"))
			e := p.New()
			for range rapid.IntRange(1, 60).Draw(t, "times") {
				e.Add(rapid.IntRange(0, 20).Draw(t, "load"), always)
			}
			if got, seen := e.At(rapid.IntRange(0, 20).Draw(t, "at")); !seen || (got-always).Abs() > 1+always/1e6 {
				t.Fatalf("%s of what always takes %d: %d, %v", name, always, got, seen)
			}
			all := observations.Draw(t, "observations")
			if got, seen := feed(e, all).At(30); !seen || got < 0 {
				t.Fatalf("%s: %v, %v", name, got, seen)
			}
		})
	}
}

// The average is the weighted sum that its recursion unrolls to.
func TestEWMA(t *testing.T) {
	for name, tt := range map[string]struct {
		weight float64
		took   []time.Duration
		want   time.Duration
	}{
		"the first sets it":             {0.1, []time.Duration{100}, 100},
		"as Ilúvatar's test has it":     {0.1, []time.Duration{1e9, 2e9, 3e9}, 1.29e9},
		"with weight 1 it is the last":  {1, []time.Duration{5, 9, 2}, 2},
		"a zero is an observation also": {0.5, []time.Duration{0, 100}, 50},
	} {
		e := estimate.EWMA{Weight: tt.weight}.New()
		for _, d := range tt.took {
			e.Add(0, d)
		}
		if got, _ := e.At(0); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// The quantile is that of the sorted window.
func TestQuantile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 12).Draw(t, "window")
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		all := observations.Draw(t, "observations")
		if len(all) == 0 {
			return
		}
		var last []time.Duration
		for _, o := range all[max(0, len(all)-window):] {
			last = append(last, o.took)
		}
		slices.Sort(last)
		want := last[(percent*len(last)+99)/100-1]
		if got, _ := feed(estimate.Quantile{Window: window, Quantile: float64(percent) / 100}.New(), all).At(0); got != want {
			t.Fatalf("the %d %% quantile of %v is %d, want %d", percent, last, got, want)
		}
	})
}

// Running sums give the line that the formula over all observations gives, and find it where there is one.
func TestRegression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory := float64(rapid.IntRange(50, 100).Draw(t, "memory")) / 100
		all := observations.Draw(t, "observations")
		at := rapid.IntRange(0, 20).Draw(t, "at")
		if len(all) == 0 {
			return
		}
		var n, sx, sy, sxx, sxy float64
		for i, o := range all {
			w := math.Pow(memory, float64(len(all)-1-i))
			x, y := float64(o.load), float64(o.took)
			n, sx, sy, sxx, sxy = n+w, sx+w*x, sy+w*y, sxx+w*x*x, sxy+w*x*y
		}
		want := sy / n
		if spread := sxx - sx*sx/n; spread > 1e-6 {
			want += (sxy - sx*sy/n) / spread * (float64(at) - sx/n)
		} else if spread > 1e-12 {
			return // what is left of it is rounding
		}
		want = max(want, 0)
		if got, _ := feed(estimate.Regression{Memory: memory}.New(), all).At(at); math.Abs(float64(got)-want) > 1e6+want/1e3 {
			t.Fatalf("at %d: %v, want %v", at, got, time.Duration(want))
		}
	})
	e := estimate.Regression{Memory: 1}.New()
	for load := range 8 {
		e.Add(load, 10*time.Millisecond+time.Duration(load)*time.Millisecond)
	}
	if got, _ := e.At(20); (got - 30*time.Millisecond).Abs() > time.Microsecond {
		t.Errorf("the line is at %v, want 30ms", got)
	}
}

func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, 119), 1, 50).Draw(t, "times")
		h := estimate.NewHistogram(10, 10)
		var in []int64
		for _, d := range all {
			if h.Add(time.Duration(d)); d < 100 {
				in = append(in, d)
			}
		}
		if h.In() != int64(len(in)) || h.Out() != int64(len(all)-len(in)) {
			t.Fatalf("%d in and %d out of %v", h.In(), h.Out(), all)
		}
		if len(in) == 0 {
			return
		}
		slices.Sort(in)
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		want := in[(percent*len(in)+99)/100-1] / 10
		if from, to := h.Quantile(float64(percent) / 100); int64(from) != want*10 || to != from+10 {
			t.Fatalf("the %d %% quantile of %v is in %d to %d", percent, in, from, to)
		}
	})
	one, even := estimate.NewHistogram(1, 4), estimate.NewHistogram(1, 4)
	for i := range 8 {
		one.Add(2)
		even.Add(time.Duration(i % 4))
	}
	if got := one.Spread(); math.Abs(got-math.Sqrt(3)) > 1e-9 || even.Spread() != 0 {
		t.Errorf("spread of one bin %g, of even ones %g", got, even.Spread())
	}
}

// No observation allocates once a window is full.
func TestNothingIsAllocated(t *testing.T) {
	for _, name := range estimate.Builtin().Names() {
		p, _ := estimate.Builtin().Build(name, func(any) error { return nil })
		e, n := p.New(), 0
		for range 100 {
			e.Add(1, 1)
		}
		if got := testing.AllocsPerRun(1000, func() { n++; e.Add(n%7, time.Duration(n%31)); e.At(2) }); got != 0 {
			t.Errorf("%s allocates %g times", name, got)
		}
	}
}

func TestEveryPolicyDescribesItself(t *testing.T) {
	for _, e := range catalog.Of(estimate.Builtin()) {
		if e.Doc == "" || e.Source == "" {
			t.Errorf("%s says nothing of itself", e.Name)
		}
		for _, o := range e.Options {
			if o.Doc == "" || o.Default == "" {
				t.Errorf("%s: option %+v", e.Name, o)
			}
		}
	}
}
