package keepalive

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/internal/minheap"
)

// Use is an execution, for which it takes a sandbox.
type Use struct {
	Function int           // sandboxes of which can serve it
	Memory   int64         // bytes that one holds, the same for all uses of a function
	From, To time.Duration // of the execution
	Again    bool          // its sandbox can serve others after it
}

// Offline is a lower bound of how many of the uses need a sandbox that has served none before, on a worker with so
// many bytes of memory, whatever is kept and whatever goes, by who knows all that will come. Executions stay
// when they were, and the sandboxes that they are in hold memory that others cannot have.
//
// A sandbox that is kept from the end of one use to the beginning of another saves one. Which end and
// which beginning those are does not matter for what can be saved, so the last to end serves the next (an exchange of
// two leaves the same sandboxes at all times), and what is left is to choose as many of these gaps as fit the
// memory at all times. Where all sandboxes are as large, what is dropped whenever too many are kept is the one that is
// needed last (L. A. Belady, A study of replacement algorithms, 1966, doi:10.1147/sj.52.0078; for
// intervals, M. C. Carlisle and E. L. Lloyd, On the k-coloring of intervals, 1995, doi:10.1016/0166-218X(95)80003-M), and
// the bound is met. Else choosing is NP-hard, and the bound is the greatest of two kinds that are not met: those for
// sandboxes of at least a size, as if they had just that; and that for all, as if memory that is free at one time could be used at
// another, the smallest products of memory and time first (PFOO-L of D. S. Berger, N. Beckmann and M. Harchol-Balter,
// Practical bounds on optimal caching with variable object sizes, 2018, section 5, doi:10.1145/3224427).
func Offline(uses []Use, memory int64) int {
	gaps, room := gapsOf(uses, memory)
	dropped := byArea(gaps, room)
	sizes := []int64{}
	for _, g := range gaps {
		sizes = append(sizes, g.memory)
	}
	slices.Sort(sizes)
	for _, size := range slices.Compact(sizes) {
		dropped = max(dropped, byLast(gaps, room, size))
	}
	return len(uses) - len(gaps) + dropped
}

// gap is a time for which a sandbox would have to be kept.
type gap struct {
	from, to time.Duration
	memory   int64
}

// free is the memory that no execution has from a time on until the next.
type free struct {
	at     time.Duration
	memory int64
}

// gapsOf are those between uses, by their beginning, and the memory that is there for them.
func gapsOf(uses []Use, memory int64) (gaps []gap, room []free) {
	byStart := slices.Clone(uses)
	slices.SortStableFunc(byStart, func(a, b Use) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	ended := map[int][]time.Duration{} // when those ended that wait for another use, by function
	var running minheap.Heap[Use]      // by end
	end := func() time.Duration {
		at, u := running.Pop()
		memory += u.Memory
		if u.Again {
			ended[u.Function] = append(ended[u.Function], time.Duration(at))
		}
		return time.Duration(at)
	}
	note := func(at time.Duration) {
		if last := len(room) - 1; last >= 0 && room[last].at == at {
			room[last].memory = memory
			return
		}
		room = append(room, free{at, memory})
	}
	for _, u := range byStart {
		for running.Len() > 0 && time.Duration(running.Key()) <= u.From {
			note(end())
		}
		if idle := ended[u.Function]; len(idle) > 0 {
			gaps = append(gaps, gap{idle[len(idle)-1], u.From, u.Memory})
			ended[u.Function] = idle[:len(idle)-1]
		}
		memory -= u.Memory
		running.Push(int64(u.To), u)
		note(u.From)
	}
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	return gaps, room
}

// byLast is how many gaps of at least a size have to be dropped if all had that size.
func byLast(gaps []gap, room []free, size int64) (dropped int) {
	var kept minheap.Heap[int] // places in places, the last to end first
	var ends minheap.Heap[int] // likewise, the first to end first
	places := []int{}          // in kept, by number of the gap; -1 for one that is not kept
	kept.Moved = func(n, place int) { places[n] = place }
	next := 0
	for _, r := range room {
		for ends.Len() > 0 && time.Duration(ends.Key()) <= r.at {
			if _, n := ends.Pop(); places[n] >= 0 {
				kept.Remove(places[n])
			}
		}
		for ; next < len(gaps) && gaps[next].from <= r.at; next++ {
			places = append(places, -1)
			if g := gaps[next]; g.memory >= size && g.to > r.at {
				kept.Push(-int64(g.to), next)
				ends.Push(int64(g.to), next)
			}
		}
		for int64(kept.Len()) > max(0, r.memory)/size {
			kept.Pop()
			dropped++
		}
	}
	return dropped
}

// byArea is how many gaps have to be dropped if memory could be used at any time.
func byArea(gaps []gap, room []free) int {
	area := 0.0 // byte x ns
	for i, r := range room[:max(0, len(room)-1)] {
		area += float64(float64(max(0, r.memory)) * float64(room[i+1].at-r.at))
	}
	areas := make([]float64, len(gaps))
	for i, g := range gaps {
		areas[i] = float64(g.memory) * float64(g.to-g.from)
	}
	slices.Sort(areas)
	area = math.Nextafter(area*(1+1e-9), math.Inf(1)) // sums of these are rounded
	for i, a := range areas {
		if area -= a; area < 0 {
			return len(areas) - i
		}
	}
	return 0
}
