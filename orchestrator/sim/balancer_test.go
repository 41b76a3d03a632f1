package sim_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/route"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// balanced is workers of 2 and 4 cores in turn behind a balancer, and functions
// more than one worker has the memory for.
func balanced(name string) (*spec.Point, sim.Model) {
	p := point(2, 120, 30*time.Second)
	p.Workers, p.Functions, p.Loads[0].Mix = nil, nil, nil
	p.Balancer = &spec.Balancer{Name: "b", Policy: spec.Named{Name: name}}
	p.Loads[0].Target = "b"
	for i := range 4 {
		w := spec.Worker{
			Name: fmt.Sprint("w", i), MilliCPU: 2000 + 2000*int64(i%2), Memory: 6 * 64 * spec.MiB,
			Queue: spec.Named{Name: "eedf"}, KeepAlive: spec.Named{Name: "lru"},
		}
		p.Workers, p.Balancer.Workers = append(p.Workers, w), append(p.Balancer.Workers, w.Name)
	}
	m := sim.Model{Functions: map[string]sim.FunctionModel{}}
	for i := range 12 {
		name := fmt.Sprint("f", i)
		p.Functions = append(p.Functions, spec.Function{Name: name, MilliCPU: 1000, Memory: 64 * spec.MiB})
		p.Loads[0].Mix = append(p.Loads[0].Mix, spec.Weight{Function: name, Weight: 1.0 / 12})
		m.Functions[name] = sim.FunctionModel{Exec: spec.Dist{Kind: "exponential", Mean: 10 * ms}, Start: spec.Dist{Mean: 50 * ms}}
	}
	return p, m
}

func cold(t *testing.T, name string) (n int) {
	p, m := balanced(name)
	calls, _ := run(t, p, m, 5)
	for _, c := range calls {
		if c.ColdKind == "cold" {
			n++
		}
	}
	return n
}

// Consistent hashing is there to find sandboxes warm.
func TestConsistentHashingFindsSandboxesWarm(t *testing.T) {
	around := cold(t, "round_robin")
	for _, name := range []string{"ch_bounded", "ch_rlu"} {
		if n := cold(t, name); n == 0 || n > around/3 {
			t.Errorf("%s starts %d sandboxes, round_robin %d", name, n, around)
		}
	}
}

// The same seed gives the same decisions with every policy, and they are those
// of a balancer that is told of the same arrivals and ends: live has no other.
func TestEveryBalancerPolicy(t *testing.T) {
	for _, name := range policy.Builtin().Names() {
		t.Run(name, func(t *testing.T) {
			p, m := balanced(name)
			calls, log := run(t, p, m, 9)
			if _, again := run(t, p, m, 9); log != again {
				t.Fatal("two decision logs")
			}
			chosen, err := policy.Builtin().Build(name, p.Balancer.Policy.Decode)
			if err != nil {
				t.Fatal(err)
			}
			core := route.New(chosen, math.MaxInt64, 9)
			for _, w := range p.Workers {
				core.Join(0, w.Name, "", "", w.MilliCPU)
			}
			type end struct {
				at     int64
				member uint64
			}
			var underWay []end
			for _, c := range calls {
				underWay = slices.DeleteFunc(underWay, func(e end) bool {
					if e.at > c.Accepted {
						return false
					}
					core.Done(e.member)
					return true
				})
				m, _ := core.Pick(time.Duration(c.Accepted), c.Function)
				if m.Worker != c.Host {
					t.Fatalf("call %d goes to %s, want %s", c.Seq, c.Host, m.Worker)
				}
				underWay = append(underWay, end{c.ExecEnd, m.ID})
			}
			if !strings.Contains(log, " b route ") || len(calls) < 3000 {
				t.Errorf("%d calls", len(calls))
			}
		})
	}
}

func TestRamp(t *testing.T) {
	p := point(4, 0, 100*time.Second)
	p.Loads[0].Phases[0].Arrival = spec.Arrival{Model: "ramp", ToPerSecond: 200, Even: true}
	calls, _ := run(t, p, models("f", sim.FunctionModel{Exec: spec.Dist{Mean: ms}}), 1)
	half := 0
	for _, c := range calls {
		if c.Intended < int64(50*time.Second) {
			half++
		}
	}
	if len(calls) != 10_000 || half < 2499 || half > 2501 {
		t.Errorf("%d calls, %d of them in the first half, want 10000 and 2500", len(calls), half)
	}
}
