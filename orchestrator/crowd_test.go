package orchestrator

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// The calls of a simulated worker give back the model that they were drawn from.
func TestCrowd(t *testing.T) {
	constant := func(d time.Duration) spec.Dist { return spec.Dist{Mean: d} }
	overheads := func(n int) sim.Overheads {
		of := func(us int) spec.Dist { return constant(time.Duration(us*(n+1)) * time.Microsecond) }
		return sim.Overheads{Lag: of(1), Request: of(10), Dispatch: of(20), Finish: of(30), Reply: of(40)}
	}
	f := sim.FunctionModel{Overheads: overheads(0), Exec: spec.Dist{Kind: "exponential", Mean: 10 * time.Millisecond}}
	for n := 1; n <= 4; n++ {
		f.Crowded = append(f.Crowded, overheads(n))
	}
	model := sim.Model{Functions: map[string]sim.FunctionModel{"f": f}, Slowdown: []float64{1, 1.1, 1.4, 2}}
	worker := spec.Worker{
		Name: "w", MilliCPU: 4000, Memory: spec.GiB,
		Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "lru"},
	}
	point := &spec.Point{
		ID: "p", Workers: []spec.Worker{worker},
		Functions: []spec.Function{{Name: "f", MilliCPU: 1000, Memory: 64 * spec.MiB, Prewarm: 4}},
		Loads: []spec.Load{{
			Name: "l", Target: "w", Mix: []spec.Weight{{Function: "f", Weight: 1}}, Timeout: time.Hour,
			Phases: []spec.Phase{{Name: "main", Duration: 100 * time.Second, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: 150}}},
		}},
	}
	var calls []measure.Call
	if _, err := sim.Run(t.Context(), sim.Config{Point: point, Model: model, Seed: 1, Log: io.Discard, Record: func(c *measure.Call) error {
		calls = append(calls, *c)
		return nil
	}}); err != nil {
		t.Fatal(err)
	}

	c := crowdOf(worker, calls, calls)
	curve := c.fit(map[string]float64{"f": 10e6}, []float64{1, 1, 1, 1})
	for n, got := range curve {
		if want := model.Slowdown[n]; math.Abs(got/want-1) > 0.05 {
			t.Errorf("slowdown of %d is %.3f, want %.3f", n+1, got, want)
		}
	}
	measured := c.of("f", sim.Measured{})
	if p50 := float64(measured.Exec[len(measured.Exec)/2]) / 10e6; math.Abs(p50/math.Ln2-1) > 0.05 {
		t.Errorf("half of the executions alone take up to %.3f of their mean, want ln 2", p50)
	}
	fitted := measured.Model()
	for n := range 5 {
		got, want := fitted.Crowded[max(0, n-1)], overheads(n)
		if n == 0 {
			got = fitted.Overheads
		}
		for phase, of := range map[string][2]spec.Dist{
			"lag": {got.Lag, want.Lag}, "request": {got.Request, want.Request}, "finish": {got.Finish, want.Finish}, "reply": {got.Reply, want.Reply},
			"dispatch": {got.Dispatch, want.Dispatch},
		} {
			if n == 4 && phase != "lag" && phase != "request" {
				continue // the call has one of the four cores itself
			}
			if s := of[0].Samples; len(s) < enough || s[0] != of[1].Mean || s[len(s)-1] != of[1].Mean {
				t.Errorf("%s beside %d: %d samples, want all of them %v", phase, n, len(s), of[1].Mean)
			}
		}
	}
}
