package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/balancer/policy"
)

// fair reports whether over many picks among n members the counts differ by at most one at every moment.
func fair(p policy.Policy, n int) bool {
	members := make([]policy.Member, n)
	for i := range members {
		members[i].ID = uint64(10 + 3*i)
	}
	counts := make([]int, n)
	for range 5*n + 1 {
		counts[p.Pick(members)]++
		if slices.Max(counts)-slices.Min(counts) > 1 {
			return false
		}
	}
	return true
}

// least reports whether p picks a member with the fewest in flight, whatever came before.
func least(p policy.Policy, loads [][]int) bool {
	for _, load := range loads {
		members := make([]policy.Member, len(load))
		for i, n := range load {
			members[i] = policy.Member{ID: uint64(i + 1), InFlight: n}
		}
		if load[p.Pick(members)] != slices.Min(load) {
			return false
		}
	}
	return true
}

func TestRoundRobinIsFair(t *testing.T) {
	for n := range 8 {
		if !fair(&policy.RoundRobin{}, n+1) {
			t.Errorf("not fair among %d", n+1)
		}
	}
}

// Between two picks of one member that stays, each other member that stays is picked exactly once.
func TestRoundRobinWhileMembersChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &policy.RoundRobin{}
		members := []policy.Member{{ID: 1}, {ID: 2}, {ID: 3}}
		next := uint64(4)
		stay := map[uint64]int{1: 0, 3: 0} // never leave
		for range 60 {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				members = append(members, policy.Member{ID: next})
				next++
			case 1:
				if i := rapid.IntRange(0, len(members)-1).Draw(t, "leave"); members[i].ID != 1 && members[i].ID != 3 {
					members = slices.Delete(members, i, i+1)
				}
			default:
				id := members[p.Pick(members)].ID
				if _, ok := stay[id]; ok {
					stay[id]++
				}
			}
			if d := stay[1] - stay[3]; d < 0 || d > 1 {
				t.Fatalf("picked %v", stay)
			}
		}
	})
}

func TestLeastInFlight(t *testing.T) {
	if !fair(&policy.LeastInFlight{}, 5) {
		t.Error("ties are not broken in turn")
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "members")
		loads := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 5), n, n), 1, 20).Draw(t, "loads")
		if !least(&policy.LeastInFlight{}, loads) {
			t.Fatal("picked one that has more in flight than another")
		}
	})
}

type pick func([]policy.Member) int

func (p pick) Pick(m []policy.Member) int { return p(m) }

// Each property must catch the errors one would make.
func TestPropertiesCatchMutants(t *testing.T) {
	turn := 0
	first := pick(func([]policy.Member) int { return 0 })
	skips := pick(func(m []policy.Member) int { turn += 2; return turn % len(m) })
	if fair(first, 3) || fair(skips, 4) {
		t.Error("unfair turns pass for round robin")
	}
	loads := [][]int{{3, 1, 2}, {2, 2, 0}}
	most := pick(func(m []policy.Member) int {
		best := 0
		for i := range m {
			if m[i].InFlight > m[best].InFlight {
				best = i
			}
		}
		return best
	})
	if least(most, loads) || least(first, loads) || least(&policy.RoundRobin{}, loads) {
		t.Error("not the least, and passes for least in flight")
	}
	if firstOfTies := pick(func(m []policy.Member) int {
		best := 0
		for i := range m {
			if m[i].InFlight < m[best].InFlight {
				best = i
			}
		}
		return best
	}); fair(firstOfTies, 3) {
		t.Error("always the first of equals passes for taking turns")
	}
}

func TestBuiltin(t *testing.T) {
	for _, name := range policy.Builtin().Names() {
		p, err := policy.Builtin().Build(name, func(any) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if !fair(p, 4) {
			t.Errorf("%s: equal members get unequal shares", name)
		}
	}
}
