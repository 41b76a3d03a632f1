package sim

import (
	"cmp"
	"container/heap"
	"time"
)

// event is something that will happen: do runs at the time at.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// agenda is the future, soonest first; what is due at one time happens in the
// order in which it was planned.
type agenda struct {
	now  time.Duration
	seq  uint64
	heap eventHeap
}

// after plans do for d from now, at once when d is not positive.
func (a *agenda) after(d time.Duration, do func()) { a.at(a.now+max(d, 0), do) }

func (a *agenda) at(at time.Duration, do func()) {
	a.seq++
	heap.Push(&a.heap, event{max(at, a.now), a.seq, do})
}

// step jumps to the next event and lets it happen. It returns false when nothing will.
func (a *agenda) step() bool {
	if len(a.heap) == 0 {
		return false
	}
	e := heap.Pop(&a.heap).(event)
	a.now = e.at
	e.do()
	return true
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }

func (h eventHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = event{}
	*h = (*h)[:last]
	return e
}
