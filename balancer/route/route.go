// Package route is the balancer's core: who is a member, what is in flight
// where, and which worker an invocation goes to. It is sans-IO: balancer/proxy
// drives it in real time, orchestrator/sim in virtual time.
//
// Events are methods and not values of one Handle, because each is answered at once: a
// choice is the result of Pick, and nothing is left for a driver to do later.
package route

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/balancer/policy"
)

// Core is the state of one balancer. It is not safe for concurrent use. Times
// count from its start and never decrease.
type Core struct {
	picker  policy.Picker
	lease   time.Duration
	members []Member // in order of ID
	lastID  uint64

	view   []policy.Member // of the usable members, for the policy; made again when they change
	usable []int           // their indices in members
	until  time.Duration   // the view is right before this time
}

// Member is a worker that has a lease.
type Member struct {
	ID          uint64 // of this membership
	Worker      string
	Address     string
	Incarnation string
	MilliCPU    int64
	Expires     time.Duration
	InFlight    int
	Suspect     bool // could not be reached, and has not renewed its lease since
}

// New returns a Core without members, whose leases last so long. The policy's
// chance comes from seed.
func New(p policy.Policy, lease time.Duration, seed uint64) *Core {
	return &Core{picker: p.New(seed), lease: lease}
}

// Renew extends the lease of a member and lifts suspicion from it. It returns
// false for a worker that is no member in this incarnation and has to join.
func (c *Core) Renew(now time.Duration, worker, incarnation string) bool {
	i := slices.IndexFunc(c.members, func(m Member) bool {
		return m.Worker == worker && m.Incarnation == incarnation && m.Expires > now
	})
	if i < 0 {
		return false
	}
	c.members[i].Expires, c.members[i].Suspect = now+c.lease, false
	c.until = 0
	return true
}

// Join makes a worker a member, or renews its lease if it is one. It returns
// the member, and whether it is a new one: the first of its name, or a new incarnation,
// in which case the old member is gone and what it had in flight is lost.
func (c *Core) Join(now time.Duration, worker, address, incarnation string, milliCPU int64) (m Member, joined bool) {
	if c.Renew(now, worker, incarnation) {
		return c.members[slices.IndexFunc(c.members, func(m Member) bool { return m.Worker == worker })], false
	}
	c.Drop(worker)
	c.lastID++
	m = Member{ID: c.lastID, Worker: worker, Address: address, Incarnation: incarnation, MilliCPU: milliCPU, Expires: now + c.lease}
	c.members, c.until = append(c.members, m), 0
	return m, true
}

// Drop ends the membership of a worker, whatever its incarnation.
func (c *Core) Drop(worker string) {
	c.end(func(m Member) bool { return m.Worker == worker })
}

// Leave ends the membership of an incarnation of a worker, if it still has it.
func (c *Core) Leave(worker, incarnation string) {
	c.end(func(m Member) bool { return m.Worker == worker && m.Incarnation == incarnation })
}

// Expire ends the memberships whose lease has run out and returns them.
func (c *Core) Expire(now time.Duration) (gone []Member) {
	c.end(func(m Member) bool {
		if m.Expires > now {
			return false
		}
		gone = append(gone, m)
		return true
	})
	return gone
}

func (c *Core) end(which func(Member) bool) {
	c.members, c.until = slices.DeleteFunc(c.members, which), 0
}

// Deadline says when the next lease runs out, false when there is none.
func (c *Core) Deadline() (at time.Duration, ok bool) {
	for _, m := range c.members {
		if !ok || m.Expires < at {
			at, ok = m.Expires, true
		}
	}
	return at, ok
}

// Pick chooses the member for an invocation of a function and counts it as in flight there
// until Done. Suspects are not chosen; ok is false when there is no other.
func (c *Core) Pick(now time.Duration, function string) (m Member, ok bool) {
	if now >= c.until {
		c.look(now)
	}
	if len(c.view) == 0 {
		return Member{}, false
	}
	i := c.picker.Pick(policy.Request{Now: now, Function: function}, c.view)
	chosen := &c.members[c.usable[i]]
	chosen.InFlight++
	c.view[i].InFlight++
	return *chosen, true
}

// look makes the view.
func (c *Core) look(now time.Duration) {
	c.view, c.usable, c.until = c.view[:0], c.usable[:0], math.MaxInt64
	for i, m := range c.members {
		if m.Expires > now && !m.Suspect {
			c.view = append(c.view, policy.Member{ID: m.ID, Worker: m.Worker, InFlight: m.InFlight, MilliCPU: m.MilliCPU})
			c.usable = append(c.usable, i)
			c.until = min(c.until, m.Expires)
		}
	}
}

// Done ends an invocation at the member with this id, which may be gone.
func (c *Core) Done(id uint64) {
	m := c.member(id)
	if m == nil {
		return
	}
	m.InFlight--
	if i, ok := slices.BinarySearchFunc(c.view, id, func(m policy.Member, id uint64) int { return cmp.Compare(m.ID, id) }); ok {
		c.view[i].InFlight--
	}
}

// Suspect leaves a member out of choice until it renews its lease.
func (c *Core) Suspect(id uint64) {
	if m := c.member(id); m != nil {
		m.Suspect, c.until = true, 0
	}
}

// Members returns the members in the order they joined.
func (c *Core) Members() []Member { return slices.Clone(c.members) }

func (c *Core) member(id uint64) *Member {
	i, ok := slices.BinarySearchFunc(c.members, id, func(m Member, id uint64) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return nil
	}
	return &c.members[i]
}
