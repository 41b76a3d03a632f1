package policy_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/balancer/policy"
)

const ms = time.Millisecond

// some returns n idle members of one core.
func some(n int) (members []policy.Member) {
	for i := range n {
		members = append(members, policy.Member{ID: uint64(i + 1), Worker: fmt.Sprint("w", i), MilliCPU: 1000})
	}
	return members
}

func names(n int) (functions []string) {
	for i := range n {
		functions = append(functions, fmt.Sprint("function-", i))
	}
	return functions
}

// homes is the worker of each function where nothing is in flight.
func homes(p policy.Picker, members []policy.Member, functions []string) (workers []string) {
	for _, f := range functions {
		workers = append(workers, members[p.Pick(policy.Request{Function: f}, members)].Worker)
	}
	return workers
}

// moves reports whether a member that joins takes functions from the others and
// moves none between them, and one that leaves gives up its own and no other,
// and one that comes back gets them again.
func moves(p policy.Picker, n int) bool {
	functions := names(300)
	all := some(n + 1)
	few := all[:n]
	before := homes(p, few, functions)
	joined := homes(p, all, functions)
	for i := range functions {
		if joined[i] != before[i] && joined[i] != all[n].Worker {
			return false
		}
	}
	back := slices.Clone(all[1:])
	left := homes(p, back, functions)
	for i := range functions {
		if joined[i] != all[0].Worker && left[i] != joined[i] || left[i] == all[0].Worker {
			return false
		}
	}
	back = append(back, policy.Member{ID: 99, Worker: all[0].Worker, MilliCPU: 1000})
	return slices.Equal(homes(p, back, functions), joined)
}

// consistent are the policies that have a ring, in their defaults.
func consistent(t *testing.T) map[string]policy.Policy {
	t.Helper()
	out := map[string]policy.Policy{}
	for _, name := range []string{"ch_bounded", "ch_rlu"} {
		p, err := build(name, "{}")
		if err != nil {
			t.Fatal(err)
		}
		out[name] = p
	}
	return out
}

func TestAMemberMovesOnlyItsOwnFunctions(t *testing.T) {
	for name, p := range consistent(t) {
		rapid.Check(t, func(t *rapid.T) {
			if !moves(p.New(rapid.Uint64().Draw(t, "seed")), rapid.IntRange(1, 12).Draw(t, "members")) {
				t.Fatalf("%s: a member that joins or leaves moves functions that are not its own", name)
			}
		})
	}
}

// With 64 points a member's share of the ring is 1/n, give or take an eighth
// of that (one standard deviation, 1/√64): so much moves when it joins.
func TestSharesAreEven(t *testing.T) {
	const n, seeds = 10, 50
	functions := names(1000)
	sum, squares := 0.0, 0.0
	for seed := range uint64(seeds) {
		p := policy.CHBounded{Ceil: 1000, VNodes: 64}.New(seed)
		before, after := homes(p, some(n-1), functions), homes(p, some(n), functions)
		moved := 0.0
		for i := range functions {
			if before[i] != after[i] {
				moved += n / float64(len(functions)) // in shares of 1/n
			}
		}
		sum, squares = sum+moved, squares+moved*moved
	}
	mean := sum / seeds
	deviation := math.Sqrt(squares/seeds - mean*mean)
	if math.Abs(mean-1) > 0.1 { // four standard errors, of the ring and of the 1000 functions
		t.Errorf("a member that joins gets %.2f of 1/%d of the functions", mean, n)
	}
	if deviation > 0.25 {
		t.Errorf("shares deviate by %.2f of 1/%d, want about 1/8, and 1/10 by the functions", deviation, n)
	}
}

// The seed alone says where functions are.
func TestPlacement(t *testing.T) {
	functions := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for name, p := range consistent(t) {
		got := homes(p.New(1), some(4), functions)
		mirrored := some(4)
		slices.Reverse(mirrored)
		for i := range mirrored {
			mirrored[i].ID = uint64(i + 1)
		}
		if !slices.Equal(got, homes(p.New(1), mirrored, functions)) {
			t.Errorf("%s: it matters in which order members joined", name)
		}
		if slices.Equal(got, homes(p.New(2), some(4), functions)) {
			t.Errorf("%s: two seeds have one placement", name)
		}
		want := map[string]string{
			"ch_bounded": "[w1 w1 w2 w1 w3 w2 w0 w2]",
			"ch_rlu":     "[w2 w1 w1 w1 w0 w0 w0 w0]",
		}[name]
		if fmt.Sprint(got) != want {
			t.Errorf("%s: seed 1 places %v, as always %s", name, got, want)
		}
	}
}

