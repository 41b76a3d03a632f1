package concurrency_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/hcl/catalog"
)

const ms = time.Millisecond

func build(name, options string) (concurrency.Policy, error) {
	return concurrency.Builtin().Build(name, func(into any) error { return json.Unmarshal([]byte(options), into) })
}

func TestFixed(t *testing.T) {
	for options, want := range map[string][2]int64{
		`{}`:                  {4000, concurrency.Unlimited},
		`{"overcommit": 1.5}`: {6000, concurrency.Unlimited},
		`{"invocations": 3}`:  {4000, 3},
	} {
		p, err := build("fixed", options)
		if err != nil {
			t.Fatal(err)
		}
		r := p.New(4000)
		r.Load(1 << 40)
		if milli, n := r.Limit(); milli != want[0] || int64(n) != want[1] || r.Every() != 0 {
			t.Errorf("%s: %d, %d, every %v", options, milli, n, r.Every())
		}
	}
}

// settles reports whether a regulator of 4 cores keeps a load that is so many times its limit in the sawtooth that theory
// has: never over the bound twice in turn from within it, and on average between cut times and all of the bound.
func settles(r concurrency.Regulator, demand float64, bound int64, cut float64, step int64) bool {
	var sum, n float64
	over := 0
	for i := range 2000 {
		limit, _ := r.Limit()
		load := int64(demand * float64(limit))
		if i > 1000 {
			sum, n = sum+float64(load), n+1
			if load > bound+int64(demand*float64(step)) {
				return false
			}
			if over = (over + 1) * min(1, int(max(0, load-bound))); over > 1 {
				return false
			}
		}
		r.Load(load)
	}
	mean := sum / n
	return mean >= cut*float64(bound)*0.9 && mean <= float64(bound)
}

func TestAIMDSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		demand := float64(rapid.IntRange(5, 20).Draw(t, "demand")) / 10
		cut := float64(rapid.IntRange(3, 8).Draw(t, "cut")) / 10
		p := concurrency.AIMD{Load: 4, Least: 0.5, Most: 100, Step: 0.1, Cut: cut, Every: 1}
		if !settles(p.New(4000), demand, 16000, cut, 400) {
			t.Fatal("the load is not kept about its bound")
		}
	})
}

// Two that share one load and begin apart come to the same limit, which additive decrease would never bring about
// (Chiu and Jain 1989, section 3).
func apart(decrease func(r concurrency.Regulator, load int64)) float64 {
	p := concurrency.AIMD{Load: 4, Least: 0.01, Most: 100, Step: 0.01, Cut: 0.5, Every: 1}
	a, b := p.New(4000), p.New(4000)
	for range 200 {
		a.Load(0) // has had it to itself
	}
	for range 3000 {
		la, _ := a.Limit()
		lb, _ := b.Limit()
		decrease(a, la+lb)
		decrease(b, la+lb)
	}
	la, _ := a.Limit()
	lb, _ := b.Limit()
	return math.Abs(float64(la-lb)) / float64(la+lb)
}

func TestAIMDIsFair(t *testing.T) {
	if got := apart(concurrency.Regulator.Load); got > 0.02 {
		t.Errorf("two differ by %.0f %%", got*100)
	}
	inTurn := 0
	if got := apart(func(r concurrency.Regulator, load int64) { // one is never told that there is too much
		if inTurn++; inTurn%2 == 0 {
			load = min(load, 16000)
		}
		r.Load(load)
	}); got < 0.5 {
		t.Errorf("two of which one goes on growing differ by %.0f %%", got*100)
	}
}

// stuck is a regulator that only ever grows; hasty one that falls to its least.
type (
	stuck struct{ concurrency.Regulator }
	hasty struct{ concurrency.Regulator }
)

func (s stuck) Load(int64) { s.Regulator.Load(0) }
func (h hasty) Load(int64) { h.Regulator.Load(1 << 40) }

