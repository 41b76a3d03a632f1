package sim_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

const ms = time.Millisecond

// point is one worker of so many cores with one function of one core.
func point(cores int64, rate float64, duration time.Duration) *spec.Point {
	return &spec.Point{
		ID: "p",
		Workers: []spec.Worker{{
			Name: "w", MilliCPU: cores * 1000, Memory: spec.Bytes(cores) * 64 * spec.MiB,
			Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "lru"},
		}},
		Functions: []spec.Function{{Name: "f", MilliCPU: 1000, Memory: 64 * spec.MiB, Prewarm: int(cores)}},
		Loads: []spec.Load{{
			Name: "l", Target: "w", Mix: []spec.Weight{{Function: "f", Weight: 1}}, Timeout: 1000 * time.Hour,
			Phases: []spec.Phase{{Name: "main", Duration: duration, Record: true, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: rate}}},
		}},
	}
}

// runner is a test, a benchmark or a case of a property.
type runner interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
}

func run(t runner, p *spec.Point, m sim.Model, seed uint64) (calls []measure.Call, log string) {
	t.Helper()
	var b bytes.Buffer
	if _, err := sim.Run(t.Context(), sim.Config{Point: p, Model: m, Seed: seed, Log: &b, Record: func(c *measure.Call) error {
		calls = append(calls, *c)
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	return calls, b.String()
}

// models is the model of one function.
func models(name string, m sim.FunctionModel) sim.Model {
	return sim.Model{Functions: map[string]sim.FunctionModel{name: m}}
}

func ignore(*measure.Call) error { return nil }

func meanWait(calls []measure.Call) float64 {
	var sum float64
	for _, c := range calls {
		sum += float64(c.Dequeued-c.Queued) / 1e9
	}
	return sum / float64(len(calls))
}

// The mean wait in the queue is that of theory: Erlang's C formula for M/M/c,
// and Pollaczek-Khinchine for M/D/1 (Kleinrock, Queueing Systems volume 1, 1975, sections 3.5 and 5.6).
func TestQueueingTheory(t *testing.T) {
	for name, tt := range map[string]struct {
		cores   int64
		rate    float64
		service spec.Dist
		want    float64 // seconds
	}{
		"M/M/1 at 70 %": {1, 70, spec.Dist{Kind: "exponential", Mean: 10 * ms}, 0.7 * 0.010 / 0.3},
		"M/D/1 at 70 %": {1, 70, spec.Dist{Mean: 10 * ms}, 0.7 * 0.010 / (2 * 0.3)},
		"M/M/4 at 75 %": {4, 300, spec.Dist{Kind: "exponential", Mean: 10 * ms}, erlangC(4, 3) * 0.010 / (4 - 3)},
	} {
		t.Run(name, func(t *testing.T) {
			calls, _ := run(t, point(tt.cores, tt.rate, 1000*time.Second), models("f", sim.FunctionModel{Exec: tt.service}), 7)
			if got := meanWait(calls); math.Abs(got/tt.want-1) > 0.06 {
				t.Errorf("mean wait of %d calls is %.3f ms, theory says %.3f ms", len(calls), got*1e3, tt.want*1e3)
			}
		})
	}
}

// erlangC is the probability of waiting with c servers and a load of a erlang.
func erlangC(c int, a float64) float64 {
	term, sum := 1.0, 0.0
	for k := range c {
		sum += term
		term *= a / float64(k+1)
	}
	last := term * float64(c) / (float64(c) - a)
	return last / (sum + last)
}

func busyPoint(seed uint64) (*spec.Point, sim.Model) {
	p := point(2, 150, 5*time.Second)
	p.Workers[0].Memory = 160 * spec.MiB
	p.Workers[0].KeepAlive = spec.Named{Name: "ttl", Options: []byte(`{"idle":5000000}`)}
	p.Functions = nil
	p.Loads[0].Mix = nil
	m := sim.Model{Functions: map[string]sim.FunctionModel{}}
	for i := range 3 {
		name := fmt.Sprint("f", i)
		few := spec.Dist{Kind: "uniform", Min: ms / 20, Max: ms / 2}
		p.Functions = append(p.Functions, spec.Function{Name: name, MilliCPU: 500 * int64(i+1), Memory: 64 * spec.MiB, Timeout: 60 * ms})
		p.Loads[0].Mix = append(p.Loads[0].Mix, spec.Weight{Function: name, Weight: 1.0 / 3})
		m.Functions[name] = sim.FunctionModel{
			Exec: spec.Dist{Kind: "lognormal", Mean: 10 * ms, CV: 2}, Start: spec.Dist{Kind: "exponential", Mean: 30 * ms},
			Overheads: sim.Overheads{Request: few, Reply: few, Dispatch: few, Finish: few},
		}
	}
	p.Loads[0].Timeout = 200 * ms
	p.Loads[0].MaxInFlight = 40
	return p, m
}

// With cold starts, time limits, deadlines and drops: equal seeds give equal
// decisions, every arrival is one row with a status, and phases sum to the latency.
func TestSameSeedSameDecisions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		p, m := busyPoint(seed)
		calls, log := run(t, p, m, seed)
		again, log2 := run(t, p, m, seed)
		if log != log2 || len(calls) != len(again) {
			rt.Fatal("two decision logs")
		}
		for i := range calls {
			c := &calls[i]
			if c.Status == "" || c.Seq != int64(i) {
				rt.Fatalf("row %d: %+v", i, c)
			}
			var sum int64
			for _, phase := range measure.Phases(*c) {
				if phase.Duration < 0 {
					rt.Fatalf("row %d: phase %s lasts %v", i, phase.Name, phase.Duration)
				}
				sum += int64(phase.Duration)
			}
			if c.Status != measure.Dropped && sum != c.Latency() {
				rt.Fatalf("row %d: phases sum to %d, latency is %d", i, sum, c.Latency())
			}
		}
	})
}

