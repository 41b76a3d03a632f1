package bench_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ainur-faas/ainur/agent/bench"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
)

// A design with known factors: the techniques multiply.
func TestEffects(t *testing.T) {
	var rows []bench.Row
	for technique, p50 := range map[string]int64{"": 800_000, "a": 400_000, "b": 200_000, "a+b": 100_000} {
		rows = append(rows, bench.Row{Sandbox: "s", Function: "f", Technique: technique, Concurrency: 1, P50: p50})
	}
	rows = append(rows, bench.Row{Sandbox: "s", Function: "f", Technique: "a", Concurrency: 16, P50: 1}, // not alone
		bench.Row{Sandbox: "s", Function: "g", Technique: "a", Concurrency: 1, P50: 1}) // nothing to compare with
	got := map[string]float64{}
	for _, e := range bench.Effects(rows) {
		got[e.Function+e.Technique] = e.Factor
	}
	if len(got) != 2 || math.Abs(got["fa"]-0.5) > 1e-9 || math.Abs(got["fb"]-0.25) > 1e-9 {
		t.Errorf("effects %v, want a half and a quarter", got)
	}
}

// What is measured is what the sandboxes take, and all are removed.
func TestMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		isolation := fake.New(fake.Script{
			Start: func(ctx context.Context, _ sandbox.Config) error {
				made.Add(1)
				return fake.Sleep(ctx, 10*time.Millisecond)
			},
			Invoke: func(ctx context.Context, _ sandbox.Config, args []byte) (sandbox.Reply, error) {
				return sandbox.Reply{Result: args}, fake.Sleep(ctx, time.Millisecond)
			},
		})
		floor := bench.Floor{Name: "half", Start: func(ctx context.Context) (bench.Start, error) {
			return bench.Start{Ready: 5 * time.Millisecond, Answered: 5500 * time.Microsecond}, nil
		}}
		subject := bench.Subject{Sandbox: "fake", Function: "f", Isolation: isolation, Args: []byte("{}"), Floor: floor}
		alone, err := bench.Measure(t.Context(), subject, 10, 1)
		if err != nil {
			t.Fatal(err)
		}
		if alone.ReadyP50 != 10e6 || alone.P50 != 11e6 || alone.P99 != 11e6 || alone.FloorP50 != 5.5e6 || alone.Ratio != 2 {
			t.Errorf("%+v", alone)
		}
		together, err := bench.Measure(t.Context(), subject, 32, 16)
		if err != nil {
			t.Fatal(err)
		}
		if together.P50 != 11e6 || math.Abs(together.PerSecond-16/0.011) > 1 || together.FloorP50 != 0 {
			t.Errorf("%+v", together)
		}
		if n := made.Load(); n != 1+10+1+32+32 {
			t.Errorf("%d were made", n)
		}
	})
}
