package policy

import (
	"fmt"
	"math"
)

// CHBounded is consistent hashing with bounded loads: a function goes to the
// first member clockwise from its place on a hash ring that is below its bound
//
//	⌈c·m/n⌉
//
// with c = Ceil, m the invocations in flight, this one included, and n the members
// (V. Mirrokni, M. Thorup and M. Zadimoghaddam, 2018, doi:10.1137/1.9781611975031.39). Since
// c > 1 some member is always below. The nearer c is to 1, the more even the loads and
// the more often a function leaves its home.
type CHBounded struct {
	Ceil   float64 `hcl:"bounded_ceil,optional" json:"bounded_ceil" doc:"over 1, to 1000"`
	VNodes int     `hcl:"vnodes,optional" json:"vnodes" doc:"points of a member on the ring, 1 to 10000"`
}

func (p CHBounded) check() error {
	if !(p.Ceil > 1 && p.Ceil <= 1000) {
		return fmt.Errorf("bounded_ceil is %g, want more than 1, to 1000", p.Ceil)
	}
	return checkVNodes(p.VNodes)
}

func checkVNodes(n int) error {
	if n < 1 || n > 10_000 {
		return fmt.Errorf("vnodes is %d, want 1 to 10000", n)
	}
	return nil
}

// New returns a Picker whose ring the seed places.
func (p CHBounded) New(seed uint64) Picker {
	return &chBounded{ceil: p.Ceil, ring: ring{seed: seed, vnodes: p.VNodes}}
}

type chBounded struct {
	ceil float64
	ring ring
}

// Pick returns the first member from the function's home on that is below the bound.
func (p *chBounded) Pick(r Request, members []Member) int {
	p.ring.update(members)
	inFlight := 1
	for _, m := range members {
		inFlight += m.InFlight
	}
	bound := ceil(p.ceil * float64(inFlight) / float64(len(members)))
	for i := range p.ring.from(r.Function) {
		if members[i].InFlight < bound {
			return i
		}
	}
	panic("policy: all members are at a bound over their mean")
}

// ceil is ⌈x⌉, but what rounding leaves above a whole number does not count.
func ceil(x float64) int { return int(math.Ceil(x - 1e-9)) }
