package policy

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/internal/stream"
)

// CHRLU is consistent hashing with random load updates (A. Fuerst and P. Sharma,
// Locality-aware load-balancing for serverless clusters, HPDC'22,
// doi:10.1145/3502181.3531459). A function goes to the first member with
//
//	L + X < b
//
// among its home on a hash ring and the Chain members that follow, and to the least
// loaded of all where none is. L is the invocations in flight on a core of the member and
// b is Ceil. X is 0 for most functions. For a popular one it is a new
//
//	X ~ Normal(w / (t·cores), σ²)
//
// for each member asked, with w = NoiseWindow, t the function's mean time between calls
// and σ = NoiseStd: what is expected to come counts as if it were there, so popular functions
// spread before their home is full, and chance keeps them from moving as one. Popular is
// the share Popular of the functions called at least twice that have the least t, and what
// equals these.
//
// The paper has load averages that are seconds old, w of 1 s, a bound that
// grows with the function's cold time over its warm time, and drops what the least loaded
// member has no room for. Here L is exact, the bound is the same for all, as in Ilúvatar,
// and what finds no room waits at the worker.
type CHRLU struct {
	Ceil        float64       `hcl:"bounded_ceil,optional" json:"bounded_ceil" doc:"per core, over 0, to 1000"`
	VNodes      int           `hcl:"vnodes,optional" json:"vnodes" doc:"points of a member on the ring, 1 to 10000"`
	Popular     float64       `hcl:"popular_pct,optional" json:"popular_pct" doc:"share of functions, 0 to 1"`
	Chain       int           `hcl:"chain_len,optional" json:"chain_len" doc:"members after the home, 0 to 10000"`
	NoiseWindow time.Duration `hcl:"noise_window,optional" json:"noise_window" doc:"0 to 1h; 0 expects nothing"`
	NoiseStd    float64       `hcl:"noise_std,optional" json:"noise_std" doc:"of load per core, 0 to 1000"`
}

func (p CHRLU) check() error {
	switch {
	case !(p.Ceil > 0 && p.Ceil <= 1000):
		return fmt.Errorf("bounded_ceil is %g, want more than 0, to 1000", p.Ceil)
	case !(p.Popular >= 0 && p.Popular <= 1):
		return fmt.Errorf("popular_pct is %g, want 0 to 1, a share of the functions", p.Popular)
	case p.Chain < 0 || p.Chain > 10_000:
		return fmt.Errorf("chain_len is %d, want 0 to 10000", p.Chain)
	case p.NoiseWindow < 0 || p.NoiseWindow > time.Hour:
		return fmt.Errorf("noise_window is %v, want 0s to 1h", p.NoiseWindow)
	case !(p.NoiseStd >= 0 && p.NoiseStd <= 1000):
		return fmt.Errorf("noise_std is %g, want 0 to 1000", p.NoiseStd)
	}
	return checkVNodes(p.VNodes)
}

// New returns a Picker whose ring the seed places, and which has seen no call.
func (p CHRLU) New(seed uint64) Picker {
	return &chRLU{CHRLU: p, ring: ring{seed: seed, vnodes: p.VNodes}, calls: calls{seed: seed, popular: p.Popular, byName: map[string]*called{}}}
}

type chRLU struct {
	CHRLU
	ring  ring
	calls calls
}

// Pick returns the first member of the function's chain with room, or the least loaded of all.
func (p *chRLU) Pick(r Request, members []Member) int {
	p.ring.update(members)
	f := p.calls.note(r)
	least, asked := -1, 0
	for i := range p.ring.from(r.Function) {
		m := members[i]
		if asked <= p.Chain && p.load(f, m) < p.Ceil {
			return i
		}
		asked++
		if least < 0 || int64(m.InFlight)*milli(members[least]) < int64(members[least].InFlight)*milli(m) {
			least = i
		}
	}
	return least
}

// load is that of a core of m, with what f is expected to add where that counts.
func (p *chRLU) load(f *called, m Member) float64 {
	cores := float64(milli(m)) / 1000
	load := float64(m.InFlight) / cores
	if f.popular {
		expected := float64(p.NoiseWindow) / float64(max(f.gap, 1))
		load += expected/cores + float64(p.NoiseStd*f.chance.NormFloat64())
	}
	return load
}

// milli is the thousandths of a core that m has, those of one where it does not say.
func milli(m Member) int64 { return cmp.Or(m.MilliCPU, 1000) }

// calls knows how often each function is called, and so which are popular.
type calls struct {
	seed    uint64
	popular float64 // share of the functions
	byName  map[string]*called
	all     []*called // in the order of their first calls
	since   int       // calls since popularity was last told
	gaps    []time.Duration
}

// called is a function that was called.
type called struct {
	name    string
	last    time.Duration
	again   bool          // called twice at least, so that gap is known
	gap     time.Duration // mean time between calls, of which the last counts a tenth
	popular bool
	chance  *rand.Rand
}

// forgetAfter is how long a function may not be called and still be one of all.
const forgetAfter = time.Hour

// note counts a call. Popularity is told anew after as many calls as there are
// functions, which bounds the mean cost of a call by the logarithm of their number.
func (c *calls) note(r Request) *called {
	f := c.byName[r.Function]
	switch {
	case f == nil:
		f = &called{name: r.Function, chance: stream.New(c.seed, "balancer", "ch_rlu", r.Function)}
		c.byName[f.name], c.all = f, append(c.all, f)
	case !f.again:
		f.again, f.gap = true, r.Now-f.last
	default:
		f.gap += (r.Now - f.last - f.gap) / 10
	}
	f.last = r.Now
	if c.since++; c.since >= len(c.all) {
		c.since = 0
		c.rank(r.Now)
	}
	return f
}

// rank tells which functions are popular: those whose gap is at most the
// quantile of all gaps by nearest rank. The time since the last call counts as a gap
// where it is the longer, so that a function that is called no more is popular no more.
func (c *calls) rank(now time.Duration) {
	c.all = slices.DeleteFunc(c.all, func(f *called) bool {
		if now-f.last > forgetAfter {
			delete(c.byName, f.name)
			return true
		}
		return false
	})
	c.gaps = c.gaps[:0]
	for _, f := range c.all {
		if f.again {
			c.gaps = append(c.gaps, max(f.gap, now-f.last))
		}
	}
	slices.Sort(c.gaps)
	limit := time.Duration(-1)
	if n := ceil(c.popular * float64(len(c.gaps))); n > 0 {
		limit = c.gaps[n-1]
	}
	for _, f := range c.all {
		f.popular = f.again && max(f.gap, now-f.last) <= limit
	}
}
