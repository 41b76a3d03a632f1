package policy

import (
	"fmt"
	"math/rand/v2"

	"github.com/ainur-faas/ainur/internal/stream"
)

// CH is consistent hashing: a function goes to the first member from its place on a hash ring, whatever the loads
// (D. Karger et al., Consistent hashing and random trees, 1997, doi:10.1145/258533.258660).
type CH struct {
	VNodes int `hcl:"vnodes,optional" json:"vnodes" doc:"points of a member on the ring, 1 to 10000"`
}

// New returns a Picker whose ring the seed places.
func (p CH) New(seed uint64) Picker { return &ch{ring{seed: seed, vnodes: p.VNodes}} }

type ch struct{ ring ring }

func (p *ch) Pick(r Request, members []Member) int {
	p.ring.update(members)
	for i := range p.ring.from(r.Function) {
		return i
	}
	panic("policy: a ring without members")
}

// OpenWhisk starts with the member that a hash of the function says, and goes on in steps that have no divisor in common with the
// number of members, so that it meets all, to the first that has room: fewer invocations in flight than Slots for each core.
// Where none has, any is taken (Apache OpenWhisk, ShardingContainerPoolBalancer.scala, which counts memory in the place of slots).
type OpenWhisk struct {
	Slots float64 `hcl:"slots,optional" json:"slots" doc:"invocations in flight for each core of a member up to which it has room, over 0, to 1000"`
}

func (p OpenWhisk) check() error {
	if !(p.Slots > 0 && p.Slots <= 1000) {
		return fmt.Errorf("slots is %g, want more than 0, to 1000", p.Slots)
	}
	return nil
}

// New returns a Picker whose homes and chance are those of the seed.
func (p OpenWhisk) New(seed uint64) Picker {
	return &openWhisk{slots: p.Slots, seed: seed, chance: stream.New(seed, "balancer", "openwhisk")}
}

type openWhisk struct {
	slots  float64
	seed   uint64
	chance *rand.Rand
	steps  []int // that have no divisor in common with the number of members
	of     int   // that number
}

func (p *openWhisk) Pick(r Request, members []Member) int {
	n := len(members)
	if p.of != n {
		p.of, p.steps = n, p.steps[:0]
		for step := 1; step <= n; step++ {
			if gcd(step, n) == 1 {
				p.steps = append(p.steps, step)
			}
		}
	}
	h := mix(hash(p.seed, r.Function))
	at, step := int(h%uint64(n)), p.steps[h%uint64(len(p.steps))]
	for range n {
		if float64(members[at].InFlight) < float64(p.slots*float64(milli(members[at]))/1000) {
			return at
		}
		at = (at + step) % n
	}
	return p.chance.IntN(n)
}

func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// Hermod fills workers one after the other while there are cores, and spreads what is over: of the members with a core that is free
// it takes the one with the most in flight by its cores, of those where the function has been if it is one; and the least loaded where
// no core is free (K. Kaffes et al., Hermod: Principled and practical scheduling for serverless functions, 2022,
// doi:10.1145/3542929.3563468). A function has been where this balancer has sent it.
type Hermod struct{}

// New returns a Picker that has sent nothing.
func (Hermod) New(uint64) Picker { return &hermod{been: map[visit]bool{}} }

type hermod struct {
	least leastLoaded
	been  map[visit]bool
}

// visit is a function on a member.
type visit struct {
	function string
	member   uint64
}

func (p *hermod) Pick(r Request, members []Member) int {
	best, warm := -1, false
	for i, m := range members {
		if int64(m.InFlight+1)*1000 > milli(m) {
			continue
		}
		was := p.been[visit{r.Function, m.ID}]
		if best < 0 || was && !warm || was == warm && lighter(members[best], m) {
			best, warm = i, was
		}
	}
	if best < 0 {
		best = p.least.Pick(r, members)
	}
	p.been[visit{r.Function, members[best].ID}] = true
	return best
}
