package placement_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/hcl/catalog"
)

const (
	cpu = placement.CPU
	gpu = placement.GPU
)

func build(t testing.TB, text string) placement.Placer {
	t.Helper()
	name, options, _ := strings.Cut(text, " ")
	p, err := placement.Builtin().Build(name, func(into any) error {
		if options == "" {
			return nil
		}
		return json.Unmarshal([]byte(options), into)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.New(rand.New(rand.NewPCG(1, 2)))
}

// call is of function f, which executes so many seconds on CPU and on a GPU, where so many are waited for.
func call(f int, execCPU, execGPU, waitCPU, waitGPU float64) *placement.Call {
	side := func(exec, wait float64) placement.Side {
		s := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
		return placement.Side{Known: true, Exec: s(exec), Service: s(exec), Wait: s(wait), Warm: 0.5}
	}
	return &placement.Call{Function: f, Interval: time.Second, CPU: side(execCPU, waitCPU), GPU: side(execGPU, waitGPU), Tokens: 4}
}

// rule is where a policy that has seen nothing places a call.
type rule struct {
	policy string
	call   *placement.Call
	want   placement.Compute
}

func rules() []rule {
	waits := func(c *placement.Call, n int) *placement.Call { c.GPU.Waiting = n; return c }
	start := func(c *placement.Call, onCPU, onGPU time.Duration) *placement.Call {
		c.CPU.Service += onCPU
		c.GPU.Service += onGPU
		return c
	}
	return []rule{
		{"always_cpu", call(1, 9, 1, 9, 0), cpu},
		{"always_gpu", call(1, 1, 9, 0, 9), gpu},
		{"all", call(1, 1, 9, 0, 9), placement.Both},
		{"shortest_exec", call(1, 2, 1, 0, 9), gpu},
		{"shortest_exec", call(1, 1, 2, 9, 0), cpu},
		{"est_completion", call(1, 2, 1, 0, 9), cpu},
		{"est_completion", call(1, 1, 2, 9, 0), gpu},
		{"est_completion", start(call(1, 1, 2, 0, 0), 5*time.Second, 0), gpu},
		{"est_completion", start(call(1, 2, 1, 0, 0), 0, 5*time.Second), cpu},
		{"speedup", call(1, 5, 1, 0, 99), gpu},
		{"speedup", call(1, 4, 1, 99, 0), cpu},
		{"est_speedup", call(1, 5, 1, 0, 99), cpu},
		{"est_speedup", call(1, 5, 1, 0, 3), gpu},
		{"est_speedup", call(1, 4, 1, 99, 0), cpu},
		{"running_avg_speedup", call(1, 9, 1, 0, 0), gpu},
		{"running_avg_speedup", call(1, 2, 1, 0, 0), cpu},
		{"queue_adjusted", call(1, 9, 1, 0, 0), gpu},
		{"popular", call(1, 1, 1, 0, 0), gpu},
		{"least_popular", call(1, 1, 1, 0, 0), cpu},
		{"popular_queue", waits(call(1, 1, 1, 0, 0), 2), gpu},
		{"popular_queue", waits(call(1, 1, 1, 0, 0), 3), cpu},
		{"popular_est", call(1, 1, 2, 0, 0), cpu},
		{"popular_est", call(1, 2, 1, 0, 0), gpu},
		{"mice", call(1, 9, 1, 0, 0), cpu},
		{"mice", call(1, 11, 1, 0, 0), gpu},
		{"landlord", call(1, 9, 1, 0, 0), gpu},
		{"landlord_fixed", call(1, 9, 1, 0, 0), gpu},
		{"mwua", call(1, 1, 9, 0, 0), cpu},
	}
}

func TestRules(t *testing.T) {
	for _, tt := range rules() {
		if got := build(t, tt.policy).Place(tt.call); got != tt.want {
			t.Errorf("%s: %v for %+v, want %v", tt.policy, got, *tt.call, tt.want)
		}
	}
}

// A policy in the place of another breaks one of its rules.
func TestRulesCatchMutants(t *testing.T) {
	for policy, mutants := range map[string][]string{
		"always_cpu":     {"always_gpu", "all", "shortest_exec", "est_completion", "speedup"},
		"always_gpu":     {"always_cpu", "all", "shortest_exec", "est_completion", "speedup"},
		"all":            {"always_cpu", "always_gpu", "est_completion"},
		"shortest_exec":  {"est_completion", "speedup", "est_speedup", "always_cpu", "always_gpu", "all"},
		"est_completion": {"shortest_exec", "speedup", "est_speedup", "always_cpu", "always_gpu", "all"},
		"speedup":        {"est_speedup", "shortest_exec", "est_completion", "always_cpu", "always_gpu"},
		"est_speedup":    {"speedup", "shortest_exec", "est_completion", "always_cpu", "always_gpu"},
		"popular":        {"least_popular", "always_cpu"},
		"least_popular":  {"popular", "always_gpu"},
		"popular_queue":  {"popular", "least_popular", "always_cpu", "always_gpu"},
		"popular_est":    {"popular", "least_popular", "always_cpu", "always_gpu"},
		"mice":           {"shortest_exec", "est_completion", "speedup", "always_cpu", "always_gpu"},
	} {
		for _, mutant := range mutants {
			if !slices.ContainsFunc(rules(), func(r rule) bool { return r.policy == policy && build(t, mutant).Place(r.call) != r.want }) {
				t.Errorf("%s obeys all rules of %s", mutant, policy)
			}
		}
	}
}

// The threshold follows the speed-ups that come, which one that stays does not.
func TestRunningAverage(t *testing.T) {
	follows := func(p placement.Placer) bool {
		for _, step := range []struct {
			speedup float64
			want    placement.Compute
		}{{12, gpu}, {9, gpu}, {6, cpu}, {2, cpu}, {1, cpu}, {3, gpu}} { // the mean is 8, 8.5, 7.25, 4.6, 2.8 and 2.9
			if p.Place(call(1, step.speedup, 1, 0, 0)) != step.want {
				return false
			}
		}
		return true
	}
	if !follows(build(t, `running_avg_speedup {"ratio": 4, "weight": 0.5}`)) {
		t.Error("it does not follow")
	}
	for _, mutant := range []string{"est_speedup", "speedup", "queue_adjusted", "est_completion", `running_avg_speedup {"ratio": 4, "weight": 0.1}`} {
		if follows(build(t, mutant)) {
			t.Errorf("%s follows", mutant)
		}
	}
}

// Where a time is not known, those that compare times try there, and none of them is thrown off for later.
func TestNeverSeenIsTried(t *testing.T) {
	for _, name := range placement.Builtin().Names() {
		if slices.Contains([]string{"all", "random", "always_cpu", "always_gpu", "popular", "least_popular", "popular_queue", "popular_est", "top_avg", "ucb1", "mwua"}, name) {
			continue
		}
		p := build(t, name)
		unseen := call(1, 0, 0, 0, 0)
		unseen.CPU.Known, unseen.GPU.Known = false, false
		if got := p.Place(unseen); got != cpu {
			t.Errorf("%s: first on %v", name, got)
		}
		unseen = call(1, 1, 0, 0, 0)
		unseen.GPU.Known = false
		if got := p.Place(unseen); got != gpu {
			t.Errorf("%s: then on %v", name, got)
		}
		p.Left(1)
		fast := call(1, 100, 1, 0, 0)
		if name == "hit_tput" {
			fast.CPU.Warm = 0
		}
		for range 20 {
			if got := p.Place(fast); got != gpu {
				t.Errorf("%s: a hundred times as fast, and on %v", name, got)
				break
			}
			p.Left(1)
		}
	}
}

// The threshold falls while at most one waits, stays with two, and is as at first with three.
func TestQueueAdjusted(t *testing.T) {
	p := build(t, `queue_adjusted {"ratio": 4, "decay": 0.5}`)
	place := func(speedup float64, waiting int) placement.Compute {
		c := call(1, speedup, 1, 0, 0)
		c.GPU.Waiting = waiting
		return p.Place(c)
	}
	for i, step := range []struct {
		speedup float64
		waiting int
		want    placement.Compute
	}{{3, 0, cpu}, {5, 0, gpu}, {3, 2, gpu}, {3, 1, gpu}, {1.5, 3, gpu}, {3, 0, cpu}} {
		if got := place(step.speedup, step.waiting); got != step.want {
			t.Fatalf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestPopular(t *testing.T) {
	for policy, want := range map[string][2]placement.Compute{ // of the one that is called often, and of the other
		`popular {"share": 0.2}`: {gpu, cpu}, `popular_est {"share": 0.2}`: {gpu, cpu}, `popular_queue {"share": 0.2}`: {gpu, cpu}, "top_avg": {gpu, cpu},
		`least_popular {"share": 0.2}`: {cpu, gpu},
		// Mutants: what is not by share places them alike.
		"est_completion": {gpu, gpu}, "always_cpu": {cpu, cpu}, `popular {"share": 0.05}`: {gpu, gpu},
	} {
		p, got := build(t, policy), [2]placement.Compute{}
		for i := range 200 { // function 1 has nine of ten calls
			f, interval := 1, time.Second
			if i%10 == 9 {
				f, interval = 2, 9*time.Second
			}
			c := call(f, 2, 1, 0, 0)
			c.Interval = interval
			got[f-1] = p.Place(c)
		}
		if got != want {
			t.Errorf("%s: %v, want %v", policy, got, want)
		}
	}
}

// The draw has the chances that the rates say, and not those of the other device.
func TestHitTput(t *testing.T) {
	share := func(p placement.Placer) float64 {
		n, c := 0, call(1, 4, 1, 0, 0)
		c.CPU.Warm, c.GPU.Warm = 0.8, 0.4 // rates 0.2 and 0.4
		for range 30_000 {
			if p.Place(c) == gpu {
				n++
			}
		}
		return float64(n) / 30_000
	}
	if got := share(build(t, "hit_tput")); math.Abs(got-2.0/3) > 0.01 {
		t.Errorf("GPUs have a share of %g, want 2/3", got)
	}
	for name, mutant := range map[string]placement.Placer{"random": build(t, "random"), "est_completion": build(t, "est_completion"), "the other device": other{build(t, "hit_tput")}} {
		if got := share(mutant); math.Abs(got-2.0/3) <= 0.01 {
			t.Errorf("%s gives GPUs a share of %g", name, got)
		}
	}
}

// Mice moves its size until both are given the same.
func TestMiceBalances(t *testing.T) {
	for policy, want := range map[string]bool{
		`mice {"size": 10000000000, "step": 100000000, "every": 10}`: true, `mice {"size": 0, "step": 100000000, "every": 10}`: true,
		// Mutants: a size that stays, or none.
		`mice {"size": 10000000000, "step": 0}`: false, `mice {"size": 0, "step": 0}`: false, "shortest_exec": false, "always_cpu": false,
	} {
		p, random := build(t, policy), rand.New(rand.NewPCG(5, 6))
		var work [2]float64
		for i := range 20_000 {
			exec := random.Float64() * 10
			if on := p.Place(call(1, exec, exec/2, 0, 0)); i >= 10_000 {
				work[on] += map[placement.Compute]float64{cpu: exec, gpu: exec / 2}[on]
			}
		}
		if ratio := work[cpu] / work[gpu]; (ratio > 0.5 && ratio < 2) != want {
			t.Errorf("%s: work of %v", policy, work)
		}
	}
}

// bandit has a Placer choose between two devices with responses of 0 or 1 s, which are 0 so often, and returns its regret.
func bandit(p placement.Placer, chance [2]float64, rounds int) (regret float64) {
	random := rand.New(rand.NewPCG(7, 8))
	best := max(chance[0], chance[1])
	for i := range rounds {
		c := call(1, 1, 1, 0, 0)
		c.Now = time.Duration(i)
		on := p.Place(c)
		regret += best - chance[on]
		took := time.Second
		if random.Float64() < chance[on] {
			took = 0
		}
		p.Ended(placement.Outcome{Function: 1, On: on, E2E: took})
	}
	return regret
}

// other has the device that was not chosen.
type other struct{ placement.Placer }

func (o other) Place(c *placement.Call) placement.Compute { return 1 - o.Placer.Place(c) }

func TestUCB1Regret(t *testing.T) {
	for _, chance := range [][2]float64{{0.9, 0.6}, {0.3, 0.8}} {
		const rounds = 20_000
		delta := math.Abs(chance[0] - chance[1])
		bound := 8*math.Log(rounds)/delta + (1+math.Pi*math.Pi/3)*delta
		if got := bandit(build(t, `ucb1 {"scale": 1000000000}`), chance, rounds); got > bound {
			t.Errorf("%v: regret %g, bound %g", chance, got, bound)
		}
		for name, mutant := range map[string]placement.Placer{
			"the other device": other{build(t, `ucb1 {"scale": 1000000000}`)}, "random": build(t, "random"),
		} {
			if got := bandit(mutant, chance, rounds); got <= bound {
				t.Errorf("%s has a regret of %g, which is in the bound", name, got)
			}
		}
	}
}

// Counters are of each function: one that is new is tried on both.
func TestUCB1TriesForEachFunction(t *testing.T) {
	p := build(t, "ucb1")
	bandit(p, [2]float64{1, 0}, 1000)
	seen := map[placement.Compute]bool{}
	for range 2 {
		seen[p.Place(call(2, 1, 1, 0, 0))] = true
	}
	if len(seen) != 2 {
		t.Errorf("a function that is new is tried on %v alone", seen)
	}
}

// The weights go to the device with less, whichever, and the choice changes seldom.
func TestMWUA(t *testing.T) {
	for fast := range 2 {
		p, wrong, changes, last := build(t, "mwua"), 0, 0, cpu
		for i := range 2000 {
			on := p.Place(call(1, 1, 1, 0, 0))
			if on != last {
				last = on
				changes++
			}
			took := 100 * time.Millisecond
			if int(on) != fast {
				took = time.Second
				if i > 200 {
					wrong++
				}
			}
			p.Ended(placement.Outcome{Function: 1, On: on, E2E: took})
		}
		if wrong > 20 || changes > 40 {
			t.Errorf("device %d is faster: %d times on the other, %d changes", fast, wrong, changes)
		}
	}
}

// enters is how often a function comes into the set, of calls one after the other.
func enters(p placement.Placer, calls []int) (n int) {
	for _, f := range calls {
		if !slices.Contains(placement.Residents(p), f) {
			n++
		}
		if p.Place(call(f, 2, 1, 0, 0)) == gpu {
			p.Left(f)
		}
	}
	return n
}

// fewest is how often with a set of a size, where the one that is called again last leaves.
func fewest(calls []int, size int) (n int) {
	var in []int
	for i, f := range calls {
		if slices.Contains(in, f) {
			continue
		}
		if n++; len(in) == size {
			next := func(f int) int {
				if at := slices.Index(calls[i:], f); at >= 0 {
					return at
				}
				return len(calls)
			}
			farthest := slices.MaxFunc(in, func(a, b int) int { return next(a) - next(b) })
			in = slices.DeleteFunc(in, func(f int) bool { return f == farthest })
		}
		in = append(in, f)
	}
	return n
}

// competitive is the bound of Sleator and Tarjan: k/(k − h + 1) of the fewest of h, plus h, with k in the set.
func competitive(p placement.Placer, calls []int, k int) bool {
	n := enters(p, calls)
	for h := 1; h <= k; h++ {
		if float64(n) > float64(k)/float64(k-h+1)*float64(fewest(calls, h))+float64(h) {
			return false
		}
	}
	return true
}

func TestLRUIsCompetitive(t *testing.T) {
	lru := func() placement.Placer { return build(t, `lru {"size": 3000000000}`) }
	rapid.Check(t, func(rt *rapid.T) {
		if !competitive(lru(), rapid.SliceOfN(rapid.IntRange(1, 6), 1, 80).Draw(rt, "calls"), 3) {
			rt.Fatal("more come in than the bound")
		}
	})
	var calls []int // after which LFU has two that are not called any more stay
	for range 10 {
		calls = append(calls, 1, 2)
	}
	for range 30 {
		calls = append(calls, 3, 4)
	}
	if !competitive(lru(), calls, 3) || competitive(build(t, `lfu {"size": 3000000000}`), calls, 3) {
		t.Error("LFU, which is not competitive, passes, or LRU does not")
	}
}

// LFU has the most called in its set.
func TestLFUKeepsTheMostCalled(t *testing.T) {
	p := build(t, `lfu {"size": 2000000000}`)
	enters(p, []int{1, 1, 1, 2, 2, 3, 4, 3, 5})
	if got := placement.Residents(p); !slices.Equal(got, []int{1, 5}) {
		t.Errorf("%v are in, want 1 and the last", got)
	}
}

// Who has the least credit leaves, and nobody who has more than what the one that comes would have saved.
func TestLandlord(t *testing.T) {
	p := build(t, `landlord_fixed {"size": 2000000000}`)
	place := func(f int, saves float64) placement.Compute {
		on := p.Place(call(f, 1+saves, 1, 0, 0))
		if on == gpu {
			p.Left(f)
		}
		return on
	}
	for i, step := range []struct {
		f     int
		saves float64
		want  placement.Compute
		in    []int
	}{
		{1, 5, gpu, []int{1}},
		{2, 3, gpu, []int{1, 2}},
		{3, 2, cpu, []int{1, 2}},  // 2 has credit 3
		{3, 2, gpu, []int{1, 3}},  // it has lost 4 by now
		{2, 1, cpu, []int{1, 3}},  // 3 has credit 2
		{1, -2, gpu, []int{1, 3}}, // it loses, and has credit for that
		{1, -9, cpu, []int{1, 3}}, // and not for that
	} {
		if got := place(step.f, step.saves); got != step.want || !slices.Equal(placement.Residents(p), step.in) {
			t.Fatalf("step %d: %v with %v in, want %v with %v", i, got, placement.Residents(p), step.want, step.in)
		}
	}
}

// Rent is paid by work in the queue; where there is none, nobody pays and nobody leaves.
func TestRent(t *testing.T) {
	p := build(t, `landlord_fixed {"size": 2000000000}`)
	for f := 1; f <= 2; f++ {
		p.Place(call(f, 4, 1, 0, 0)) // credit 3
		p.Left(f)
	}
	if p.Place(call(3, 3, 1, 0, 0)); !slices.Equal(placement.Residents(p), []int{1, 2}) {
		t.Errorf("nothing is queued, and %v are in", placement.Residents(p))
	}
	p.Place(call(1, 4, 1, 0, 0)) // it has credit 6 and something in the queue
	for range 3 {
		p.Place(call(4, 1.5, 1, 0, 0)) // rent 0.5
	}
	if !slices.Contains(placement.Residents(p), 1) {
		t.Error("it left with credit")
	}
	for f := 5; f < 9; f++ {
		p.Place(call(f, 3, 1, 0, 0)) // rent 2
	}
	if slices.Contains(placement.Residents(p), 1) {
		t.Error("it is in without credit")
	}
}

// The set is that of the greatest savings by second, as many as are allowed and can run.
func TestGreedyWeights(t *testing.T) {
	for allow, want := range map[string]string{
		"top_quarter": "111222222222", "top_third": "111122222222", "fixed": "111111122222", "load_limit": "112222222222", "queue_tput": "111122222222", "incremental": "111122222222",
	} {
		options, _ := json.Marshal(map[string]any{"allow": allow, "assign": true, "functions": 7, "load": 1.5})
		p := build(t, "greedy_weights "+string(options))
		var got strings.Builder
		for round := range 2 {
			for f := range 12 { // the first saves most
				c := call(f+1, float64(20-f), 1, 0, 0)
				if c.Now = time.Duration(round) * 10 * time.Second; round == 1 && f > 0 {
					c.Now += time.Second
				}
				on := p.Place(c)
				if round == 1 {
					got.WriteByte("21"[on])
				}
			}
		}
		if got.String() != want {
			t.Errorf("%s: %s, want %s", allow, got.String(), want)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, text := range []string{
		`speedup {"ratio": -1}`, `running_avg_speedup {"weight": 0}`, `queue_adjusted {"decay": 2}`, `ucb1 {"scale": 0}`, `mwua {"rate": 1}`, `popular {"share": 2}`,
		`popular_queue {"waiting": -1}`, `mice {"every": 0}`, `landlord {"size": 0}`, `greedy_weights {"allow": "all"}`, `greedy_weights {"every": 0}`, `greedy_weights {"load": 0}`,
	} {
		name, options, _ := strings.Cut(text, " ")
		if err := placement.Builtin().Check(name, func(into any) error { return json.Unmarshal([]byte(options), into) }); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestEveryPolicyDescribesItself(t *testing.T) {
	for _, e := range catalog.Of(placement.Builtin()) {
		if e.Doc == "" || len(e.Aliases) != 1 {
			t.Errorf("%s says nothing of itself, or has other names %v", e.Name, e.Aliases)
		}
		for _, o := range e.Options {
			if o.Doc == "" {
				t.Errorf("%s: option %+v", e.Name, o)
			}
		}
	}
}