// preference is the order of members on the ring from a function's place, as a
// picker shows it when the first are full.
func preference(seed uint64, vnodes int, function string, members []policy.Member) (order []int) {
	p := policy.CHBounded{Ceil: 1.001, VNodes: vnodes}.New(seed)
	full := slices.Clone(members)
	for i := range full {
		full[i].InFlight = 0
	}
	for range full {
		i := p.Pick(policy.Request{Function: function}, full)
		full[i].InFlight = 1000
		order = append(order, i)
	}
	return order
}

// scene is members with loads and a function that is called.
type scene struct {
	seed     uint64
	members  []policy.Member
	function string
}

func draw(t *rapid.T) scene {
	s := scene{rapid.Uint64().Draw(t, "seed"), some(rapid.IntRange(1, 7).Draw(t, "members")), rapid.StringN(0, 5, -1).Draw(t, "function")}
	for i := range s.members {
		s.members[i].InFlight = rapid.IntRange(0, 9).Draw(t, "in flight")
		s.members[i].MilliCPU = rapid.SampledFrom([]int64{0, 500, 1000, 4000}).Draw(t, "cpu")
	}
	return s
}

// bounded reports whether the policy picks the first member, in the order of
// the ring of 5 points each, with one more in flight at most ⌈percent/100·m/n⌉.
func bounded(p policy.Policy, percent int, s scene) bool {
	total := 1
	for _, m := range s.members {
		total += m.InFlight
	}
	n := 100 * len(s.members)
	bound := (percent*total + n - 1) / n
	for _, i := range preference(s.seed, 5, s.function, s.members) {
		if s.members[i].InFlight+1 <= bound {
			return i == p.New(s.seed).Pick(policy.Request{Function: s.function}, s.members)
		}
	}
	return false
}

func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percent := rapid.IntRange(101, 300).Draw(t, "percent")
		if !bounded(policy.CHBounded{Ceil: float64(percent) / 100, VNodes: 5}, percent, draw(t)) {
			t.Fatal("not the first member that is below the bound")
		}
	})
}

// 1.12·25/4 is 7, and in floating point a little more.
func TestBoundIsNotRoundedUp(t *testing.T) {
	p, members := policy.CHBounded{Ceil: 1.12, VNodes: 64}.New(1), some(4)
	r := policy.Request{Function: "f"}
	home := p.Pick(r, members)
	for i := range members {
		members[i].InFlight = 6
	}
	members[home].InFlight, members[(home+1)%4].InFlight = 7, 5
	if p.Pick(r, members) == home {
		t.Error("a member with 7 of 25 got one more")
	}
}

// While invocations come and go, no member has more than ⌈c·m/n⌉ just after it
// got one.
func TestBoundedNeverOverfills(t *testing.T) {
	const c = 1.25
	rapid.Check(t, func(t *rapid.T) {
		p := policy.CHBounded{Ceil: c, VNodes: 64}.New(rapid.Uint64().Draw(t, "seed"))
		play(p, events(t), func(_ policy.Request, members []policy.Member, picked int) {
			total := 1
			for _, m := range members {
				total += m.InFlight
			}
			if got, most := members[picked].InFlight+1, math.Ceil(c*float64(total)/float64(len(members))); float64(got) > most {
				t.Fatalf("%d of %d in flight are at one of %d members", got, total, len(members))
			}
		})
	})
}

// A function that is called alone, one call at a time, never leaves its home.
func TestBoundedIsSticky(t *testing.T) {
	p, members := policy.CHBounded{Ceil: 1.25, VNodes: 64}.New(1), some(5)
	home := p.Pick(policy.Request{Function: "f"}, members)
	for range 100 {
		if got := p.Pick(policy.Request{Function: "f"}, members); got != home {
			t.Fatalf("picked %d, home is %d", got, home)
		}
	}
}

// quiet is a CHRLU for which no function is popular.
func quiet(b float64, chain int) policy.CHRLU { return policy.CHRLU{Ceil: b, VNodes: 5, Chain: chain} }

