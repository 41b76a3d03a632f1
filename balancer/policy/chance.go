package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ainur-faas/ainur/internal/stream"
)

// Random takes any member, each as likely as another.
type Random struct{}

// New returns a Picker whose chance is that of the seed.
func (Random) New(seed uint64) Picker { return &random{stream.New(seed, "balancer", "random")} }

type random struct{ chance *rand.Rand }

func (p *random) Pick(_ Request, members []Member) int { return p.chance.IntN(len(members)) }

// PowerOfTwo draws Choices members, all different, and takes the one with the fewest invocations in flight
// by its cores, of several the one drawn first. Where n invocations go to n members the most that one gets is ln ln n / ln d + O(1)
// with d choices, and ln n / ln ln n with one (M. Mitzenmacher, The power of two choices in
// randomized load balancing, 2001, theorem 4, doi:10.1109/71.963420; Y. Azar et al., Balanced allocations, 1999,
// doi:10.1137/S0097539795288490).
type PowerOfTwo struct {
	Choices int `hcl:"choices,optional" json:"choices" doc:"members that are looked at, 1 to 100"`
}

func (p PowerOfTwo) check() error {
	if p.Choices < 1 || p.Choices > 100 {
		return fmt.Errorf("choices is %d, want 1 to 100", p.Choices)
	}
	return nil
}

// New returns a Picker whose chance is that of the seed.
func (p PowerOfTwo) New(seed uint64) Picker {
	return &powerOfTwo{choices: p.Choices, chance: stream.New(seed, "balancer", "power_of_two")}
}

type powerOfTwo struct {
	choices int
	chance  *rand.Rand
	drawn   []int
}

// Pick draws without replacement (R. Floyd's algorithm, in J. Bentley, A sample of brilliance, 1987, doi:10.1145/30401.315746).
func (p *powerOfTwo) Pick(_ Request, members []Member) int {
	p.drawn = p.drawn[:0]
	for last := max(0, len(members)-p.choices); last < len(members); last++ {
		i := p.chance.IntN(last + 1)
		if slices.Contains(p.drawn, i) {
			i = last
		}
		p.drawn = append(p.drawn, i)
	}
	best := p.drawn[0]
	for _, i := range p.drawn[1:] {
		if lighter(members[i], members[best]) {
			best = i
		}
	}
	return best
}

// lighter reports whether a has less in flight than b for its cores.
func lighter(a, b Member) bool {
	return int64(a.InFlight)*milli(b) < int64(b.InFlight)*milli(a)
}

// JoinIdle takes a member that has nothing in flight, in turn, and any where none is idle (Y. Lu et al., Join-idle-queue, 2011,
// doi:10.1016/j.peva.2011.07.015, with the idle known and not reported).
type JoinIdle struct{}

// New returns a Picker whose chance is that of the seed.
func (JoinIdle) New(seed uint64) Picker {
	return &joinIdle{chance: stream.New(seed, "balancer", "join_idle")}
}

type joinIdle struct {
	chance *rand.Rand
	last   uint64
}

func (p *joinIdle) Pick(_ Request, members []Member) int {
	first := after(members, p.last)
	for n := range members {
		if i := (first + n) % len(members); members[i].InFlight == 0 {
			p.last = members[i].ID
			return i
		}
	}
	return p.chance.IntN(len(members))
}
