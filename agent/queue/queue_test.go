package queue_test

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/queue"
)

// order is the order in which a worker starts items that are all present.
func order(rank func(queue.Item) time.Duration, items []queue.Item) []queue.Item {
	return slices.SortedFunc(slices.Values(items), func(a, b queue.Item) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Seq, b.Seq))
	})
}

func items(t *rapid.T) []queue.Item {
	var at time.Duration
	out := make([]queue.Item, rapid.IntRange(2, 7).Draw(t, "n"))
	for i := range out {
		at += time.Duration(rapid.IntRange(0, 5).Draw(t, "gap"))
		d := time.Duration(rapid.IntRange(0, 9).Draw(t, "expected"))
		out[i] = queue.Item{Seq: uint64(i + 1), Arrived: at, Known: true, Exec: d, Expected: d}
	}
	return out
}

func inArrivalOrder(rank func(queue.Item) time.Duration, it []queue.Item) bool {
	return slices.IsSortedFunc(order(rank, it), func(a, b queue.Item) int { return cmp.Compare(a.Seq, b.Seq) })
}

// totalWait on one core, from a moment when all are present.
func totalWait(it []queue.Item) (sum time.Duration) {
	var at time.Duration
	for _, i := range it {
		sum += at
		at += i.Expected
	}
	return sum
}

// leastWait reports whether no exchange of two neighbours shortens the total
// wait, which for one machine means that no order does.
func leastWait(rank func(queue.Item) time.Duration, it []queue.Item) bool {
	got := order(rank, it)
	best := totalWait(got)
	for i := range len(got) - 1 {
		got[i], got[i+1] = got[i+1], got[i]
		if totalWait(got) < best {
			return false
		}
		got[i], got[i+1] = got[i+1], got[i]
	}
	return true
}

// due is when an item should have finished: weight times its length after it arrived.
func due(weight float64, it queue.Item) time.Duration {
	return it.Arrived + time.Duration(weight*float64(it.Expected))
}

// worstLateness on one core, from the moment when the last has arrived.
func worstLateness(weight float64, it []queue.Item) time.Duration {
	worst := time.Duration(math.MinInt64)
	var end time.Duration
	for _, i := range it {
		end = max(end, i.Arrived)
	}
	for _, i := range it {
		end += i.Expected
		worst = max(worst, end-due(weight, i))
	}
	return worst
}

// leastLateness reports whether no other order makes the worst delay past a
// due date smaller. It tries them all.
func leastLateness(weight float64) func(func(queue.Item) time.Duration, []queue.Item) bool {
	return func(rank func(queue.Item) time.Duration, it []queue.Item) bool {
		got, best := worstLateness(weight, order(rank, it)), time.Duration(math.MaxInt64)
		permute(slices.Clone(it), 0, func(other []queue.Item) { best = min(best, worstLateness(weight, other)) })
		return got == best
	}
}

// permute calls visit with every order of it[from:].
func permute(it []queue.Item, from int, visit func([]queue.Item)) {
	if from == len(it) {
		visit(it)
	}
	for i := from; i < len(it); i++ {
		it[from], it[i] = it[i], it[from]
		permute(it, from+1, visit)
		it[from], it[i] = it[i], it[from]
	}
}

// boundedOvertaking reports whether whatever starts before an item, and
// arrived after it, arrived within weight times its length.
func boundedOvertaking(weight float64) func(func(queue.Item) time.Duration, []queue.Item) bool {
	return func(rank func(queue.Item) time.Duration, it []queue.Item) bool {
		got := order(rank, it)
		for i, behind := range got {
			for _, ahead := range got[:i] {
				if ahead.Seq > behind.Seq && ahead.Arrived > due(weight, behind) {
					return false
				}
			}
		}
		return true
	}
}

func TestFCFSKeepsArrivalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if it := items(t); !inArrivalOrder(queue.FCFS{}.Rank, it) {
			t.Fatalf("%v", order(queue.FCFS{}.Rank, it))
		}
	})
}

func TestSJFHasTheLeastTotalWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if it := items(t); !leastWait(queue.SJF{}.Rank, it) {
			t.Fatalf("%v", order(queue.SJF{}.Rank, it))
		}
	})
}

