package policy

import (
	"cmp"
	"maps"
)

// Weighted takes the members in turn, each as often as it has cores: stride scheduling (C. Waldspurger and W. Weihl, Stride scheduling,
// 1995, MIT/LCS/TM-528). Each has a pass, which grows by one over its weight when it is picked; the one with the least is
// next. How often one was picked differs from its share by less than one for every other member. One that joins begins with the least
// pass there is.
type Weighted struct{}

// New returns a Picker that has picked nobody.
func (Weighted) New(uint64) Picker { return &weighted{pass: map[uint64]int64{}} }

type weighted struct {
	pass map[uint64]int64 // by ID of a member
	ids  []uint64         // of the members, when they were seen last
}

// whole is what a pass grows by for a thousandth of a core.
const whole = 1 << 40

func (p *weighted) Pick(_ Request, members []Member) int {
	p.follow(members)
	best := 0
	for i := range members {
		if cmp.Or(cmp.Compare(p.pass[members[i].ID], p.pass[members[best].ID]), cmp.Compare(members[i].ID, members[best].ID)) < 0 {
			best = i
		}
	}
	p.pass[members[best].ID] += whole / milli(members[best])
	return best
}

// follow gives those that are new a pass, and forgets those that are gone.
func (p *weighted) follow(members []Member) {
	same := len(members) == len(p.ids)
	for i := 0; same && i < len(members); i++ {
		same = members[i].ID == p.ids[i]
	}
	if same {
		return
	}
	p.ids = p.ids[:0]
	least, kept := int64(0), map[uint64]int64{}
	for _, m := range members {
		p.ids = append(p.ids, m.ID)
		if pass, ok := p.pass[m.ID]; ok {
			if kept[m.ID] = pass; len(kept) == 1 || pass < least {
				least = pass
			}
		}
	}
	for _, m := range members {
		if _, ok := kept[m.ID]; !ok {
			kept[m.ID] = least
		}
	}
	clear(p.pass)
	maps.Copy(p.pass, kept)
}

// LeastLoaded takes the member with the fewest invocations in flight by its cores, and of several the one whose turn it is.
// What is in flight is what went through this balancer, and exact; with load averages that are seconds old, as
// Ilúvatar has them, all go to one until the next is known.
type LeastLoaded struct{}

// New returns a Picker whose turns begin with the first member.
func (LeastLoaded) New(uint64) Picker { return &leastLoaded{} }

type leastLoaded struct{ last uint64 }

func (p *leastLoaded) Pick(_ Request, members []Member) int {
	first := after(members, p.last)
	best := first
	for n := range members {
		if i := (first + n) % len(members); lighter(members[i], members[best]) {
			best = i
		}
	}
	p.last = members[best].ID
	return best
}
