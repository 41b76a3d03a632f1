package gpuqueue_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/hcl/catalog"
)

const ms = time.Millisecond

func build(t testing.TB, name string, tokens int, set func(*gpuqueue.MQFQ)) gpuqueue.Queue {
	t.Helper()
	p, err := gpuqueue.Builtin().Build(name, func(into any) error {
		if q, ok := into.(*gpuqueue.MQFQ); ok && set != nil {
			set(q)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.New(tokens, rand.New(rand.NewPCG(1, 2)))
}

func cold(int) bool { return false }

// item is the seq-th, of function a, b or c, that takes so long.
func item(seq uint64, function byte, exec time.Duration) queue.Item {
	return queue.Item{Seq: seq, Function: int(function-'a') + 1, Name: string(function), Arrived: time.Duration(seq), Known: true, Exec: exec, Expected: exec}
}

// drain takes all, batches apart by spaces.
func drain(q gpuqueue.Queue) string {
	var out []string
	for {
		f, ok := q.Choose(1000, cold)
		if !ok {
			return strings.Join(out, " ")
		}
		var b strings.Builder
		for _, it := range q.Take(1000, f, nil) {
			if it.Function != f {
				return fmt.Sprintf("%s was chosen and %s taken", string(rune('a'+f-1)), it.Name)
			}
			fmt.Fprintf(&b, "%s%d", it.Name, it.Seq)
			q.Done(1000, it)
		}
		out = append(out, b.String())
	}
}

func TestOrders(t *testing.T) {
	items := []queue.Item{item(1, 'a', 5*ms), item(2, 'a', 5*ms), item(3, 'b', ms), item(4, 'c', 9*ms), item(5, 'a', 5*ms), item(6, 'b', ms)}
	for name, want := range map[string]string{
		"fcfs":         "a1a2 b3 c4 a5 b6",
		"oldest_batch": "a1a2a5 b3b6 c4",
		"sized_batch":  "a1a2a5 b3b6 c4",
		"sjf":          "b3 b6 a1 a2 a5 c4",
		"eedf":         "b3 b6 a1 a2 a5 c4",
		"paella":       "b3 b6 a1 a2 a5 c4",
		"mqfq":         "a1 b3 c4 b6 a2 a5",
	} {
		q := build(t, name, 1, nil)
		for _, it := range items {
			q.Push(it.Arrived, it)
		}
		if got := drain(q); got != want || q.Len() != 0 || q.Work() != 0 {
			t.Errorf("%s: %s, want %s; %d left with %v", name, got, want, q.Len(), q.Work())
		}
	}
	q := gpuqueue.SizedBatch{Batch: 2}.New(1, nil)
	for _, it := range items {
		q.Push(0, it)
	}
	if got, want := drain(q), "a1a2 b3b6 c4 a5"; got != want {
		t.Errorf("batches of at most 2: %s, want %s", got, want)
	}
}

// What is removed is not taken, and its work is not waited for.
func TestRemove(t *testing.T) {
	for _, name := range gpuqueue.Builtin().Names() {
		q := build(t, name, 2, nil)
		for i := range uint64(6) {
			q.Push(0, item(i+1, 'a'+byte(i%2), ms))
		}
		q.Remove(item(1, 'a', ms))
		q.Remove(item(4, 'b', ms))
		if q.Len() != 4 || q.Work() != 4*ms {
			t.Errorf("%s: %d wait with %v, want 4 with 4ms", name, q.Len(), q.Work())
		}
		if got := drain(q); strings.Contains(got, "a1") || strings.Contains(got, "b4") || q.Work() != 0 {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// The predicted wait is that of all that waits by what runs at a time: a start is part of it where there is one.
func TestWait(t *testing.T) {
	for _, name := range []string{"fcfs", "sjf", "eedf", "oldest_batch", "sized_batch", "paella"} {
		q := build(t, name, 2, nil)
		first := item(1, 'a', time.Second)
		first.Expected = 1500 * ms
		q.Push(0, first)
		q.Push(0, item(2, 'a', time.Second))
		q.Push(0, item(3, 'b', 500*ms))
		if got := q.Wait(0, item(4, 'c', ms)); got != 1500*ms {
			t.Errorf("%s: %v, want 1.5s", name, got)
		}
	}
}

// Paella is SJF, and yet a long one is passed over no more than about n·threshold times.
func TestPaellaStarvesNobody(t *testing.T) {
	passed := func(p gpuqueue.Policy) int {
		q := p.New(1, nil)
		q.Push(0, item(1, 'a', time.Second))
		for n := range 1000 {
			q.Push(0, item(uint64(n)+2, 'b', ms))
			f, _ := q.Choose(0, cold)
			if q.Take(0, f, nil); f == 1 {
				return n
			}
		}
		return 1000
	}
	if got := passed(gpuqueue.Paella{Threshold: 10}); got < 10 || got > 2*10+2 {
		t.Errorf("passed over %d times, want 10 to 22", got)
	}
	if got := passed(gpuqueue.SJF{}); got != 1000 {
		t.Errorf("the check says that SJF lets it go after %d", got)
	}
}

// The flow of the checks of Ilúvatar: two items of 5; after one was taken its start tag is 5, which is no more than 15 ahead, and
// more than 4 ahead where another waits from 0 on.
func TestMQFQThrottles(t *testing.T) {
	for overrun, throttled := range map[time.Duration]bool{15: false, 4: true} {
		q := build(t, "mqfq", 1, func(p *gpuqueue.MQFQ) { p.Overrun, p.Service, p.Choose = overrun, 5, "longest" })
		for i := range uint64(3) {
			q.Push(0, item(i+1, 'a', 5))
		}
		q.Push(0, item(9, 'b', 5))
		q.Take(0, 1, nil)
		if f, _ := q.Choose(0, cold); (f == 2) != throttled { // a has more waiting
			t.Errorf("overrun %d: function %d is chosen, throttled %v", overrun, f, throttled)
		}
	}
}

// choosers are the rules by which MQFQ chooses among those that are active, with what each chooses below.
var choosers = map[string]string{
	"warm": "b", "sticky": "a", "longest": "c", "wait": "b", "finish": "a", "select_out": "a", "select_service": "a", "select_len": "a", "select_out_len": "a",
}

func TestMQFQChooses(t *testing.T) {
	for choose, want := range choosers {
		q := build(t, "mqfq", 1, func(p *gpuqueue.MQFQ) { p.Choose = choose })
		seq := uint64(0)
		push := func(function byte, n int, exec time.Duration) {
			for range n {
				seq++
				q.Push(0, item(seq, function, exec))
			}
		}
		push('a', 1, ms)
		push('b', 1, 20*ms)
		push('c', 3, 2*ms)
		f, _ := q.Choose(0, func(function int) bool { return function == 2 })
		if got := string(rune('a' + f - 1)); got != want {
			t.Errorf("%s chooses %s, want %s", choose, got, want)
		}
	}
	// With two that run at a time select_* chooses among the two of the least finish tags.
	for choose, want := range map[string]string{"select_out": "b", "select_len": "b", "select_out_len": "b", "select_service": "b"} {
		q := build(t, "mqfq", 2, func(p *gpuqueue.MQFQ) { p.Choose = choose })
		q.Push(0, item(1, 'a', ms))
		q.Push(0, item(2, 'a', ms))
		q.Take(5, 1, nil)
		q.Push(5, item(3, 'b', ms))
		q.Push(5, item(4, 'b', ms))
		q.Push(5, item(5, 'c', time.Second))
		if f, _ := q.Choose(5, cold); string(rune('a'+f-1)) != want {
			t.Errorf("%s of two chooses %d, want %s", choose, f, want)
		}
	}
}

// Sticky stays with a function while it may.
func TestMQFQSticky(t *testing.T) {
	q := build(t, "mqfq", 1, func(p *gpuqueue.MQFQ) { p.Choose, p.Overrun = "sticky", 2*ms })
	for i := range uint64(12) {
		q.Push(0, item(i+1, 'a'+byte(i%2), ms))
	}
	if got, want := drain(q), "a1 a3 a5 b2 b4 b6 b8 b10 b12 a7 a9 a11"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A function of which nothing waits stays active for the time it may, and the mean of those times is a mean.
func TestMQFQWarm(t *testing.T) {
	q := build(t, "mqfq", 1, func(p *gpuqueue.MQFQ) { p.TTL = 10 })
	now := time.Duration(0)
	for i := range uint64(50) {
		it := item(i+1, 'a', 5)
		q.Push(now, it)
		q.Take(now, 1, nil)
		now += 5
		q.Done(now, it)
		now += 10
		q.Choose(now, cold) // active for 15 each time
		now += 1000
	}
	w := q.(gpuqueue.Warmer)
	if got := w.Warm(1, 15); got < 0.63 || got > 0.64 {
		t.Errorf("1 − 1/e is %g", got)
	}
	if w.Warm(2, 15) != 0 || w.Warm(1, 0) != 0 {
		t.Error("what was never seen is warm")
	}
}

// Waits are predicted: by the replay exactly, where one runs at a time, in the order of the least finish tag.
func TestMQFQReplays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := gpuqueue.MQFQ{Overrun: time.Duration(rapid.IntRange(1, 50).Draw(t, "overrun")), Choose: "finish", Estimate: "replay"}.New(1, nil)
		exec := func(function byte) time.Duration { return 1 + 2*time.Duration(function-'a') }
		n := rapid.IntRange(0, 12).Draw(t, "waiting")
		one := func(seq int) queue.Item {
			f := byte(rapid.IntRange('a', 'd').Draw(t, "function"))
			return item(uint64(seq), f, exec(f))
		}
		for i := range n {
			q.Push(0, one(i+1))
		}
		last := one(n + 1)
		want := q.Wait(0, last)
		q.Push(0, last)
		for now := time.Duration(0); ; {
			f, _ := q.Choose(now, cold)
			it := q.Take(now, f, nil)[0]
			if it.Seq == last.Seq {
				if now != want {
					t.Fatalf("it waited for %d, predicted was %d", now, want)
				}
				return
			}
			now += it.Exec
			q.Done(now, it)
		}
	})
}

func TestMQFQEstimates(t *testing.T) {
	for estimate, want := range map[string]time.Duration{"sum": 30, "flow": 20, "load": 120, "replay": 30, "regression": 0, "function_regression": 0, "fallback_regression": 0} {
		q := build(t, "mqfq", 1, func(p *gpuqueue.MQFQ) { p.Estimate, p.Choose = estimate, "longest" })
		q.Push(0, item(1, 'b', 30))
		q.Take(0, 2, nil) // it runs
		q.Push(0, item(2, 'a', 10))
		q.Push(0, item(3, 'a', 10))
		q.Push(0, item(4, 'c', 10))
		if got := q.Wait(0, item(5, 'a', 10)); got != want {
			t.Errorf("%s: %d, want %d", estimate, got, want)
		}
		for now, seq := time.Duration(100), uint64(10); seq < 60; seq, now = seq+1, now+100 { // each waits for 7
			it := item(seq, 'a', 10)
			it.Arrived = now
			q.Push(now, it)
			for q.Len() > 0 {
				f, _ := q.Choose(now+7, cold)
				for _, it := range q.Take(now+7, f, nil) {
					q.Done(now+10, it)
				}
			}
		}
		if got := q.Wait(0, item(99, 'a', 10)); strings.HasSuffix(estimate, "regression") && (got < 5 || got > 15) {
			t.Errorf("%s: %d after all waited for 7", estimate, got)
		}
	}
}

// served has functions a and b, with a weight of b, both wait all the time, and returns by how much what they were given
// differs at most by the end of any time, and how much that may be.
func served(t *rapid.T, choose string, made func(p gpuqueue.MQFQ) gpuqueue.Queue) (differs, bound float64) {
	weight := float64(rapid.IntRange(1, 4).Draw(t, "weight"))
	overrun := time.Duration(rapid.IntRange(1, 40).Draw(t, "overrun"))
	tokens := rapid.IntRange(1, 3).Draw(t, "tokens")
	q := made(gpuqueue.MQFQ{Overrun: overrun, Choose: choose, Weights: map[string]float64{"b": weight}, Estimate: "sum"})
	exec := map[byte]time.Duration{'a': time.Duration(rapid.IntRange(1, 20).Draw(t, "a")), 'b': time.Duration(rapid.IntRange(1, 20).Draw(t, "b"))}
	for i := range uint64(300) {
		q.Push(0, item(2*i+1, 'a', exec['a']))
		q.Push(0, item(2*i+2, 'b', exec['b']))
	}
	free := make([]time.Duration, tokens)
	var diff, least, most float64
	var left [2]int
	for left[0] < 290 && left[1] < 290 {
		at := slices.Index(free, slices.Min(free))
		f, _ := q.Choose(free[at], func(function int) bool { return function == 1 })
		it := q.Take(free[at], f, nil)[0]
		left[f-1]++
		free[at] += it.Exec
		q.Done(free[at], it)
		if f == 1 {
			diff += float64(it.Exec)
		} else {
			diff -= float64(it.Exec) / weight
		}
		least, most = min(least, diff), max(most, diff)
	}
	// Tags are whole nanoseconds: b's are less than its service by up to one for each item.
	return most - least, 2*(float64(overrun)+max(float64(exec['a']), float64(exec['b'])/weight)) + 300
}

func fair(t *rapid.T, made func(p gpuqueue.MQFQ) gpuqueue.Queue) bool {
	choose := rapid.SampledFrom([]string{"warm", "sticky", "longest", "wait", "random", "finish", "select_rand", "select_out", "select_service", "select_len", "select_out_len"}).Draw(t, "choose")
	differs, bound := served(t, choose, made)
	return differs <= bound
}

func fresh(p gpuqueue.MQFQ) gpuqueue.Queue { return p.New(2, rand.New(rand.NewPCG(3, 4))) }

// Whatever is chosen among those that are active, two that wait are given the same by their weights but for the bound.
func TestMQFQIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if !fair(t, fresh) {
			t.Fatal("the difference is over the bound of MQFQ")
		}
	})
}

func TestFairnessCatchesMutants(t *testing.T) {
	for name, mutant := range map[string]func(p gpuqueue.MQFQ) gpuqueue.Queue{
		"no throttle": func(p gpuqueue.MQFQ) gpuqueue.Queue { p.Overrun = time.Hour; return fresh(p) },
		"no weights":  func(p gpuqueue.MQFQ) gpuqueue.Queue { p.Weights = nil; return fresh(p) },
		"by calls":    func(p gpuqueue.MQFQ) gpuqueue.Queue { p.Service = 1; return fresh(p) },
		"sjf":         func(gpuqueue.MQFQ) gpuqueue.Queue { return gpuqueue.SJF{}.New(1, nil) },
	} {
		caught := false
		gen := rapid.Custom(func(t *rapid.T) bool { return fair(t, mutant) })
		for seed := 0; seed < 200 && !caught; seed++ {
			caught = !gen.Example(seed)
		}
		if !caught {
			t.Errorf("%s passes", name)
		}
	}
}

// Among those that all wait, SJF has the least mean time to the end of any order.
func TestSJFIsOptimal(t *testing.T) {
	mean := func(q gpuqueue.Queue, items []queue.Item) (sum time.Duration) {
		for _, it := range items {
			q.Push(0, it)
		}
		for now := time.Duration(0); q.Len() > 0; {
			f, _ := q.Choose(0, cold)
			for _, it := range q.Take(0, f, nil) {
				now += it.Exec
				sum += now
			}
		}
		return sum
	}
	better := false
	rapid.Check(t, func(t *rapid.T) {
		var items []queue.Item
		for i := range rapid.IntRange(1, 8).Draw(t, "items") {
			items = append(items, item(uint64(i+1), byte(rapid.IntRange('a', 'd').Draw(t, "function")), time.Duration(rapid.IntRange(1, 9).Draw(t, "exec"))))
		}
		least := mean(gpuqueue.SJF{}.New(1, nil), items)
		for _, p := range []gpuqueue.Policy{gpuqueue.FCFS{}, gpuqueue.OldestBatch{}, gpuqueue.Paella{Threshold: 1}} {
			other := mean(p.New(1, nil), items)
			if better = better || other > least; other < least {
				t.Fatalf("%T: %d, SJF %d", p, other, least)
			}
		}
	})
	if !better {
		t.Error("no order is worse: the check shows nothing")
	}
}

func TestBadOptions(t *testing.T) {
	for _, set := range []func(*gpuqueue.MQFQ){
		func(p *gpuqueue.MQFQ) { p.Overrun = 0 }, func(p *gpuqueue.MQFQ) { p.TTL = -1 }, func(p *gpuqueue.MQFQ) { p.Choose = "shortest" },
		func(p *gpuqueue.MQFQ) { p.Estimate = "V3" }, func(p *gpuqueue.MQFQ) { p.Flows = -1 }, func(p *gpuqueue.MQFQ) { p.Weights = map[string]float64{"a": 0} },
	} {
		if err := gpuqueue.Builtin().Check("mqfq", func(into any) error { set(into.(*gpuqueue.MQFQ)); return nil }); err == nil {
			t.Error("an option that is wrong is taken")
		}
	}
}

func TestEveryPolicyDescribesItself(t *testing.T) {
	for _, e := range catalog.Of(gpuqueue.Builtin()) {
		if e.Doc == "" || e.Source == "" && e.Name != "fcfs" {
			t.Errorf("%s says nothing of itself", e.Name)
		}
		for _, o := range e.Options {
			if o.Doc == "" {
				t.Errorf("%s: option %+v", e.Name, o)
			}
		}
	}
}
