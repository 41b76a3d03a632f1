package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/balancer/policy"
)

// fair reports whether over many picks among n members, which stay, the counts
// differ by at most one at every moment.
func fair(p policy.Picker, n int) bool {
	members := make([]policy.Member, n)
	for i := range members {
		members[i].ID = uint64(10 + 3*i)
	}
	counts := make([]int, n)
	for range 5*n + 1 {
		counts[p.Pick(policy.Request{}, members)]++
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
func turns(p policy.Picker, steps []step) bool {
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
			id := members[p.Pick(policy.Request{}, members)].ID
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
func least(p policy.Picker, loads [][]int) bool {
	for _, load := range loads {
		members := make([]policy.Member, len(load))
		for i, n := range load {
			members[i] = policy.Member{ID: uint64(i + 1), InFlight: n}
		}
		if load[p.Pick(policy.Request{}, members)] != slices.Min(load) {
			return false
		}
	}
	return true
}

func TestRoundRobin(t *testing.T) {
	for n := range 8 {
		if !fair(policy.RoundRobin{}.New(0), n+1) {
			t.Errorf("not fair among %d", n+1)
		}
	}
}

func TestRoundRobinWhileMembersChange(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.Bool().Draw(t, "join"), rapid.IntRange(0, 8).Draw(t, "leave"), rapid.Bool().Draw(t, "pick")}
	})
	rapid.Check(t, func(t *rapid.T) {
		if !turns(policy.RoundRobin{}.New(0), rapid.SliceOfN(one, 1, 60).Draw(t, "steps")) {
			t.Fatal("of two members that stay one was picked twice in a row")
		}
	})
}

func TestLeastInFlight(t *testing.T) {
	if !fair(policy.LeastInFlight{}.New(0), 5) {
		t.Error("ties are not broken in turn")
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "members")
		loads := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 5), n, n), 1, 20).Draw(t, "loads")
		if !least(policy.LeastInFlight{}.New(0), loads) {
			t.Fatal("picked one that has more in flight than another")
		}
	})
}

// pick is a picker made of a function.
type pick func([]policy.Member) int

func (p pick) Pick(_ policy.Request, m []policy.Member) int { return p(m) }

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
		"least: taking turns":                   least(policy.RoundRobin{}.New(0), loads),
		"least: the fewest of the first two":    least(pick(func(m []policy.Member) int { return fewest(m[:2]) }), loads),
		"turns: round robin (which must pass)":  !turns(policy.RoundRobin{}.New(0), steps),
		"least: least in flight (must pass)":    !least(policy.LeastInFlight{}.New(0), loads),
		"least: the first of ties (must pass)":  !least(fewest, loads),
		"fair: a cursor, no change (must pass)": !fair(cursor(1), 3),
	} {
		if accepted {
			t.Error(name)
		}
	}
}

// build makes a policy with the options of the JSON text.
func build(name, options string) (policy.Policy, error) {
	return policy.Builtin().Build(name, func(into any) error { return json.Unmarshal([]byte(options), into) })
}

// event is one thing that happens to a balancer and its members.
type event struct {
	pass     time.Duration
	join     bool
	leave    int // 1 + index of the member that leaves, if it is not the last; 0 = none
	done     int // index of the member that ends an invocation, if it has one
	function string
}

func events(t *rapid.T) []event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pass")), rapid.IntRange(0, 5).Draw(t, "join") == 0,
			max(0, rapid.IntRange(-12, 6).Draw(t, "leave")), rapid.IntRange(0, 6).Draw(t, "done"),
			rapid.SampledFrom([]string{"f", "g", "h", "rare"}).Draw(t, "function"),
		}
	}), 1, 60).Draw(t, "events")
}

// play tells the picker of the events, each of which ends with a pick, and
// hands each pick to check before it counts.
func play(p policy.Picker, events []event, check func(r policy.Request, members []policy.Member, picked int)) {
	members, next := []policy.Member{{ID: 1, Worker: "w1", MilliCPU: 1000}}, uint64(2)
	var now time.Duration
	for _, e := range events {
		now += e.pass
		if e.join {
			members = append(members, policy.Member{ID: next, Worker: fmt.Sprint("w", next), MilliCPU: int64(next%3) * 1000})
			next++
		}
		if i := e.leave - 1; i >= 0 && i < len(members) && len(members) > 1 {
			members = slices.Delete(members, i, i+1)
		}
		if e.done < len(members) && members[e.done].InFlight > 0 {
			members[e.done].InFlight--
		}
		r := policy.Request{Now: now, Function: e.function}
		picked := p.Pick(r, members)
		check(r, members, picked)
		members[picked].InFlight++
	}
}

