// Package policy chooses the worker that an invocation goes to. Policies are
// pure: a route.Core owns one and asks it, live and simulated alike.
package policy

import "github.com/ainur-faas/ainur/hcl/registry"

// Member is a worker as a policy sees it.
type Member struct {
	ID       uint64 // of this membership: rises with every join, and a worker that comes back has a new one
	InFlight int    // invocations sent by this balancer and not yet answered
	MilliCPU int64  // of the worker
}

// Policy chooses one of the members, which are at least one, in order of ID, and
// not to be kept. It returns an index. A Policy has state and is used by one Core.
type Policy interface{ Pick(members []Member) int }

// Builtin lists the balancing policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("balancer policy")
	r.Add("round_robin", func(decode registry.Decoder) (Policy, error) { return &RoundRobin{}, decode(&struct{}{}) })
	r.Add("least_in_flight", func(decode registry.Decoder) (Policy, error) { return &LeastInFlight{}, decode(&struct{}{}) })
	return r
}

// RoundRobin takes the members in turn. A member that joins or leaves moves
// nobody else's turn.
type RoundRobin struct{ last uint64 }

// Pick returns the member after the last one picked.
func (p *RoundRobin) Pick(members []Member) int {
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
type LeastInFlight struct{ last uint64 }

// Pick returns a member with the least in flight.
func (p *LeastInFlight) Pick(members []Member) int {
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