// relaxed reports whether the policy picks the first member of the chain with
// less than b in flight per core, else the least loaded of all, of equal ones the nearest.
func relaxed(p policy.Policy, b float64, chain int, s scene) bool {
	order := preference(s.seed, 5, s.function, s.members)
	load := func(i int) float64 {
		m := s.members[i]
		if m.MilliCPU == 0 {
			m.MilliCPU = 1000
		}
		return float64(m.InFlight) / (float64(m.MilliCPU) / 1000)
	}
	want := order[0]
	for _, i := range order {
		if load(i) < load(want) {
			want = i
		}
	}
	for _, i := range order[:min(chain+1, len(order))] {
		if load(i) < b {
			want = i
			break
		}
	}
	return want == p.New(s.seed).Pick(policy.Request{Function: s.function}, s.members)
}

func TestRLUOfUnpopular(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, chain := rapid.SampledFrom([]float64{.5, 1, 1.5, 4}).Draw(t, "ceil"), rapid.IntRange(0, 8).Draw(t, "chain")
		if !relaxed(quiet(b, chain), b, chain, draw(t)) {
			t.Fatal("not the first of the chain with room, nor the least loaded where none is")
		}
	})
}

// The properties reject what one would get wrong.
func TestRingPropertiesRejectMutants(t *testing.T) {
	scenes := []scene{}
	for seed := range uint64(200) {
		s := scene{seed, some(5), "f"}
		for i := range s.members {
			s.members[i].InFlight = int(seed * 2654435761 >> (3 * i) % 4)
			s.members[i].MilliCPU = int64(i%2+1) * 1000
		}
		scenes = append(scenes, s)
	}
	modulo := made(func(uint64) policy.Picker { return byModulo{} })
	hashed := func(p policy.Policy) func(scene) bool { return func(s scene) bool { return moves(p.New(s.seed), 5) } }
	for name, holds := range map[string]func(scene) bool{
		"moves: hash modulo n":       hashed(modulo),
		"moves: round robin":         hashed(policy.RoundRobin{}),
		"bounded: no bound":          func(s scene) bool { return bounded(policy.CHBounded{Ceil: 1000, VNodes: 5}, 125, s) },
		"bounded: a lower bound":     func(s scene) bool { return bounded(policy.CHBounded{Ceil: 1.1, VNodes: 5}, 150, s) },
		"bounded: another ring":      func(s scene) bool { return bounded(policy.CHBounded{Ceil: 1.25, VNodes: 6}, 125, s) },
		"bounded: least in flight":   func(s scene) bool { return bounded(policy.LeastInFlight{}, 125, s) },
		"bounded: hash modulo n":     func(s scene) bool { return bounded(modulo, 125, s) },
		"relaxed: never leaves home": func(s scene) bool { return relaxed(quiet(1000, 2), 1.5, 2, s) },
		"relaxed: a shorter chain":   func(s scene) bool { return relaxed(quiet(1.5, 1), 1.5, 2, s) },
		"relaxed: a longer chain":    func(s scene) bool { return relaxed(quiet(1.5, 3), 1.5, 2, s) },
		"relaxed: load not per core": func(s scene) bool {
			return relaxed(made(func(seed uint64) policy.Picker { return oneCore{quiet(1.5, 2).New(seed)} }), 1.5, 2, s)
		},
		"relaxed: least in flight": func(s scene) bool { return relaxed(policy.LeastInFlight{}, 1.5, 2, s) },
		"relaxed: bounded":         func(s scene) bool { return relaxed(policy.CHBounded{Ceil: 1.25, VNodes: 5}, 1.5, 2, s) },
	} {
		if !slices.ContainsFunc(scenes, func(s scene) bool { return !holds(s) }) {
			t.Error(name)
		}
	}
}

// byModulo is hashing that is not consistent.
type byModulo struct{}

func (byModulo) Pick(r policy.Request, m []policy.Member) int {
	h := 7
	for _, c := range []byte(r.Function) {
		h = (31*h + int(c)) % 1_000_003
	}
	return h % len(m)
}

// oneCore takes every member for one with a core.
type oneCore struct{ policy.Picker }

func (o oneCore) Pick(r policy.Request, m []policy.Member) int {
	same := slices.Clone(m)
	for i := range same {
		same[i].MilliCPU = 1000
	}
	return o.Picker.Pick(r, same)
}

// TestUnpopularLeaveAHomeThatIsFull is a defect of Ilúvatar turned round.
func TestUnpopularLeaveAHomeThatIsFull(t *testing.T) {
	p, members := quiet(1.5, 3).New(1), some(4)
	r := policy.Request{Function: "f"}
	home := p.Pick(r, members)
	members[home].InFlight = 2
	if got := p.Pick(r, members); got == home {
		t.Error("with 2 in flight on a core it still goes home")
	}
}

