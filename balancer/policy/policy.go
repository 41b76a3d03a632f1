// Package policy chooses the worker that an invocation goes to. Policies are
// pure: a route.Core owns one and asks it, live and simulated alike.
package policy

import (
	"time"

	"github.com/ainur-faas/ainur/hcl/registry"
)

// Member is a worker as a policy sees it.
type Member struct {
	ID       uint64 // of this membership: rises with every join, and a worker that comes back has a new one
	Worker   string // its name, which no other member has
	InFlight int    // invocations sent by this balancer and not yet answered
	MilliCPU int64  // of the worker
}

// Request is an invocation that needs a worker.
type Request struct {
	Now      time.Duration // since the balancer's start; never decreases
	Function string        // registered name
}

// Policy is a way to choose, with its options. It has no state.
type Policy interface {
	// New returns a Picker for one balancer. All its chance comes from seed.
	New(seed uint64) Picker
}

// Picker chooses one of the members, which are at least one, in order of ID, and
// not to be kept. It returns an index. A Picker has state and is used by one Core.
type Picker interface {
	Pick(r Request, members []Member) int
}

// Builtin lists the balancing policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("balancer policy")
	r.Add("round_robin", registry.About{Doc: "the workers in turn", Source: ""}, func(decode registry.Decoder) (Policy, error) { return RoundRobin{}, decode(&struct{}{}) })
	r.Add("least_in_flight", registry.About{Doc: "the worker with the fewest invocations in flight", Source: "W. Winston, Optimality of the shortest line discipline, 1977, doi:10.2307/3213271"}, func(decode registry.Decoder) (Policy, error) { return LeastInFlight{}, decode(&struct{}{}) })
	plain := func(name string, p Policy, about registry.About) {
		r.Add(name, about, func(decode registry.Decoder) (Policy, error) { return p, decode(&struct{}{}) })
	}
	plain("random", Random{}, registry.About{Doc: "any worker"})
	plain("weighted", Weighted{}, registry.About{Doc: "the workers in turn, each as often as it has cores", Source: "C. Waldspurger and W. Weihl, Stride scheduling, 1995, MIT/LCS/TM-528"})
	plain("least_loaded", LeastLoaded{}, registry.About{Doc: "the worker with the fewest invocations in flight by its cores", Source: "W. Winston, Optimality of the shortest line discipline, 1977, doi:10.2307/3213271"})
	plain("join_idle", JoinIdle{}, registry.About{Doc: "a worker with nothing in flight, or any", Source: "Y. Lu et al., Join-idle-queue, 2011, doi:10.1016/j.peva.2011.07.015"})
	plain("hermod", Hermod{}, registry.About{
		Doc:    "while cores are free the busiest worker that has one, those where the function has been first; then the least loaded",
		Source: "K. Kaffes et al., Hermod, SoCC 2022, doi:10.1145/3542929.3563468",
	})
	r.Add("power_of_two", registry.About{
		Doc:    "of two workers drawn by chance the one with fewer invocations in flight",
		Source: "M. Mitzenmacher, The power of two choices in randomized load balancing, 2001, doi:10.1109/71.963420",
	}, func(decode registry.Decoder) (Policy, error) {
		p := PowerOfTwo{Choices: 2}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	r.Add("ch", registry.About{Doc: "consistent hashing of the function, whatever the loads", Source: "D. Karger et al., Consistent hashing and random trees, STOC 1997, doi:10.1145/258533.258660"}, func(decode registry.Decoder) (Policy, error) {
		p := CH{VNodes: 64}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, checkVNodes(p.VNodes)
	})
	r.Add("openwhisk", registry.About{
		Doc:    "from a home by hash in steps to the first worker with room",
		Source: "Apache OpenWhisk, ShardingContainerPoolBalancer",
	}, func(decode registry.Decoder) (Policy, error) {
		p := OpenWhisk{Slots: 1}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	r.Alias("p2c", "power_of_two")
	r.Add("ch_bounded", registry.About{Doc: "consistent hashing of the function, past workers whose load is over a bound", Source: "V. Mirrokni et al., Consistent hashing with bounded loads, SODA 2018, doi:10.1137/1.9781611975031.39"}, func(decode registry.Decoder) (Policy, error) {
		p := CHBounded{Ceil: 1.25, VNodes: 64}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	r.Add("ch_rlu", registry.About{Doc: "consistent hashing with random load updates: popular functions spread over a chain of workers, by their load", Source: "A. Fuerst and P. Sharma, Locality-aware load-balancing for serverless clusters, HPDC 2022, doi:10.1145/3502181.3531459"}, func(decode registry.Decoder) (Policy, error) {
		p := CHRLU{Ceil: 1.5, VNodes: 3, Popular: 0.2, Chain: 3, NoiseWindow: time.Second, NoiseStd: 0.1}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	return r
}

// RoundRobin takes the members in turn. A member that joins or leaves moves
// nobody else's turn.
type RoundRobin struct{}

// New returns a Picker that begins with the first member.
func (RoundRobin) New(uint64) Picker { return &roundRobin{} }

type roundRobin struct{ last uint64 }

// Pick returns the member after the last one picked.
func (p *roundRobin) Pick(_ Request, members []Member) int {
	i := after(members, p.last)
	p.last = members[i].ID
	return i
}

// after is the first member whose ID is over id, or the first of all.
func after(members []Member, id uint64) int {
	for i, m := range members {
		if m.ID > id {
			return i
		}
	}
	return 0
}

// LeastInFlight takes the member with the fewest invocations in flight, and of
// several the one whose turn it is: join the shortest queue, with exact counts
// of what went through this balancer (W. Winston, Optimality of the shortest
// line discipline, 1977, doi:10.2307/3213271).
type LeastInFlight struct{}

// New returns a Picker whose turns begin with the first member.
func (LeastInFlight) New(uint64) Picker { return &leastInFlight{} }

type leastInFlight struct{ last uint64 }

// Pick returns a member with the least in flight.
func (p *leastInFlight) Pick(_ Request, members []Member) int {
	first := after(members, p.last)
	best := first
	for n := range members {
		i := (first + n) % len(members)
		if members[i].InFlight < members[best].InFlight {
			best = i
		}
	}
	p.last = members[best].ID
	return best
}
