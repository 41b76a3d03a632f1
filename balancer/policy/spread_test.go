package policy_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/balancer/policy"
)

func workers(n int) []policy.Member {
	members := make([]policy.Member, n)
	for i := range members {
		members[i] = policy.Member{ID: uint64(i + 1), Worker: fmt.Sprint("w", i), MilliCPU: 4000}
	}
	return members
}

// fullest is the most that one of n members gets of n invocations that stay.
func fullest(p policy.Picker, n int) int {
	members := workers(n)
	for range n {
		members[p.Pick(policy.Request{}, members)].InFlight++
	}
	return slices.MaxFunc(members, func(a, b policy.Member) int { return a.InFlight - b.InFlight }).InFlight
}

// balanced reports whether the most that one of many gets is that of d choices, ln ln n / ln d and a small constant.
func balanced(p func(seed uint64) policy.Picker, d int) bool {
	const n = 1000
	for seed := range uint64(3) {
		if got := fullest(p(seed), n); float64(got) > math.Log(math.Log(n))/math.Log(float64(d))+1.5 {
			return false
		}
	}
	return true
}

func TestPowerOfTwo(t *testing.T) {
	for d := 2; d <= 4; d++ {
		if !balanced(policy.PowerOfTwo{Choices: d}.New, d) {
			t.Errorf("with %d choices: %d", d, fullest(policy.PowerOfTwo{Choices: d}.New(0), 1000))
		}
	}
	for name, mutant := range map[string]func(uint64) policy.Picker{
		"one choice": policy.PowerOfTwo{Choices: 1}.New,
		"random":     policy.Random{}.New,
		"the fuller": func(seed uint64) policy.Picker {
			p := policy.PowerOfTwo{Choices: 2}.New(seed)
			return pick(func(m []policy.Member) int {
				turned := slices.Clone(m)
				for i := range turned {
					turned[i].InFlight = 1 << 20 / (1 + turned[i].InFlight)
				}
				return p.Pick(policy.Request{}, turned)
			})
		},
	} {
		if balanced(mutant, 2) {
			t.Errorf("%s passes", name)
		}
	}
	rapid.Check(t, func(t *rapid.T) { // with as many choices as members it is the best of all
		members := workers(rapid.IntRange(1, 8).Draw(t, "members"))
		for i := range members {
			members[i].InFlight = rapid.IntRange(0, 5).Draw(t, "in flight")
		}
		got := policy.PowerOfTwo{Choices: 100}.New(rapid.Uint64().Draw(t, "seed")).Pick(policy.Request{}, members)
		for _, m := range members {
			if m.InFlight < members[got].InFlight {
				t.Fatalf("picked one with %d in flight, another has %d", members[got].InFlight, m.InFlight)
			}
		}
	})
}

// Each is as likely: of many picks, each member's are within four standard deviations of its share.
func TestRandomIsUniform(t *testing.T) {
	const n, picks = 10, 20_000
	p, members, counts := policy.Random{}.New(7), workers(n), make([]float64, n)
	for range picks {
		counts[p.Pick(policy.Request{}, members)]++
	}
	for i, got := range counts {
		if want, dev := picks/float64(n), math.Sqrt(picks*0.1*0.9); math.Abs(got-want) > 4*dev {
			t.Errorf("member %d: %g picks, want about %g", i, got, want)
		}
	}
}

// shares reports whether at every moment each member was picked about as often as its cores say.
func shares(p policy.Picker, cores []int64) bool {
	members, counts := workers(len(cores)), make([]float64, len(cores))
	var all int64
	for i, c := range cores {
		members[i].MilliCPU, all = c*1000, all+c
	}
	for n := range 500 {
		counts[p.Pick(policy.Request{}, members)]++
		for i, c := range cores {
			if math.Abs(counts[i]-float64(n+1)*float64(c)/float64(all)) >= float64(len(cores)) {
				return false
			}
		}
	}
	return true
}

func TestWeighted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cores := rapid.SliceOfN(rapid.Int64Range(1, 64), 1, 6).Draw(t, "cores")
		if !shares(policy.Weighted{}.New(0), cores) {
			t.Fatal("a member has another share than its cores say")
		}
	})
	if shares(policy.RoundRobin{}.New(0), []int64{1, 8, 1}) || shares(policy.Random{}.New(1), []int64{1, 8, 1}) {
		t.Error("equal shares pass")
	}
	// Who joins takes its turns, and not all that it has missed.
	p, members := policy.Weighted{}.New(0), workers(2)
	for range 1000 {
		p.Pick(policy.Request{}, members)
	}
	members, n := workers(3), 0
	for range 30 {
		if p.Pick(policy.Request{}, members) == 2 {
			n++
		}
	}
	if n < 9 || n > 11 {
		t.Errorf("who joined two others has %d of 30", n)
	}
}

