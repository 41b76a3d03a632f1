// Package minheap is a priority queue of values, by a key and then by the order
// in which they were put in.
package minheap

// Heap holds values of T. The zero Heap is empty. Push, Pop and Remove take time
// logarithmic in its length and allocate nothing but room for more.
type Heap[T any] struct {
	// Moved, where it is set, is told the place of a value whenever it has another: what
	// Remove takes it out with. It is -1 for one that has been taken out.
	Moved func(v T, place int)

	entries []entry[T]
	pushed  uint64
	next    []int // of InOrder: places whose parents it has yielded, the first to come out first
}

type entry[T any] struct {
	key   int64
	order uint64
	value T
}

// before reports whether e comes out before other.
func (e *entry[T]) before(other *entry[T]) bool {
	return e.key < other.key || e.key == other.key && e.order < other.order
}

// degree is the number of children of a node: shallower than a binary heap, and
// the children of one are next to each other in memory.
const degree = 4

// Len is the number of values.
func (h *Heap[T]) Len() int { return len(h.entries) }

// Key is the lowest key. The heap must not be empty.
func (h *Heap[T]) Key() int64 { return h.entries[0].key }

// Value is the one that comes first. The heap must not be empty.
func (h *Heap[T]) Value() T { return h.entries[0].value }

// Push adds v, which comes out after those of a lower key, and after those of
// the same key that are there.
func (h *Heap[T]) Push(key int64, v T) {
	h.pushed++
	h.PushAs(key, h.pushed, v)
}

// PushAs adds v, which comes out after those of a lower key, and of the same key after those of a
// lower order. It is for a heap without Push.
func (h *Heap[T]) PushAs(key int64, order uint64, v T) {
	e := entry[T]{key, order, v}
	h.entries = append(h.entries, e)
	h.rise(len(h.entries)-1, e)
}

// InOrder yields the values as they would come out, and leaves them in: the first n in time n·log(n).
// The heap must not change meanwhile.
func (h *Heap[T]) InOrder(yield func(T) bool) {
	h.next = h.next[:0]
	if len(h.entries) > 0 {
		h.next = append(h.next, 0)
	}
	for len(h.next) > 0 {
		place := h.next[0]
		last := len(h.next) - 1
		h.next[0] = h.next[last]
		h.next = h.next[:last]
		h.settle()
		if !yield(h.entries[place].value) {
			return
		}
		for child := degree*place + 1; child < min(degree*place+1+degree, len(h.entries)); child++ {
			h.next = append(h.next, child)
			for i := len(h.next) - 1; i > 0 && h.sooner(i, (i-1)/2); i = (i - 1) / 2 {
				h.next[i], h.next[(i-1)/2] = h.next[(i-1)/2], h.next[i]
			}
		}
	}
}

// settle moves the first of next, a binary heap but for that, to where it belongs.
func (h *Heap[T]) settle() {
	for i := 0; 2*i+1 < len(h.next); {
		child := 2*i + 1
		if child+1 < len(h.next) && h.sooner(child+1, child) {
			child++
		}
		if !h.sooner(child, i) {
			return
		}
		h.next[i], h.next[child] = h.next[child], h.next[i]
		i = child
	}
}

func (h *Heap[T]) sooner(i, other int) bool {
	return h.entries[h.next[i]].before(&h.entries[h.next[other]])
}

// Pop takes out the value that comes first. The heap must not be empty.
func (h *Heap[T]) Pop() (key int64, v T) {
	first := h.entries[0]
	h.Remove(0)
	return first.key, first.value
}

// Remove takes out the value at a place, which must be that of one.
func (h *Heap[T]) Remove(place int) {
	if h.Moved != nil {
		h.Moved(h.entries[place].value, -1)
	}
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = entry[T]{} // lets what it points to go
	h.entries = h.entries[:last]
	switch {
	case place == last:
	case place > 0 && e.before(&h.entries[(place-1)/degree]):
		h.rise(place, e)
	default:
		h.sink(place, e)
	}
}

// rise puts e, for which there is room at i, there or above.
func (h *Heap[T]) rise(i int, e entry[T]) {
	for i > 0 {
		parent := (i - 1) / degree
		if !e.before(&h.entries[parent]) {
			break
		}
		h.put(i, h.entries[parent])
		i = parent
	}
	h.put(i, e)
}

// sink puts e, for which there is room at i, there or below.
func (h *Heap[T]) sink(i int, e entry[T]) {
	for {
		child := degree*i + 1
		if child >= len(h.entries) {
			break
		}
		least := child
		for other := child + 1; other < min(child+degree, len(h.entries)); other++ {
			if h.entries[other].before(&h.entries[least]) {
				least = other
			}
		}
		if !h.entries[least].before(&e) {
			break
		}
		h.put(i, h.entries[least])
		i = least
	}
	h.put(i, e)
}

func (h *Heap[T]) put(i int, e entry[T]) {
	h.entries[i] = e
	if h.Moved != nil {
		h.Moved(e.value, i)
	}
}
