package sim_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// scenario is some workers with any policies, behind any balancer, under any load.
func scenario(t *rapid.T) (*spec.Point, sim.Model) {
	one := func(names []string, label string, options ...string) spec.Named {
		n := spec.Named{Name: rapid.SampledFrom(names).Draw(t, label)}
		for _, o := range options {
			if name, text, _ := strings.Cut(o, " "); name == n.Name && rapid.Bool().Draw(t, "options") {
				n.Options = []byte(text)
			}
		}
		return n
	}
	p := &spec.Point{ID: "p"}
	target, gpus := "w0", rapid.Bool().Draw(t, "gpus")
	for i := range rapid.IntRange(1, 3).Draw(t, "workers") {
		p.Workers = append(p.Workers, spec.Worker{
			Name: fmt.Sprint("w", i), MilliCPU: rapid.Int64Range(2, 8).Draw(t, "half cores") * 500, Memory: spec.Bytes(rapid.IntRange(256, 1024).Draw(t, "MiB")) * spec.MiB,
			FreeBuffer:  spec.Bytes(rapid.SampledFrom([]int{0, 0, 64}).Draw(t, "buffer")) * spec.MiB,
			Queue:       one(queue.Builtin().Names(), "queue", `sjf {"most_wait": 50000000}`, `fcfs {"backfill": 3}`, `eedf {"bypass": 10000000}`, `edf {"admit": true}`),
			KeepAlive:   one(keepalive.Builtin().Names(), "keepalive", `ttl {"idle": 30000000}`, `histogram {"bin": 5000000, "least": 2, "spread": 0.5}`),
			Concurrency: one(concurrency.Builtin().Names(), "concurrency", `fixed {"overcommit": 1.5, "per_function": 2, "shed_target": 20000000}`, `aimd {"every": 50000000}`),
			Dispatch:    one(dispatch.Builtin().Names(), "dispatch"),
			Prewarm:     one(prewarm.Builtin().Names(), "prewarm", `histogram {"bin": 5000000, "least": 2, "spread": 0.5}`),
			Estimate:    one(estimate.Builtin().Names(), "estimate"),
		})
		if w := &p.Workers[i]; gpus {
			w.GPU = spec.GPU{Count: rapid.IntRange(1, 2).Draw(t, "gpus"), Slots: rapid.IntRange(1, 3).Draw(t, "slots"), Tokens: rapid.IntRange(1, 2).Draw(t, "tokens")}
			w.GPUQueue = one(gpuqueue.Builtin().Names(), "gpu_queue", `mqfq {"choose": "select_out_len", "overrun": 10000000, "correct": true}`, `sized_batch {"batch": 2}`)
			w.Placement = one(placement.Builtin().Names(), "placement", `greedy_weights {"allow": "incremental"}`, `landlord {"size": 20000000}`)
		}
	}
	if len(p.Workers) > 1 {
		target = "b"
		p.Balancer = &spec.Balancer{Name: target, Policy: one(policy.Builtin().Names(), "balancer")}
		for _, w := range p.Workers {
			p.Balancer.Workers = append(p.Balancer.Workers, w.Name)
		}
	}
	m := sim.Model{Functions: map[string]sim.FunctionModel{}}
	if rapid.Bool().Draw(t, "contention") {
		m.Slowdown = []float64{1, 1.3}
	}
	var mix []spec.Weight
	n := rapid.IntRange(1, 5).Draw(t, "functions")
	for i := range n {
		name := fmt.Sprint("f", i)
		p.Functions = append(p.Functions, spec.Function{
			Name: name, MilliCPU: rapid.Int64Range(1, 2).Draw(t, "cpu") * 500, Memory: spec.Bytes(rapid.IntRange(32, 128).Draw(t, "memory")) * spec.MiB,
			Timeout: 200 * ms, Prewarm: rapid.IntRange(0, 2).Draw(t, "prewarmed"),
		})
		if gpus {
			p.Functions[i].Compute = rapid.SampledFrom([]string{"", "gpu", "both", "both"}).Draw(t, "compute")
		}
		mix = append(mix, spec.Weight{Function: name, Weight: 1 / float64(n)})
		mean := time.Duration(rapid.IntRange(1, 40).Draw(t, "exec")) * ms
		few := spec.Dist{Kind: "uniform", Max: ms}
		m.Functions[name] = sim.FunctionModel{
			Exec:  rapid.SampledFrom([]spec.Dist{{Mean: mean}, {Kind: "exponential", Mean: mean}, {Kind: "lognormal", Mean: mean, CV: 2}}).Draw(t, "distribution"),
			Start: spec.Dist{Kind: "exponential", Mean: time.Duration(rapid.IntRange(1, 100).Draw(t, "start")) * ms}, Overheads: sim.Overheads{Request: few, Dispatch: few, Finish: few, Reply: few},
		}
	}
	p.Loads = []spec.Load{{
		Name: "l", Target: target, Mix: mix, Timeout: time.Second, MaxInFlight: rapid.IntRange(5, 100).Draw(t, "in flight"), OnSaturation: "record", MeasureFrom: "intended",
		Phases: []spec.Phase{{Name: "main", Record: true, Duration: time.Second, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: float64(rapid.IntRange(20, 400).Draw(t, "rate"))}}},
	}}
	return p, m
}