func loaded(t *rapid.T) []policy.Member {
	members := workers(rapid.IntRange(1, 8).Draw(t, "members"))
	for i := range members {
		members[i].InFlight, members[i].MilliCPU = rapid.IntRange(0, 6).Draw(t, "in flight"), rapid.Int64Range(1, 4).Draw(t, "cores")*1000
	}
	return members
}

func TestLeastLoaded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := loaded(t)
		load := func(m policy.Member) float64 { return float64(m.InFlight) / float64(m.MilliCPU) }
		got := load(members[policy.LeastLoaded{}.New(0).Pick(policy.Request{}, members)])
		for _, m := range members {
			if load(m) < got {
				t.Fatalf("one of %g in flight for a core is picked, another has %g", got*1000, load(m)*1000)
			}
		}
	})
}

func TestJoinIdle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := loaded(t)
		p := policy.JoinIdle{}.New(rapid.Uint64().Draw(t, "seed"))
		for range 10 {
			idle := slices.ContainsFunc(members, func(m policy.Member) bool { return m.InFlight == 0 })
			i := p.Pick(policy.Request{}, members)
			if idle && members[i].InFlight > 0 {
				t.Fatal("one that is busy is picked, and another is idle")
			}
			members[i].InFlight++
		}
	})
	if !fair(policy.JoinIdle{}.New(1), 5) {
		t.Error("those that are idle do not have their turns")
	}
}

// A function stays where it is while its member does, and of those that have another home none had one among those that stay.
func TestCHMovesLittle(t *testing.T) {
	p, members := policy.CH{VNodes: 64}.New(3), workers(10)
	before := map[string]uint64{}
	for f := range 500 {
		name := fmt.Sprint("f", f)
		before[name] = members[p.Pick(policy.Request{Function: name}, members)].ID
	}
	members = slices.Delete(members, 4, 5)
	moved := 0
	for name, id := range before {
		if now := members[p.Pick(policy.Request{Function: name}, members)].ID; now != id {
			if moved++; id != 5 {
				t.Fatalf("%s has moved from %d, which is there", name, id)
			}
		}
	}
	if moved < 20 || moved > 100 {
		t.Errorf("%d of 500 have moved, about a tenth should", moved)
	}
}

// A function is at home while there is room, and is nowhere where there is none while there is some elsewhere.
func TestOpenWhisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := loaded(t)
		p := policy.OpenWhisk{Slots: 1}.New(rapid.Uint64().Draw(t, "seed"))
		room := func(m policy.Member) bool { return int64(m.InFlight)*1000 < m.MilliCPU }
		empty := slices.Clone(members)
		for i := range empty {
			empty[i].InFlight = 0
		}
		r := policy.Request{Function: rapid.SampledFrom([]string{"f", "g", "h"}).Draw(t, "function")}
		home, got := p.Pick(r, empty), p.Pick(r, members)
		switch {
		case room(members[home]) && got != home:
			t.Fatalf("there is room at home, %d, and %d is picked", home, got)
		case !room(members[got]) && slices.ContainsFunc(members, room):
			t.Fatal("one without room is picked, and another has some")
		}
	})
}

// While a core is free the function goes to one, where it has been if that can be, and to the fullest of these.
func TestHermod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := loaded(t)
		p := policy.Hermod{}.New(0)
		been := map[int]bool{}
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			i := p.Pick(policy.Request{Function: "f"}, members)
			been[i] = true
			members[i].InFlight += rapid.IntRange(0, 1).Draw(t, "stays")
		}
		free := func(m policy.Member) bool { return int64(m.InFlight+1)*1000 <= m.MilliCPU }
		load := func(m policy.Member) float64 { return float64(m.InFlight) / float64(m.MilliCPU) }
		got := p.Pick(policy.Request{Function: "f"}, members)
		for i, m := range members {
			switch {
			case !free(members[got]) && (free(m) || load(m) < load(members[got])):
				t.Fatalf("%+v is picked rather than %+v", members[got], m)
			case free(members[got]) && free(m) && (been[i] && !been[got] || been[i] == been[got] && load(m) > load(members[got])):
				t.Fatalf("%+v is picked rather than %+v, been %v", members[got], m, been)
			}
		}
	})
}
