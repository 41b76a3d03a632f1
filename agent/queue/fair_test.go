package queue_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/hcl/catalog"
)

// visit is a call of a function that takes so long.
type visit struct {
	at       time.Duration
	function int
	exec     time.Duration
}

// span is when a visit was served.
type span struct {
	visit
	begin, end time.Duration
}

// serve has servers take visits, which are in order of arrival, in the order that o gives.
func serve(o queue.Order, servers int, visits []visit) []span {
	type waiting struct {
		visit
		item queue.Item
		rank time.Duration
	}
	var queued []waiting
	free := make([]time.Duration, servers)
	var out []span
	arrive := func(until time.Duration) {
		for len(visits) > 0 && visits[0].at <= until {
			v := visits[0]
			visits = visits[1:]
			item := queue.Item{Seq: uint64(len(out) + len(queued) + 1), Function: v.function, Name: string(rune('a' + v.function)), Arrived: v.at, Known: true, Exec: v.exec, Expected: v.exec}
			queued = append(queued, waiting{v, item, o.Rank(item)})
		}
	}
	for len(visits)+len(queued) > 0 {
		next := slices.Index(free, slices.Min(free))
		now := free[next]
		if arrive(now); len(queued) == 0 {
			now = visits[0].at
			arrive(now)
		}
		best := 0
		for i, w := range queued {
			if w.rank < queued[best].rank || w.rank == queued[best].rank && w.item.Seq < queued[best].item.Seq {
				best = i
			}
		}
		w := queued[best]
		queued = slices.Delete(queued, best, best+1)
		o.Leave(w.item, w.rank, true)
		free[next] = now + w.exec
		out = append(out, span{w.visit, now, free[next]})
	}
	return out
}

// unfair is the most by which the service of two functions, each divided by its weight, differs over a time in
// which both have something waiting at every moment. Service counts when it begins.
func unfair(spans []span, a, b int, weight [2]float64) float64 {
	// Both wait from the time when the later of them first arrives to the time when the first of them has its last begun.
	first, last := map[int]time.Duration{}, map[int]time.Duration{}
	for _, s := range spans {
		if at, ok := first[s.function]; !ok || s.at < at {
			first[s.function] = s.at
		}
		last[s.function] = max(last[s.function], s.begin)
	}
	from, to := max(first[a], first[b]), min(last[a], last[b])
	var sums []float64 // the difference after each begin
	diff := 0.0
	sums = append(sums, 0)
	for _, s := range slices.SortedFunc(slices.Values(spans), func(x, y span) int { return int(x.begin - y.begin) }) {
		if s.begin < from || s.begin > to {
			continue
		}
		switch s.function {
		case a:
			diff += float64(s.exec) / weight[0]
		case b:
			diff -= float64(s.exec) / weight[1]
		default:
			continue
		}
		sums = append(sums, diff)
	}
	return slices.Max(sums) - slices.Min(sums)
}

// backlog is two functions with so much work that both wait for all of the time; the second comes later.
func backlog(t *rapid.T) (visits []visit, longest [2]time.Duration) {
	later := time.Duration(rapid.IntRange(0, 300).Draw(t, "later")) * time.Millisecond
	for f := range 2 {
		n, most := rapid.IntRange(20, 60).Draw(t, "calls"), rapid.IntRange(1, 20).Draw(t, "most")
		for range n {
			exec := time.Duration(rapid.IntRange(1, most).Draw(t, "exec")) * time.Millisecond
			longest[f] = max(longest[f], exec)
			visits = append(visits, visit{time.Duration(f) * later, f + 1, exec})
		}
	}
	slices.SortStableFunc(visits, func(a, b visit) int { return int(a.at - b.at) })
	return visits, longest
}

// fairMQFQ is the bound of SFQ(D).
func fairMQFQ(t *rapid.T, o func(weights map[string]float64) queue.Order) bool {
	visits, longest := backlog(t)
	servers := rapid.IntRange(1, 4).Draw(t, "servers")
	weight := [2]float64{1, float64(rapid.IntRange(1, 5).Draw(t, "weight"))}
	spans := serve(o(map[string]float64{"c": weight[1]}), servers, visits)
	bound := float64(servers+1) * (float64(longest[0])/weight[0] + float64(longest[1])/weight[1] + 1000) // tags are whole nanoseconds
	return unfair(spans, 1, 2, weight) <= bound
}

func TestMQFQIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if !fairMQFQ(t, func(w map[string]float64) queue.Order { return queue.MQFQ{Weights: w, Unknown: 1}.New() }) {
			t.Fatal("the difference of what two functions were served is over the bound of SFQ(D)")
		}
	})
}

func fairDRR(t *rapid.T, quantum time.Duration, o queue.Order) bool {
	visits, longest := backlog(t)
	spans := serve(o, 1, visits)
	// Shreedhar and Varghese, theorem 2: twice the longest and the quantum; service counts as it begins, which is one more.
	bound := 3*float64(max(longest[0], longest[1])) + 2*float64(quantum)
	return unfair(spans, 1, 2, [2]float64{1, 1}) <= bound
}

func TestDRRIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quantum := time.Duration(rapid.IntRange(1, 30).Draw(t, "quantum")) * time.Millisecond
		if !fairDRR(t, quantum, queue.DRR{Quantum: quantum, Unknown: 1}.New()) {
			t.Fatal("the difference of what two functions were served is over the bound of DRR")
		}
	})
}