func TestEveryStatusCanHappen(t *testing.T) {
	p, m := busyPoint(1)
	calls, log := run(t, p, m, 1)
	seen := map[string]int{}
	for _, c := range calls {
		seen[c.Status]++
	}
	for _, status := range []string{measure.OK, measure.Timeout, measure.Dropped} {
		if seen[status] == 0 {
			t.Errorf("no call is %s: %v", status, seen)
		}
	}
	for _, word := range []string{" create ", " start ", " remove ", "expired", "evicted", "broken"} {
		if !strings.Contains(log, word) {
			t.Errorf("the decision log has no %q", word)
		}
	}
}

// Names do not matter, and nor does the unit of time.
func TestScale(t *testing.T) {
	p, m := point(2, 100, 10*time.Second), models("f", sim.FunctionModel{Exec: spec.Dist{Mean: 15 * ms}, Start: spec.Dist{Mean: 100 * ms}})
	calls, _ := run(t, p, m, 3)
	slow := point(2, 10, 100*time.Second)
	scaled, _ := run(t, slow, models("f", sim.FunctionModel{Exec: spec.Dist{Mean: 150 * ms}, Start: spec.Dist{Mean: 1000 * ms}}), 3)
	if len(calls) != len(scaled) {
		t.Fatalf("%d and %d calls", len(calls), len(scaled))
	}
	for i := range calls {
		if a, b := 10*calls[i].Latency(), scaled[i].Latency(); math.Abs(float64(a-b)) > 100 {
			t.Fatalf("call %d: ten times %d is not %d", i, calls[i].Latency(), b)
		}
	}
}

func TestClosedLoop(t *testing.T) {
	p := point(1, 1, 10*time.Second)
	p.Loads[0].Phases[0].Arrival = spec.Arrival{Model: "closed", Clients: 3, Think: spec.Dist{Mean: 10 * ms}}
	calls, _ := run(t, p, models("f", sim.FunctionModel{Exec: spec.Dist{Mean: 10 * ms}}), 1)
	// Three clients saturate one core: it is busy but for the first think time.
	if n := len(calls); n < 997 || n > 1002 {
		t.Errorf("%d calls in 10 s, want about 999", n)
	}
	if _, err := sim.Run(t.Context(), sim.Config{Point: func() *spec.Point {
		p.Loads[0].Phases[0].Arrival.Think = spec.Dist{}
		return p
	}(), Model: models("f", sim.FunctionModel{}), Log: &bytes.Buffer{}, Record: ignore}); err == nil || !strings.Contains(err.Error(), "for ever") {
		t.Errorf("a loop that takes no time: %v", err)
	}
}