func TestSettlingCatchesMutants(t *testing.T) {
	p := concurrency.AIMD{Load: 4, Least: 0.5, Most: 100, Step: 0.1, Cut: 0.5, Every: 1}
	for name, r := range map[string]concurrency.Regulator{"never less": stuck{p.New(4000)}, "never more": hasty{p.New(4000)}} {
		if settles(r, 1, 16000, 0.5, 400) {
			t.Errorf("%s passes", name)
		}
	}
}

// serve has one server take calls that arrive at a fixed distance, in order. It returns the waits of those that were
// served, and how many were refused.
func serve(s *concurrency.Shedder, calls int, gap, exec time.Duration) (waits []time.Duration, refused int) {
	free := time.Duration(1)
	for i := range calls {
		arrived := 1 + time.Duration(i)*gap
		now := max(free, arrived)
		if s.Drop(now, now-arrived, arrived+gap > now) {
			refused++
			continue
		}
		waits = append(waits, now-arrived)
		free = now + exec
	}
	return waits, refused
}

// Of more than can be served, what is over is refused, and no wait is over twice the target; without, they grow without bound.
func TestShedderKeepsAQueueShort(t *testing.T) {
	for _, load := range []float64{1.1, 1.5, 2, 10} {
		s := &concurrency.Shedder{Target: 5 * ms, Interval: 100 * ms}
		gap := time.Duration(float64(ms) / load)
		waits, refused := serve(s, 100_000, gap, ms)
		if worst := slices.Max(waits[len(waits)/10:]); worst > 10*ms {
			t.Errorf("load %g: one waits for %v, the target is 5ms", load, worst)
		}
		if got, want := float64(refused)/100_000, 1-1/load; math.Abs(got-want) > 0.01 {
			t.Errorf("load %g: %.1f %% are refused, %.1f %% are over", load, got*100, want*100)
		}
		none, _ := serve(&concurrency.Shedder{}, 100_000, gap, ms)
		if last := none[len(none)-1]; last < time.Second {
			t.Errorf("load %g: without it the last waits for %v", load, last)
		}
	}
}

// A burst that is served within an interval, and a load that can be, lose nothing.
func TestShedderLeavesBurstsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &concurrency.Shedder{Target: 5 * ms, Interval: 100 * ms}
		burst := rapid.IntRange(1, 100).Draw(t, "burst")
		if _, refused := serve(s, burst, 0, ms); refused > 0 {
			t.Fatalf("%d of a burst of %d are refused", refused, burst)
		}
		if _, refused := serve(&concurrency.Shedder{Target: 5 * ms, Interval: 100 * ms}, 5000, ms+1, ms); refused > 0 {
			t.Fatalf("%d of a load under one are refused", refused)
		}
	})
}

func TestLimits(t *testing.T) {
	l := concurrency.Limits{PerFunction: 2, Functions: map[string]float64{"a": 5, "b": 0}}
	for name, want := range map[string]int{"a": 5, "b": concurrency.Unlimited, "c": 2} {
		if got := l.Of(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	if got := (concurrency.Limits{}).Of("a"); got != concurrency.Unlimited {
		t.Errorf("without limits: %d", got)
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct{ name, options, want string }{
		{"fixed", `{"overcommit": 0}`, "overcommit is 0"},
		{"fixed", `{"invocations": -1}`, "invocations is -1"},
		{"fixed", `{"per_function": -1}`, "per_function is -1"},
		{"fixed", `{"functions": {"a": 1.5}}`, "limit of a is 1.5"},
		{"fixed", `{"shed_target": 1, "shed_interval": 0}`, "shed_interval 0s"},
		{"aimd", `{"load": 0}`, "load is 0"},
		{"aimd", `{"least": 5}`, "least is 5 and most 4"},
		{"aimd", `{"step": 0}`, "step is 0"},
		{"aimd", `{"cut": 1}`, "cut is 1"},
		{"aimd", `{"every": 1}`, "every is 1ns"},
	} {
		if _, err := build(tt.name, tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %q", tt.name, tt.options, err, tt.want)
		}
	}
}

func TestEveryPolicyDescribesItself(t *testing.T) {
	for _, e := range catalog.Of(concurrency.Builtin()) {
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