// noClock is MQFQ whose virtual time stands still.
type noClock struct{ queue.Order }

func (noClock) Leave(queue.Item, time.Duration, bool) {}

// ranked is an Order of a rank.
type ranked func(queue.Item) time.Duration

func (r ranked) Rank(it queue.Item) time.Duration    { return r(it) }
func (ranked) Leave(queue.Item, time.Duration, bool) {}

// The bounds catch the errors one would make.
func TestFairnessCatchesMutants(t *testing.T) {
	const tries = 200
	for name, mutant := range map[string]func(*rapid.T) bool{
		"mqfq without virtual time": func(t *rapid.T) bool {
			return fairMQFQ(t, func(w map[string]float64) queue.Order { return noClock{queue.MQFQ{Weights: w, Unknown: 1}.New()} })
		},
		"mqfq without weights": func(t *rapid.T) bool {
			return fairMQFQ(t, func(map[string]float64) queue.Order { return queue.MQFQ{Unknown: 1}.New() })
		},
		"mqfq as fcfs": func(t *rapid.T) bool {
			return fairMQFQ(t, func(map[string]float64) queue.Order { return queue.FCFS{}.New() })
		},
		"mqfq as sjf": func(t *rapid.T) bool {
			return fairMQFQ(t, func(map[string]float64) queue.Order { return queue.SJF{}.New() })
		},
		"drr as fcfs": func(t *rapid.T) bool { return fairDRR(t, time.Millisecond, queue.FCFS{}.New()) },
		"drr by calls, not time": func(t *rapid.T) bool {
			n := map[int]int{}
			return fairDRR(t, time.Millisecond, ranked(func(it queue.Item) time.Duration { n[it.Function]++; return time.Duration(n[it.Function]) }))
		},
	} {
		caught := false
		gen := rapid.Custom(func(t *rapid.T) bool { return mutant(t) })
		for seed := 0; seed < tries && !caught; seed++ {
			caught = !gen.Example(seed)
		}
		if !caught {
			t.Errorf("%s passes", name)
		}
	}
}

// What is called most seldom goes first, and what nothing is known of before that.
func TestRare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := items(t)
		for i := range it {
			it[i].Interval = time.Duration(rapid.IntRange(0, 9).Draw(t, "interval"))
		}
		known := math.MaxInt64
		for i, item := range order(queue.Rare{}.Rank, it) {
			switch {
			case item.Interval == 0 && known != math.MaxInt64:
				t.Fatalf("%d is unknown and comes after one that is known", i)
			case item.Interval > 0 && int(item.Interval) > known:
				t.Fatalf("%d is rarer than the one before", i)
			case item.Interval > 0:
				known = int(item.Interval)
			}
		}
	})
}

// Nothing waits for what arrives so much later than it that it has aged past any difference.
func TestAgeingBoundsOvertaking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := float64(rapid.IntRange(1, 4).Draw(t, "rate"))
		o := queue.Ageing{Rate: rate}
		it := items(t)
		for name, rank := range map[string]func(queue.Item) time.Duration{"sjf": queue.SJF{Ageing: o}.Rank, "cold_priority": queue.ColdPriority{Ageing: o}.Rank} {
			got := order(rank, it)
			for i, behind := range got {
				for _, ahead := range got[:i] {
					if float64(ahead.Arrived-behind.Arrived)*rate > float64(behind.Exec) {
						t.Fatalf("%s: %+v starts before %+v", name, ahead, behind)
					}
				}
			}
		}
	})
}

// An item that waits and is expected to end after its deadline is refused, where that is asked for.
func TestEDF(t *testing.T) {
	item := queue.Item{Arrived: 10, Known: true, Exec: 5, Expected: 8, Timeout: 20}
	for _, tt := range []struct {
		p     queue.EDF
		item  queue.Item
		rank  time.Duration
		waits time.Duration // the longest that is admitted; -1 is any
	}{
		{queue.EDF{}, item, 30, -1},
		{queue.EDF{Admit: true}, item, 30, 12},
		{queue.EDF{Admit: true, Slack: 3}, item, 25, 7},
		{queue.EDF{Admit: true, Slack: 3}, queue.Item{Arrived: 10, Timeout: 20}, 30, 20},
		{queue.EDF{Admit: true}, queue.Item{Arrived: 10, Expected: 8}, 10 + 1<<62, -1},
	} {
		o := tt.p.New()
		if got := o.Rank(tt.item); got != tt.rank {
			t.Errorf("%+v ranks %+v as %d, want %d", tt.p, tt.item, got, tt.rank)
		}
		admits := o.(queue.Admission).Admit
		if tt.waits < 0 {
			if !admits(tt.item, time.Hour) {
				t.Errorf("%+v refuses %+v", tt.p, tt.item)
			}
		} else if !admits(tt.item, tt.waits) || admits(tt.item, tt.waits+1) {
			t.Errorf("%+v: %+v may not wait for %d, or for more", tt.p, tt.item, tt.waits)
		}
	}
}

func TestEveryPolicyDescribesItself(t *testing.T) {
	for _, e := range catalog.Of(queue.Builtin()) {
		if e.Doc == "" || e.Source == "" && e.Name != "fcfs" {
			t.Errorf("%s says nothing of itself", e.Name)
		}
		for _, o := range e.Options {
			if o.Doc == "" || o.Default == "" {
				t.Errorf("%s: option %+v", e.Name, o)
			}
		}
	}
}
