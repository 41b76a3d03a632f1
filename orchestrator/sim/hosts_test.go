package sim_test

import (
	"context"
	"io"
	"math"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

func runOn(t *testing.T, c sim.Config) (calls []measure.Call) {
	t.Helper()
	c.Log, c.Record = io.Discard, func(c *measure.Call) error {
		calls = append(calls, *c)
		return nil
	}
	if _, err := sim.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return calls
}

// Of workers that are as many and unequally fast, a balancer that sees their queues gives the
// fast ones more, in the ratio of their speeds when all are busy.
func TestSpeeds(t *testing.T) {
	p, m := balanced("least_loaded")
	speeds := map[string]float64{}
	for i := range p.Workers {
		w := &p.Workers[i]
		w.MilliCPU, w.Host = 2000, "h"+w.Name
		speeds[w.Host] = 1 + float64(i%2)
	}
	p.Loads[0].Phases[0].Arrival = spec.Arrival{Model: "closed", Clients: 8 * len(p.Workers)}
	served, took := [2]float64{}, [2]float64{}
	for _, c := range runOn(t, sim.Config{Point: p, Model: m, Seed: 1, Speeds: speeds}) {
		if c.Status == measure.OK {
			kind := int(speeds["h"+c.Host]) - 1
			served[kind]++
			took[kind] += float64(c.Exec())
		}
	}
	if got := (took[0] / served[0]) / (took[1] / served[1]); math.Abs(got-2) > 0.1 {
		t.Errorf("executions take %.2f times as long on the slow workers, want 2", got)
	}
	if got := served[1] / served[0]; got < 1.7 || got > 2.3 {
		t.Errorf("the fast workers served %.2f times as many, want 2", got)
	}
}

// A message takes half of the round trip and its bytes over the bandwidth, on each link that it goes over.
func TestNetwork(t *testing.T) {
	exec, network := 10*ms, spec.Network{RTT: 2 * ms, Bandwidth: 8_000} // a byte in 1 ms
	p := point(1, 10, 2*time.Second)
	p.Functions[0].Args = []byte("{}   ")
	through := *p
	through.Balancer = &spec.Balancer{Name: "lb", Workers: []string{"w"}, Policy: spec.Named{Name: "round_robin"}}
	for links, p := range map[time.Duration]*spec.Point{1: p, 2: &through} {
		calls := runOn(t, sim.Config{Point: p, Model: models("f", sim.FunctionModel{Exec: spec.Dist{Mean: exec}}), Seed: 1, Network: network})
		if len(calls) == 0 {
			t.Fatal("no calls")
		}
		for _, c := range calls {
			want := int64(links*(network.RTT+5*ms)+exec) + c.Dequeued - c.Queued
			if got := c.Received - c.Sent; c.Status != measure.OK || got != want {
				t.Fatalf("over %d links: %s after %v, want %v", links, c.Status, time.Duration(got), time.Duration(want))
			}
		}
	}

	// A deadline may pass on the way there, and on the way back.
	for _, limit := range []time.Duration{ms, 7 * ms, 13 * ms, 23 * ms, 24 * ms} {
		through.Loads[0].Timeout = limit
		for _, c := range runOn(t, sim.Config{Point: &through, Model: models("f", sim.FunctionModel{Exec: spec.Dist{Mean: exec}}), Seed: 1, Network: network}) {
			if c.Status != measure.Timeout || time.Duration(c.Received-c.Sent) != limit {
				t.Fatalf("within %v: %s after %v", limit, c.Status, time.Duration(c.Received-c.Sent))
			}
		}
	}
}