// A chain is members and not points of the ring, of which one member has many.
func TestChainIsOfDifferentMembers(t *testing.T) {
	members := some(4)
	for seed := range uint64(50) {
		p := policy.CHRLU{Ceil: 1, VNodes: 64, Chain: 3}.New(seed)
		for i := range members {
			members[i].InFlight = 0
		}
		met := map[int]bool{}
		for range members {
			i := p.Pick(policy.Request{Function: "f"}, members)
			members[i].InFlight, met[i] = 1, true
		}
		if len(met) != len(members) {
			t.Fatalf("seed %d: a chain of 3 after the home meets %d of 4 members", seed, len(met))
		}
	}
}

// popularity tells a function that is popular from one that is not: far more
// of a popular function's calls are expected than its home takes, so it goes to another.
type popularity struct {
	picker policy.Picker
	home   map[string]int
	now    time.Duration
}

func newPopularity(share float64) *popularity {
	return &popularity{policy.CHRLU{Ceil: 2, VNodes: 5, Popular: share, NoiseWindow: time.Hour}.New(1), map[string]int{}, 0}
}

// call reports whether the function was popular when it was called after pass.
func (p *popularity) call(pass time.Duration, function string) bool {
	p.now += pass
	members := some(2)
	r := policy.Request{Now: p.now, Function: function}
	home, ok := p.home[function]
	if !ok {
		home = quiet(1, 0).New(1).Pick(r, members)
		p.home[function] = home
	}
	members[home].InFlight = 1
	return p.picker.Pick(r, members) != home
}

// TestUnmeasuredIsNotPopular is a defect of Ilúvatar turned round.
func TestUnmeasuredIsNotPopular(t *testing.T) {
	p := newPopularity(1)
	if p.call(0, "f") {
		t.Error("a function called for the first time is popular")
	}
	if !p.call(time.Second, "f") {
		t.Error("the only function that is measured is not popular, and all are to be")
	}

	p = newPopularity(0.5)
	for i := range 10 {
		p.call(0, fmt.Sprint("once-", i))
	}
	slow := true
	for range 50 {
		for range 10 {
			p.call(100*ms, "quick")
		}
		slow = p.call(0, "slow")
	}
	if slow || !p.call(100*ms, "quick") {
		t.Error("functions that are not measured are counted: the slower of two that are is among the quicker half")
	}

	p = newPopularity(0.5)
	for range 5 {
		p.call(time.Second, "quick")
	}
	p.call(0, "once")
	p.call(0, "quick")
	if p.call(10*time.Second, "once") {
		t.Error("a function that was called once counts as called all the time")
	}
}

// Of ten functions that are called every 1, 2, … 10 s the share is popular
// that are called most often.
func TestPopularShare(t *testing.T) {
	for share, want := range map[float64]int{0: 0, 0.01: 1, 0.1: 1, 0.2: 2, 0.25: 3, 0.3: 3, 0.5: 5, 1: 10} {
		p := newPopularity(share)
		popular := map[int]bool{}
		for second := range 1000 {
			p.now = time.Duration(second) * time.Second
			for every := 1; every <= 10; every++ {
				if second%every == 0 {
					popular[every] = p.call(0, fmt.Sprint("every-", every))
				}
			}
		}
		for every := 1; every <= 10; every++ {
			if popular[every] != (every <= want) {
				t.Errorf("of the share %g, called every %d s: popular is %v", share, every, popular[every])
			}
		}
	}
}

// What is called no more makes room among the popular.
func TestPopularityPasses(t *testing.T) {
	p := newPopularity(0.5)
	slow := false
	for range 20 {
		for range 10 {
			p.call(100*ms, "quick")
		}
		slow = p.call(0, "slow")
	}
	if slow || !p.call(100*ms, "quick") {
		t.Error("of two the one that is called ten times as often is not the popular one")
	}
	for range 101 { // after an even number popularity would be told anew just then
		slow = p.call(time.Second, "slow")
	}
	if !slow || p.call(0, "quick") {
		t.Error("what is called no more is still the popular one")
	}
}