func TestNoProfile(t *testing.T) {
	_, err := sim.Declared(point(1, 1, time.Second))
	if err == nil || !strings.Contains(err.Error(), `function "f" has no profile`) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	p, m := point(8, 700, 20*time.Second), models("f", sim.FunctionModel{Exec: spec.Dist{Kind: "exponential", Mean: 10 * ms}})
	var n int
	for b.Loop() {
		calls, _ := run(b, p, m, 1)
		n += len(calls)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "calls/s")
}

// Of a run that is four times as long nothing more is kept.
func TestMemoryDoesNotGrow(t *testing.T) {
	p, m := sim.AzureLike(50, 2, 200_000)
	var heap []uint64
	n := 0
	if _, err := sim.Run(t.Context(), sim.Config{Point: p, Model: m, Seed: 1, Log: io.Discard, Record: func(*measure.Call) error {
		if n++; n%50_000 == 0 {
			var s runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s)
			heap = append(heap, s.HeapAlloc)
		}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if len(heap) < 3 || heap[len(heap)-1] > heap[0]+heap[0]/2 {
		t.Errorf("bytes in use after each 50 000 calls: %d", heap)
	}
}

func BenchmarkAzure(b *testing.B) {
	for _, workers := range []int{1, 100} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			p, m := sim.AzureLike(200, workers, 500_000)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sim.Run(b.Context(), sim.Config{Point: p, Model: m, Seed: 1, Log: io.Discard, Record: func(*measure.Call) error {
					n++
					return nil
				}}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// Executions that share one core take E[S]/(1-rho) on average, whatever their distribution: M/G/1
// processor sharing (L. Kleinrock, Queueing Systems volume 2, 1976, section 4.4).
func TestProcessorSharing(t *testing.T) {
	for name, service := range map[string]spec.Dist{
		"exponential": {Kind: "exponential", Mean: 10 * ms}, "constant": {Mean: 10 * ms}, "lognormal": {Kind: "lognormal", Mean: 10 * ms, CV: 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := models("f", sim.FunctionModel{Exec: service})
			m.Slowdown = []float64{1}
			calls, _ := run(t, point(500, 70, 1000*time.Second), m, 7)
			var sum float64
			for i := range calls {
				if calls[i].Dequeued != calls[i].Queued {
					t.Fatalf("call %d waited for a place", i)
				}
				sum += float64(calls[i].Exec())
			}
			if got, want := sum/float64(len(calls)), float64(10*ms)/(1-0.7); math.Abs(got/want-1) > 0.06 {
				t.Errorf("mean of %d executions is %.2f ms, theory says %.2f ms", len(calls), got/1e6, want/1e6)
			}
		})
	}
}

// Work is conserved: executions that all begin at once end when they would one after the other, and a
// curve that is half as good takes twice as long.
func TestSlowdown(t *testing.T) {
	p := point(4, 0, time.Second)
	p.Loads[0].Phases[0].Arrival = spec.Arrival{Model: "closed", Clients: 4, Think: spec.Dist{Mean: 600 * ms}}
	for _, tt := range []struct {
		slowdown []float64
		want     time.Duration
	}{{nil, 10 * ms}, {[]float64{1, 1, 1, 1}, 10 * ms}, {[]float64{1}, 40 * ms}, {[]float64{1, 1}, 20 * ms}, {[]float64{1, 1.5, 2, 2.5}, 25 * ms}} {
		m := models("f", sim.FunctionModel{Exec: spec.Dist{Mean: 10 * ms}, Overheads: sim.Overheads{Dispatch: spec.Dist{Mean: ms}, Finish: spec.Dist{Mean: 2 * ms}}})
		m.Slowdown = tt.slowdown
		calls, _ := run(t, p, m, 1)
		if len(calls) != 4 {
			t.Fatalf("%d calls", len(calls))
		}
		for i := range calls {
			c := &calls[i]
			if c.Exec() != int64(tt.want) || c.ExecStart-c.SandboxReady != int64(ms) || c.Replied-c.ExecEnd != int64(2*ms) {
				t.Errorf("slowdown %v: executed for %v, want %v", tt.slowdown, time.Duration(c.Exec()), tt.want)
			}
		}
	}
}
