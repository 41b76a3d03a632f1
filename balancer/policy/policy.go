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
	r.Add("round_robin", func(decode registry.Decoder) (Policy, error) { return RoundRobin{}, decode(&struct{}{}) })
	r.Add("least_in_flight", func(decode registry.Decoder) (Policy, error) { return LeastInFlight{}, decode(&struct{}{}) })
	r.Add("ch_bounded", func(decode registry.Decoder) (Policy, error) {
		p := CHBounded{Ceil: 1.25, VNodes: 64}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	r.Add("ch_rlu", func(decode registry.Decoder) (Policy, error) {
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