// The last gap counts a tenth: after many of 1 s one of 10 s makes 1.9 s, one
// of 50 s makes 5.9 s, and another function is called every 2.2 s.
func TestMeanGap(t *testing.T) {
	for longest, want := range map[time.Duration]bool{10 * time.Second: true, 50 * time.Second: false} {
		type call struct {
			at       time.Duration
			function string
		}
		var calls []call
		for n := range 10 {
			calls = append(calls, call{time.Duration(n) * time.Second, "f"})
		}
		end := 9*time.Second + longest
		calls = append(calls, call{end, "f"}, call{end + ms, "f"})
		for at := time.Duration(0); at < end; at += 2200 * ms {
			calls = append(calls, call{at, "g"})
		}
		slices.SortStableFunc(calls, func(a, b call) int { return cmp.Compare(a.at, b.at) })
		p, popular := newPopularity(0.5), false
		for _, c := range calls {
			p.now = c.at
			popular = p.call(0, c.function)
		}
		if popular != want {
			t.Errorf("after a gap of %v: popular is %v", longest, popular)
		}
	}
}

// Two calls at one moment have no gap, of which nothing is expected in no time.
func TestNoGap(t *testing.T) {
	p, members := policy.CHRLU{Ceil: 1.5, VNodes: 5, Popular: 1}.New(1), some(3)
	home := p.Pick(policy.Request{Function: "f"}, members)
	members[home].InFlight = 1
	for range 3 {
		if got := p.Pick(policy.Request{Function: "f"}, members); got != home {
			t.Errorf("picked %d, home is %d", got, home)
		}
	}
}

// What was not called for an hour is called as if for the first time.
func TestForgetting(t *testing.T) {
	for pause, want := range map[time.Duration]bool{59 * time.Minute: true, 61 * time.Minute: false} {
		p := newPopularity(1)
		p.call(0, "f")
		p.call(time.Second, "f")
		p.call(pause, "g")
		p.call(0, "g")
		if got := p.call(0, "f"); got != want {
			t.Errorf("after %v: popular is %v", pause, got)
		}
	}
}

// A popular function stays at home as often as its load, with what is expected
// to come and the noise, is under the bound: Φ((b − L − w/(t·cores)) / σ).
func TestNoise(t *testing.T) {
	const (
		b, sigma, picks = 1.5, 0.2, 4000
		window, gap     = 300 * time.Millisecond, time.Second
		milli           = 2000
	)
	for inFlight := range 5 {
		p := policy.CHRLU{Ceil: b, VNodes: 5, Popular: 1, NoiseWindow: window, NoiseStd: sigma}.New(uint64(inFlight))
		members := some(3)
		r := policy.Request{Function: "f"}
		home := p.Pick(r, members)
		for i := range members {
			members[i].MilliCPU = milli
		}
		members[home].InFlight = inFlight
		stayed := 0
		for range picks {
			r.Now += gap
			if p.Pick(r, members) == home {
				stayed++
			}
		}
		load := float64(inFlight)*1000/milli + window.Seconds()/gap.Seconds()*1000/milli
		want := picks * 0.5 * math.Erfc((load-b)/sigma/math.Sqrt2)
		if inFlight == 0 {
			want = picks // it is the least loaded too, of those the nearest
		}
		if limit := 4 * math.Sqrt(want*(1-want/picks)); math.Abs(float64(stayed)-want) > limit+0.5 {
			t.Errorf("with %d in flight: at home for %d of %d calls, want %.0f ± %.0f", inFlight, stayed, picks, want, limit)
		}
	}
}

// The noise of a function is its own: another function in the mix moves none
// of it, and has another.
func TestNoiseHasAStreamForEachFunction(t *testing.T) {
	members := some(3)
	stays := func(functions ...string) (stays map[string][]bool) {
		p, stays := policy.CHRLU{Ceil: 1, VNodes: 5, Popular: 1, NoiseStd: 1}.New(1), map[string][]bool{}
		for now := range 100 {
			for _, f := range functions {
				r := policy.Request{Now: time.Duration(now) * time.Second, Function: f}
				home := quiet(1, 0).New(1).Pick(r, members)
				loaded := slices.Clone(members)
				loaded[home].InFlight = 1
				stays[f] = append(stays[f], p.Pick(r, loaded) == home)
			}
		}
		return stays
	}
	alone := stays("f")["f"]
	if !slices.Equal(alone, stays("f", "g")["f"]) {
		t.Error("a call of g moves one of f")
	}
	if slices.Equal(alone, stays("g")["g"]) {
		t.Error("the noise of f is that of g")
	}
}