// Whatever the policies: each arrival is one row, with an outcome and phases that sum to its latency; no sandbox runs two invocations,
// none runs in one that is not there, and those that are never need more memory than the worker has; and the same seed gives the same.
func TestAnyPolicies(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, m := scenario(rt)
		seed := rapid.Uint64().Draw(rt, "seed")
		calls, log := run(rt, p, m, seed)
		if _, again := run(rt, p, m, seed); again != log {
			rt.Fatal("the same seed makes other decisions")
		}
		for i := range calls {
			c := &calls[i]
			if c.Seq != int64(i) || !slices.Contains([]string{measure.OK, measure.Timeout, measure.Refused, measure.Dropped}, c.Status) {
				rt.Fatalf("row %d: %+v", i, c)
			}
			var sum int64
			for _, phase := range measure.Phases(*c) {
				if sum += int64(phase.Duration); phase.Duration < 0 {
					rt.Fatalf("row %d: phase %s lasts %v", i, phase.Name, phase.Duration)
				}
			}
			if c.Status != measure.Dropped && sum != c.Latency() {
				rt.Fatalf("row %d: phases sum to %d, latency is %d", i, sum, c.Latency())
			}
		}
		if err := feasible(p, log); err != "" {
			rt.Fatal(err)
		}
	})
}

// feasible says what is wrong with a decision log, "" where nothing is.
func feasible(p *spec.Point, log string) string {
	type box struct{ worker, id string }
	memory, left := map[box]spec.Bytes{}, map[string]spec.Bytes{}
	device, slots := map[box]string{}, map[box]int{} // slots that are free, by the name of a device
	for _, w := range p.Workers {
		left[w.Name] = w.Memory
		for i := range w.GPU.Count {
			slots[box{w.Name, strconv.Itoa(i)}] = w.GPU.Slots
		}
	}
	for line := range strings.Lines(log) {
		f := strings.Fields(line)
		if f[2] == "route" {
			continue
		}
		function, _ := strconv.Atoi(f[3])
		b, on := box{f[1], f[5]}, ""
		if i := slices.Index(f, "gpu"); i > 0 {
			on = f[i+1]
		}
		switch f[2] {
		case "create":
			memory[b] = p.Functions[function-1].Memory
			if left[b.worker] -= memory[b]; left[b.worker] < 0 {
				return "more memory than there is: " + line
			}
			device[b] = on
			if slots[box{b.worker, on}]--; on != "" && slots[box{b.worker, on}] < 0 {
				return "more slots than there are: " + line
			}
			if runs := p.Functions[function-1].Compute; runs == "gpu" && on == "" || runs == "" && on != "" {
				return "not where it can run: " + line
			}
		case "start":
			if memory[b] == 0 {
				return "no such sandbox: " + line
			}
			if device[b] != on {
				return "a sandbox that is elsewhere: " + line
			}
		case "remove":
			left[b.worker] += memory[b]
			slots[box{b.worker, device[b]}]++
			delete(memory, b)
		}
	}
	return ""
}

// A log that is not feasible is found out.
func TestFeasibleCatchesErrors(t *testing.T) {
	p := point(1, 1, time.Second)
	p.Workers[0].GPU = spec.GPU{Count: 1, Slots: 1, Tokens: 1}
	p.Functions = append(p.Functions, spec.Function{Name: "g", Compute: "both"})
	for name, log := range map[string]string{
		"memory":  "1 w create 1 0 1\n2 w create 1 0 2\n",
		"sandbox": "1 w start 1 1 1 warm\n",
		"slots":   "1 w create 2 0 1 gpu 0\n2 w create 2 0 2 gpu 0\n",
		"device":  "1 w create 2 0 1 gpu 0\n2 w start 2 1 1 cold\n",
		"compute": "1 w create 1 0 1 gpu 0\n",
		"removed": "1 w create 1 0 1\n2 w remove 1 0 1\n3 w start 1 1 1 warm\n",
	} {
		if feasible(p, log) == "" {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
	if err := feasible(p, "1 w create 1 0 1\n2 w start 1 1 1 cold\n"); err != "" {
		t.Error(err)
	}
	p.Functions = p.Functions[:1]
	calls, log := run(t, p, models("f", sim.FunctionModel{Exec: spec.Dist{Mean: ms}}), 1)
	if err := feasible(p, log); err != "" || len(calls) == 0 || bytes.Count([]byte(log), []byte("start")) != len(calls) {
		t.Errorf("%s; %d calls", err, len(calls))
	}
}
