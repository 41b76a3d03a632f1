package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/balancer/policy"
)

// fair reports whether over many picks among n members, which stay, the counts
// differ by at most one at every moment.
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

// step is one thing that happens to a set of members.
type step struct {
	join  bool
	leave int // 1 + index of the member that leaves, 0 = none; one that stays does not
	pick  bool
}

// turns reports whether, while others join and leave, two members that stay
// are picked alternately: neither is skipped or doubled.
func turns(p policy.Policy, steps []step) bool {
	const a, b = 1, 3 // stay
	members := []policy.Member{{ID: a}, {ID: 2}, {ID: b}}
	next, last := uint64(4), uint64(0)
	for _, s := range steps {
		if s.join {
			members = append(members, policy.Member{ID: next})
			next++
		}
		if i := s.leave - 1; i >= 0 && i < len(members) && members[i].ID != a && members[i].ID != b {
			members = slices.Delete(members, i, i+1)
		}
		if s.pick {
			id := members[p.Pick(members)].ID
			if id == last {
				return false
			}
			if id == a || id == b {
				last = id
			}
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

func TestRoundRobin(t *testing.T) {
	for n := range 8 {
		if !fair(&policy.RoundRobin{}, n+1) {
			t.Errorf("not fair among %d", n+1)
		}
	}
}

func TestRoundRobinWhileMembersChange(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.Bool().Draw(t, "join"), rapid.IntRange(0, 8).Draw(t, "leave"), rapid.Bool().Draw(t, "pick")}
	})
	rapid.Check(t, func(t *rapid.T) {
		if !turns(&policy.RoundRobin{}, rapid.SliceOfN(one, 1, 60).Draw(t, "steps")) {
			t.Fatal("of two members that stay one was picked twice in a row")
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

// pick is a policy made of a function.
type pick func([]policy.Member) int

func (p pick) Pick(m []policy.Member) int { return p(m) }

// best picks the first member that is better than all before it.
func best(better func(a, b policy.Member) bool) pick {
	return func(members []policy.Member) int {
		chosen := 0
		for i, m := range members {
			if better(m, members[chosen]) {
				chosen = i
			}
		}
		return chosen
	}
}

// cursor counts turns by position, as if members never changed.
func cursor(stride int) pick {
	at := -stride
	return func(members []policy.Member) int {
		at += stride
		return at % len(members)
	}
}

// The properties reject what one would get wrong.
func TestPropertiesRejectMutants(t *testing.T) {
	always := pick(func([]policy.Member) int { return 0 })
	fewest := best(func(a, b policy.Member) bool { return a.InFlight < b.InFlight })
	most := best(func(a, b policy.Member) bool { return a.InFlight > b.InFlight })
	// The second of three leaves when it has had its turn.
	steps := []step{{pick: true}, {pick: true}, {leave: 2, pick: true}, {pick: true}, {join: true, pick: true}, {pick: true}, {pick: true}}
	loads := [][]int{{3, 1, 2}, {2, 2, 0}, {0, 1, 1}}
	for name, accepted := range map[string]bool{
		"fair: always the first":                fair(always, 3),
		"fair: every second":                    fair(cursor(2), 4),
		"fair: the first of those with fewest":  fair(fewest, 3),
		"turns: a cursor over positions":        turns(cursor(1), steps),
		"turns: always the first":               turns(always, steps),
		"least: the one with most":              least(most, loads),
		"least: always the first":               least(always, loads),
		"least: taking turns":                   least(&policy.RoundRobin{}, loads),
		"least: the fewest of the first two":    least(pick(func(m []policy.Member) int { return fewest(m[:2]) }), loads),
		"turns: round robin (which must pass)":  !turns(&policy.RoundRobin{}, steps),
		"least: least in flight (must pass)":    !least(&policy.LeastInFlight{}, loads),
		"least: the first of ties (must pass)":  !least(fewest, loads),
		"fair: a cursor, no change (must pass)": !fair(cursor(1), 3),
	} {
		if accepted {
			t.Error(name)
		}
	}
}

func TestBuiltin(t *testing.T) {
	for _, name := range policy.Builtin().Names() {
		t.Run(name, func(t *testing.T) {
			p, err := policy.Builtin().Build(name, func(any) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if !fair(p, 4) {
				t.Error("members that are equal get unequal shares")
			}
		})
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	members := make([]policy.Member, 16)
	for i := range members {
		members[i] = policy.Member{ID: uint64(i + 1), InFlight: i % 3}
	}
	for name, p := range map[string]policy.Policy{"round_robin": &policy.RoundRobin{}, "least_in_flight": &policy.LeastInFlight{}} {
		if n := testing.AllocsPerRun(100, func() { p.Pick(members) }); n != 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}
