package report

import (
	"fmt"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// No policy makes fewer sandboxes than the bound of its run, whatever memory there is, and one that keeps nothing makes more.
func TestNoPolicyBeatsTheBound(t *testing.T) {
	none, kept := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := &spec.Point{ID: "p", Workers: []spec.Worker{{
			Name: "w", MilliCPU: rapid.Int64Range(1, 4).Draw(t, "cores") * 1000, Memory: spec.Bytes(rapid.IntRange(128, 512).Draw(t, "MiB")) * spec.MiB,
			Queue:     spec.Named{Name: rapid.SampledFrom(queue.Builtin().Names()).Draw(t, "queue")},
			KeepAlive: spec.Named{Name: rapid.SampledFrom(append(keepalive.Builtin().Names(), "nothing")).Draw(t, "keepalive")},
			Prewarm:   spec.Named{Name: rapid.SampledFrom(prewarm.Builtin().Names()).Draw(t, "prewarm")},
		}}}
		w := &p.Workers[0]
		nothing := w.KeepAlive.Name == "nothing"
		if nothing {
			w.KeepAlive = spec.Named{Name: "ttl", Options: []byte(`{"idle":0}`)}
		}
		m := sim.Model{Functions: map[string]sim.FunctionModel{}}
		n := rapid.IntRange(1, 8).Draw(t, "functions")
		var mix []spec.Weight
		for i := range n {
			f := spec.Function{Name: fmt.Sprint("f", i), MilliCPU: 1000, Memory: spec.Bytes(rapid.IntRange(16, 128).Draw(t, "memory")) * spec.MiB, Timeout: 200 * time.Millisecond, Prewarm: rapid.IntRange(0, 1).Draw(t, "ahead")}
			p.Functions, mix = append(p.Functions, f), append(mix, spec.Weight{Function: f.Name, Weight: 1 / float64(n)})
			m.Functions[f.Name] = sim.FunctionModel{
				Exec: spec.Dist{Kind: "exponential", Mean: time.Duration(rapid.IntRange(1, 40).Draw(t, "exec")) * time.Millisecond}, Start: spec.Dist{Mean: 20 * time.Millisecond},
				Overheads: sim.Overheads{Finish: spec.Dist{Mean: time.Millisecond}, Dispatch: spec.Dist{Mean: time.Millisecond}},
			}
		}
		p.Loads = []spec.Load{{Name: "l", Target: "w", Mix: mix, Timeout: time.Second, Phases: []spec.Phase{{
			Name: "main", Duration: 2 * time.Second, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: float64(rapid.IntRange(10, 150).Draw(t, "rate"))},
		}}}}
		var calls []measure.Call
		if _, err := sim.Run(t.Context(), sim.Config{Point: p, Model: m, Seed: rapid.Uint64().Draw(t, "seed"), Log: io.Discard, Record: func(c *measure.Call) error {
			calls = append(calls, *c)
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		all, fresh, least := made(p, calls)
		if fresh < least || least < 0 || fresh > all {
			t.Fatalf("of %d executions %d were in new sandboxes, and the bound is %d", all, fresh, least)
		}
		if nothing {
			none, kept = none+fresh, kept+least
		}
	})
	if none < 2*kept {
		t.Errorf("keeping nothing makes %d sandboxes, and the bound is %d", none, kept)
	}
}
