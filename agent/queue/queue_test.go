package queue_test

import (
	"cmp"
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
		out[i] = queue.Item{Seq: uint64(i + 1), Arrived: at, Expected: time.Duration(rapid.IntRange(0, 9).Draw(t, "expected"))}
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

// Each property must catch the errors one would make.
func TestPropertiesCatchMutants(t *testing.T) {
	sample := []queue.Item{{Seq: 1, Arrived: 1, Expected: 5}, {Seq: 2, Arrived: 2, Expected: 9}, {Seq: 3, Arrived: 2, Expected: 1}}
	for name, mutant := range map[string]struct {
		holds func(func(queue.Item) time.Duration, []queue.Item) bool
		rank  func(queue.Item) time.Duration
	}{
		"fcfs as lifo":             {inArrivalOrder, func(i queue.Item) time.Duration { return -i.Arrived }},
		"fcfs as sjf":              {inArrivalOrder, queue.SJF{}.Rank},
		"sjf as ljf":               {leastWait, func(i queue.Item) time.Duration { return -i.Expected }},
		"sjf as earliest deadline": {leastWait, func(i queue.Item) time.Duration { return 10*i.Arrived + i.Expected }},
		"sjf as fcfs":              {leastWait, queue.FCFS{}.Rank},
	} {
		if mutant.holds(mutant.rank, sample) {
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