// picks are the workers that a picker picks, or nil if a pick is no member or
// what it was shown has changed.
func picks(p policy.Picker, events []event) (workers []string) {
	defer func() {
		if recover() != nil {
			workers = nil
		}
	}()
	var before []policy.Member
	watched := watch{p, func(m []policy.Member) { before = slices.Clone(m) }}
	play(watched, events, func(_ policy.Request, members []policy.Member, picked int) {
		if !slices.Equal(before, members) {
			panic("the members have changed")
		}
		workers = append(workers, members[picked].Worker)
	})
	return workers
}

// watch sees what a picker is shown.
type watch struct {
	policy.Picker
	see func([]policy.Member)
}

func (w watch) Pick(r policy.Request, m []policy.Member) int {
	w.see(m)
	return w.Picker.Pick(r, m)
}

// conforms reports whether pickers of one policy, which share nothing, pick
// members, change nothing, and pick the same for the same seed and events.
func conforms(p policy.Policy, seed uint64, events []event) bool {
	a := picks(p.New(seed), events)
	return a != nil && slices.Equal(a, picks(p.New(seed), events))
}

// Every policy, with the options that it has by default.
func TestConformance(t *testing.T) {
	for _, name := range policy.Builtin().Names() {
		t.Run(name, func(t *testing.T) {
			p, err := build(name, "{}")
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				if !conforms(p, rapid.Uint64().Draw(t, "seed"), events(t)) {
					t.Fatal("it picks no member, changes what it is shown, or is not deterministic")
				}
			})
			members := make([]policy.Member, 16)
			for i := range members {
				members[i] = policy.Member{ID: uint64(i + 1), Worker: fmt.Sprint("w", i), InFlight: i % 3, MilliCPU: 4000}
			}
			r, picker := policy.Request{}, p.New(1)
			functions := []string{"f", "g", "h"}
			step := func() {
				r.Now += time.Millisecond
				for _, r.Function = range functions {
					picker.Pick(r, members)
				}
			}
			step()
			step()
			if n := testing.AllocsPerRun(100, step); n != 0 {
				t.Errorf("%g allocations", n)
			}
		})
	}
}

// made is a policy made of a function.
type made func(seed uint64) policy.Picker

func (m made) New(seed uint64) policy.Picker { return m(seed) }

func TestConformanceRejectsMutants(t *testing.T) {
	var story []event
	for i := range 20 {
		story = append(story, event{join: i%3 == 0, pass: time.Second, function: "f"})
	}
	shared := cursor(1)
	for name, mutant := range map[string]made{
		"one state for all":   func(uint64) policy.Picker { return shared },
		"a chance of its own": func(uint64) policy.Picker { return pick(func(m []policy.Member) int { return rand.IntN(len(m)) }) },
		"one past the end":    func(uint64) policy.Picker { return pick(func(m []policy.Member) int { return len(m) }) },
		"counts in the view": func(uint64) policy.Picker {
			return pick(func(m []policy.Member) int {
				m[0].InFlight++
				return 0
			})
		},
	} {
		if conforms(mutant, 1, story) {
			t.Error(name)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		name, options, want string
	}{
		{"ch_bounded", `{}`, `{"bounded_ceil":1.25,"vnodes":64}`},
		{"ch_bounded", `{"bounded_ceil":1}`, "bounded_ceil is 1, want more than 1, to 1000"},
		{"ch_bounded", `{"bounded_ceil":1001}`, "bounded_ceil is 1001, want more than 1, to 1000"},
		{"ch_bounded", `{"vnodes":0}`, "vnodes is 0, want 1 to 10000"},
		{"ch_rlu", `{}`, `{"bounded_ceil":1.5,"vnodes":3,"popular_pct":0.2,"chain_len":3,"noise_window":1000000000,"noise_std":0.1}`},
		{"ch_rlu", `{"bounded_ceil":0}`, "bounded_ceil is 0, want more than 0, to 1000"},
		{"ch_rlu", `{"vnodes":10001}`, "vnodes is 10001, want 1 to 10000"},
		{"ch_rlu", `{"popular_pct":20}`, "popular_pct is 20, want 0 to 1, a share of the functions"},
		{"ch_rlu", `{"chain_len":-1}`, "chain_len is -1, want 0 to 10000"},
		{"ch_rlu", `{"noise_window":-1}`, "noise_window is -1ns, want 0s to 1h"},
		{"ch_rlu", `{"noise_std":-1}`, "noise_std is -1, want 0 to 1000"},
	} {
		p, err := build(tt.name, tt.options)
		got := ""
		if err != nil {
			got = err.Error()
		} else if text, err := json.Marshal(p); err == nil {
			got = string(text)
		}
		if got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.name, tt.options, got, tt.want)
		}
	}
}
