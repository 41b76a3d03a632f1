package measure

import (
	"cmp"
	"slices"
	"sync/atomic"
)

const (
	chunkCalls = 1 << 12 // about 1.5 MB
	maxChunks  = 1 << 16 // 268 million calls
)

// Recorder keeps calls as they end. Add takes no lock, so that nobody who
// sends waits for anybody who records.
type Recorder struct {
	next   atomic.Int64
	chunks [maxChunks]atomic.Pointer[[chunkCalls]Call]
}

// NewRecorder returns a recorder with memory for the calls expected; more may
// come, up to 268 million.
func NewRecorder(expected int) *Recorder {
	r := &Recorder{}
	for i := range min((expected+chunkCalls-1)/chunkCalls, maxChunks) {
		r.chunks[i].Store(new([chunkCalls]Call))
	}
	return r
}

// Add records a call that has ended. It is safe for concurrent use.
func (r *Recorder) Add(c Call) {
	i := r.next.Add(1) - 1
	slot := &r.chunks[i/chunkCalls]
	chunk := slot.Load()
	if chunk == nil {
		slot.CompareAndSwap(nil, new([chunkCalls]Call))
		chunk = slot.Load()
	}
	chunk[i%chunkCalls] = c
}

// Calls returns what was recorded, by Seq. Every Add must have returned.
func (r *Recorder) Calls() []Call {
	n := r.next.Load()
	calls := make([]Call, 0, n)
	for i := int64(0); i < n; i += chunkCalls {
		calls = append(calls, r.chunks[i/chunkCalls].Load()[:min(chunkCalls, n-i)]...)
	}
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.Seq, b.Seq) })
	return calls
}