// Weights are quarters and lengths are drawn in fours, so that due dates are whole.
func TestEEDF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := items(t)
		for i := range it {
			it[i].Arrived, it[i].Expected = it[i].Arrived*4, it[i].Expected*4
		}
		weight := float64(rapid.IntRange(0, 12).Draw(t, "quarters")) / 4
		p := queue.EEDF{Weight: weight}
		if !boundedOvertaking(weight)(p.Rank, it) {
			t.Fatalf("with weight %g an item is overtaken by what came long after: %v", weight, order(p.Rank, it))
		}
		if weight == 0 && !inArrivalOrder(p.Rank, it) {
			t.Fatalf("with weight 0 it is not fcfs: %v", order(p.Rank, it))
		}
		if it = it[:min(len(it), 5)]; !leastLateness(weight)(p.Rank, it) {
			t.Fatalf("with weight %g the worst lateness is not the least: %v", weight, order(p.Rank, it))
		}
		for i := range it {
			it[i].Arrived = 0
		}
		if weight > 0 && !leastWait(p.Rank, it) {
			t.Fatalf("what arrives together is not in order of length: %v", order(p.Rank, it))
		}
	})
}

func TestEEDFRank(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		weight float64
		item   queue.Item
		want   time.Duration
	}{
		"arrival and length":        {1, queue.Item{Arrived: 5 * ms, Expected: 90 * ms}, 95 * ms},
		"twice the length":          {2, queue.Item{Arrived: 5 * ms, Expected: 90 * ms}, 185 * ms},
		"no length":                 {0, queue.Item{Arrived: 5 * ms, Expected: 90 * ms}, 5 * ms},
		"never seen":                {1, queue.Item{Arrived: 5 * ms}, 5 * ms},
		"longer than a time can be": {1000, queue.Item{Arrived: 5 * ms, Expected: math.MaxInt64}, 5*ms + 1<<62},
	} {
		if got := (queue.EEDF{Weight: tt.weight}).Rank(tt.item); got != tt.want {
			t.Errorf("%s: rank %v, want %v", name, got, tt.want)
		}
	}
}

// Each property must catch the errors one would make.
func TestPropertiesCatchMutants(t *testing.T) {
	eedf := func(weight float64) func(queue.Item) time.Duration { return queue.EEDF{Weight: weight}.Rank }
	samples := [][]queue.Item{ // all warm: what is expected is the execution
		{{Seq: 1, Arrived: 1, Expected: 5}, {Seq: 2, Arrived: 2, Expected: 9}, {Seq: 3, Arrived: 2, Expected: 1}},
		{{Seq: 1, Arrived: 0, Expected: 8}, {Seq: 2, Arrived: 3, Expected: 1}, {Seq: 3, Arrived: 9, Expected: 4}},
	}
	for _, it := range samples {
		for i := range it {
			it[i].Exec = it[i].Expected
		}
	}
	for name, mutant := range map[string]struct {
		holds func(func(queue.Item) time.Duration, []queue.Item) bool
		rank  func(queue.Item) time.Duration
	}{
		"fcfs as lifo":             {inArrivalOrder, func(i queue.Item) time.Duration { return -i.Arrived }},
		"fcfs as sjf":              {inArrivalOrder, queue.SJF{}.Rank},
		"sjf as ljf":               {leastWait, func(i queue.Item) time.Duration { return -i.Expected }},
		"sjf as earliest deadline": {leastWait, func(i queue.Item) time.Duration { return 10*i.Arrived + i.Expected }},
		"sjf as fcfs":              {leastWait, queue.FCFS{}.Rank},
		"eedf as fcfs":             {leastLateness(1), queue.FCFS{}.Rank},
		"eedf as sjf":              {leastLateness(.25), queue.SJF{}.Rank},
		"eedf as lifo":             {leastLateness(1), func(i queue.Item) time.Duration { return -i.Arrived }},
		"eedf, longest first":      {leastLateness(1), func(i queue.Item) time.Duration { return i.Arrived - i.Expected }},
		"eedf, weight left out":    {leastLateness(.25), eedf(1)},
		"eedf, arrival left out":   {boundedOvertaking(0), queue.SJF{}.Rank},
		"eedf that starves":        {boundedOvertaking(1), func(i queue.Item) time.Duration { return i.Arrived + 100*i.Expected }},
	} {
		if !slices.ContainsFunc(samples, func(it []queue.Item) bool { return !mutant.holds(mutant.rank, it) }) {
			t.Errorf("%s passes", name)
		}
	}
}

func TestBuiltin(t *testing.T) {
	for _, name := range queue.Builtin().Names() {
		if _, err := queue.Builtin().Build(name, func(any) error { return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEEDFOptions(t *testing.T) {
	with := func(weight float64) queue.Policy {
		return queue.EEDF{Weight: weight, Exceptions: queue.Exceptions{BypassLoad: 2}}
	}
	for text, want := range map[string]any{
		`{}`:               with(1),
		`{"weight": 0}`:    with(0),
		`{"weight": 1000}`: with(1000),
		`{"weight": -1}`:   "weight is -1, want 0 to 1000",
		`{"weight": 1001}`: "weight is 1001, want 0 to 1000",
	} {
		var got any
		p, err := queue.Builtin().Build("eedf", func(into any) error { return json.Unmarshal([]byte(text), into) })
		if got = p; err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
