package plan_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/plan"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func points(n int) []spec.Point { return make([]spec.Point, n) }

func TestOrder(t *testing.T) {
	for order, want := range map[string]string{
		"interleaved": "0.1 1.1 2.1 0.2 1.2 2.2",
		"nested":      "0.1 0.2 1.1 1.2 2.1 2.2",
	} {
		t.Run(order, func(t *testing.T) {
			var got []string
			for _, s := range plan.Order(&spec.Experiment{Order: order, Repeat: 2, Points: points(3)}) {
				got = append(got, fmt.Sprintf("%d.%d", s.Point, s.Repeat))
			}
			if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
				t.Errorf("point.repeat (-want +got):\n%s", diff)
			}
		})
	}
}

// Every repeat of every point runs once; the seed depends on the repeat and on
// the experiment's seed alone; the same experiment gives the same order.
func TestOrderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exp := &spec.Experiment{
			Seed: rapid.Uint64().Draw(t, "seed"), Repeat: rapid.IntRange(1, 6).Draw(t, "repeat"), Points: points(rapid.IntRange(1, 6).Draw(t, "points")),
			Order: rapid.SampledFrom([]string{"interleaved", "nested", "random"}).Draw(t, "order"),
		}
		steps := plan.Order(exp)
		if diff := cmp.Diff(steps, plan.Order(exp)); diff != "" {
			t.Fatalf("two orders of one experiment:\n%s", diff)
		}
		seen := map[[2]int]bool{}
		seeds := map[int]uint64{}
		for _, s := range steps {
			seen[[2]int{s.Point, s.Repeat}] = true
			if have, ok := seeds[s.Repeat]; ok && have != s.Seed {
				t.Fatalf("repeat %d has seeds %d and %d", s.Repeat, have, s.Seed)
			}
			seeds[s.Repeat] = s.Seed
		}
		if want := len(exp.Points) * exp.Repeat; len(steps) != want || len(seen) != want {
			t.Fatalf("%d steps, %d different, want %d", len(steps), len(seen), want)
		}
		distinct := map[uint64]bool{}
		for _, s := range seeds {
			distinct[s] = true
		}
		if len(distinct) != exp.Repeat {
			t.Fatalf("%d seeds for %d repeats", len(distinct), exp.Repeat)
		}
	})
}

func example() *spec.Experiment {
	phase := func(name string, seconds int, record bool, a spec.Arrival) spec.Phase {
		return spec.Phase{Name: name, Duration: time.Duration(seconds) * time.Second, Record: record, Arrival: a}
	}
	poisson := spec.Arrival{Model: "poisson", RatePerSecond: 50}
	ramp := spec.Arrival{Model: "ramp", FromPerSecond: 10, ToPerSecond: 80}
	growth := spec.Arrival{Model: "ramp", FromPerSecond: 1, ToPerSecond: math.E, Shape: "exponential", Even: true}
	trace := spec.Arrival{Model: "trace", Speed: 10, Trace: &spec.Trace{Name: "azure", Calls: 1200, Duration: 100 * time.Second, Map: map[string]string{"a": "busy"}}}
	point := func(id, queue string) spec.Point {
		return spec.Point{
			ID: id, Axes: []spec.AxisValue{{Name: "queue", Value: []byte(`"` + queue + `"`)}},
			Cluster: spec.Cluster{Name: "here", Hosts: []spec.Host{{Name: "me", Address: "127.0.0.1", Connection: "local"}}},
			Workers: []spec.Worker{{
				Name: "w", Host: "me", Isolation: "process", MilliCPU: 2000, Memory: 3 * spec.GiB / 2,
				Queue: spec.Named{Name: queue}, KeepAlive: spec.Named{Name: "ttl"},
			}},
			Functions: []spec.Function{
				{Name: "hello", Builtin: "hello", Memory: 64 * spec.MiB, MilliCPU: 1000, Timeout: time.Minute, Prewarm: 1},
				{Name: "py", Runtime: "python3", SourceSHA256: "0123456789abcdef", Memory: 128 * spec.MiB, MilliCPU: 500, Timeout: 5 * time.Second},
			},
			Loads: []spec.Load{
				{
					Name: "minute", Target: "w", Mix: []spec.Weight{{Function: "hello", Weight: 0.75}, {Function: "py", Weight: 0.25}}, MaxInFlight: 10000,
					Phases: []spec.Phase{phase("warmup", 10, false, poisson), phase("climb", 20, true, ramp), phase("growth", 10, true, growth), phase("main", 60, true, poisson)},
				},
				{Name: "replay", Target: "w", MaxInFlight: 500, Phases: []spec.Phase{phase("main", 10, true, trace)}},
			},
		}
	}
	return &spec.Experiment{
		Name: "e", Title: "A title", Seed: 7, Repeat: 3, Order: "interleaved", Cooldown: 2 * time.Second,
		Points:  []spec.Point{point("00000001", "fcfs"), point("00000002", "sjf")},
		Skipped: []spec.Skipped{{Axes: []spec.AxisValue{{Name: "queue", Value: []byte(`"lifo"`)}}, Reason: "unstable"}},
	}
}

func TestEstimate(t *testing.T) {
	want := plan.Cost{
		Duration: 6*100*time.Second + 5*2*time.Second,
		Calls:    6 * (70*50 + 20*45 + 10*(math.E-1) + 1200),
		Peak:     80 + 120,
		InFlight: 10000,
	}
	if diff := cmp.Diff(want, plan.Estimate(example())); diff != "" {
		t.Errorf("cost (-want +got):\n%s", diff)
	}
}

func TestRender(t *testing.T) {
	var b strings.Builder
	if err := plan.Render(&b, example()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/plan.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/plan.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}
