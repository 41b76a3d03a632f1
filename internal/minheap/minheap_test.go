package minheap_test

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/internal/minheap"
)

// Values come out as a stable sort by key has them, whatever is put in and taken out in between.
func TestOrder(t *testing.T) {
	type item struct{ key, n int64 }
	rapid.Check(t, func(t *rapid.T) {
		places := map[int64]int{}
		h := minheap.Heap[int64]{Moved: func(v int64, place int) { places[v] = place }}
		var model []item
		for n := range rapid.Int64Range(0, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "push or pop") > 0 || len(model) == 0 {
				key := rapid.Int64Range(-5, 5).Draw(t, "key")
				h.Push(key, n)
				model = append(model, item{key, n})
				continue
			}
			if i := rapid.IntRange(-len(model), len(model)-1).Draw(t, "which"); i >= 0 {
				h.Remove(places[model[i].n])
				if places[model[i].n] != -1 {
					t.Fatalf("taken out, and at %d", places[model[i].n])
				}
				model = slices.Delete(model, i, i+1)
				continue
			}
			slices.SortStableFunc(model, func(a, b item) int { return cmp.Compare(a.key, b.key) })
			seen, most := 0, rapid.IntRange(1, len(model)).Draw(t, "most")
			for v := range h.InOrder {
				if v != model[seen].n {
					t.Fatalf("in order, number %d is %d, want %d", seen, v, model[seen].n)
				}
				if seen++; seen == most {
					break
				}
			}
			if seen != most {
				t.Fatalf("%d in order, want %d", seen, most)
			}
			if h.Key() != model[0].key {
				t.Fatalf("lowest key %d, want %d", h.Key(), model[0].key)
			}
			if key, n := h.Pop(); (item{key, n}) != model[0] {
				t.Fatalf("came out %d %d, want %v", key, n, model[0])
			}
			model = model[1:]
		}
		if h.Len() != len(model) {
			t.Fatalf("%d left, want %d", h.Len(), len(model))
		}
	})
}

func BenchmarkPushPop(b *testing.B) {
	var h minheap.Heap[[4]uint64]
	x := uint64(1)
	next := func() int64 { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return int64(x >> 1) }
	for range 1000 {
		h.Push(next(), [4]uint64{})
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Push(next(), [4]uint64{})
		h.Pop()
	}
}
