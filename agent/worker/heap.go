package worker

import "container/heap"

// order is a heap of *T by key, then by sequence number. Each element knows
// its position, so that any of them can be removed.
type order[T any] struct{ h ranked[T] }

type entry[T any] struct {
	key  int64
	seq  uint64
	item *T
	pos  *int // where the element keeps its position; -1 when it is in no heap
}

func (o *order[T]) len() int { return len(o.h) }

func (o *order[T]) min() *T { return o.h[0].item }

func (o *order[T]) minKey() int64 { return o.h[0].key }

func (o *order[T]) push(key int64, seq uint64, item *T, pos *int) {
	heap.Push(&o.h, entry[T]{key, seq, item, pos})
}

// remove takes out the element at *pos, if it is in the heap.
func (o *order[T]) remove(pos *int) {
	if *pos >= 0 {
		heap.Remove(&o.h, *pos)
	}
}

type ranked[T any] []entry[T]

func (h ranked[T]) Len() int { return len(h) }

func (h ranked[T]) Less(i, j int) bool {
	if h[i].key != h[j].key {
		return h[i].key < h[j].key
	}
	return h[i].seq < h[j].seq
}

func (h ranked[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].pos, *h[j].pos = i, j
}

func (h *ranked[T]) Push(x any) {
	e := x.(entry[T])
	*e.pos = len(*h)
	*h = append(*h, e)
}

func (h *ranked[T]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = entry[T]{}
	*h = (*h)[:last]
	*e.pos = -1
	return e
}
