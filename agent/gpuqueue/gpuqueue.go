// Package gpuqueue orders the invocations that wait for the GPUs of one worker.
//
// A queue of a GPU chooses a function rather than an invocation: what waits of one function can run one
// after the other in the same sandbox, a batch, whose memory is on the device. Queues are pure: they read no clock
// and own no global chance, so the live agent and the simulator run this very code.
package gpuqueue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/hcl/registry"
	"github.com/ainur-faas/ainur/internal/minheap"
)

// Policy is a way to order, with its options. It has no state.
type Policy interface {
	// New returns the Queue of one worker, on whose GPUs so many invocations run at a time. Random is
	// the source of what the policy draws.
	New(tokens int, random *rand.Rand) Queue
}

// Queue holds what waits. Choose, then Take, starts something; items that are Taken are Done later.
type Queue interface {
	Push(now time.Duration, it queue.Item)
	// Choose is the function of which something starts next, false where nothing waits. Warm says
	// whether an idle sandbox of a function is on a device that is free.
	Choose(now time.Duration, warm func(function int) bool) (function int, ok bool)
	// Take takes out a batch of the function that was chosen, appended to dst: it runs in one sandbox, in this order.
	Take(now time.Duration, function int, dst []queue.Item) []queue.Item
	// Remove takes out one item, whose caller has gone or which starts elsewhere.
	Remove(it queue.Item)
	// Done is told of each item that was taken and has ended, in whatever way.
	Done(now time.Duration, it queue.Item)
	// Wait predicts how long an item that came now would wait.
	Wait(now time.Duration, it queue.Item) time.Duration
	// Work is the predicted time on a device of all that waits.
	Work() time.Duration
	Len() int
}

// Warmer is a Queue that knows how likely a sandbox of a function, which is called with a mean time between, is still on
// a device when it is called again.
type Warmer interface {
	Warm(function int, interval time.Duration) float64
}

// Builtin lists the GPU queue policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("gpu_queue policy")
	add(r, "fcfs", registry.About{Doc: "in order of arrival; what comes in a row of one function is a batch"}, FCFS{})
	add(r, "sjf", registry.About{
		Doc:    "least predicted time on the device first, start-up included where no sandbox is idle",
		Source: "W. E. Smith, Various optimizers for single-stage production, 1956, doi:10.1002/nav.3800030106",
	}, SJF{})
	add(r, "eedf", registry.About{
		Doc:    "earliest effective deadline first: arrival plus weighted predicted time",
		Source: "A. Fuerst et al., Ilúvatar, HPDC 2023, section 5, doi:10.1145/3588195.3592995",
	}, EEDF{Weight: 1})
	add(r, "oldest_batch", registry.About{
		Doc:    "the function whose oldest has waited for longest, with all that waits of it as a batch",
		Source: "D. Crankshaw et al., Clipper, NSDI 2017, section 4.3 (batches of one model)",
	}, OldestBatch{})
	add(r, "sized_batch", registry.About{
		Doc:    "like oldest_batch, with a largest batch: nobody else waits for longer than that takes",
		Source: "D. Crankshaw et al., Clipper, NSDI 2017, section 4.3 (batches of one model)",
	}, SizedBatch{Batch: 10})
	add(r, "paella", registry.About{
		Doc:    "shortest predicted execution first, but for a function that was passed over for too long, by deficits",
		Source: "K. K. W. Ng et al., Paella, SOSP 2023, section 5, doi:10.1145/3600006.3613163",
	}, Paella{Threshold: 25})
	add(r, "mqfq", registry.About{
		Doc:    "fair queueing between functions, which may run ahead by a bound: among those that have not, whose sandbox is on the device",
		Source: "M. Hedayati et al., Multi-queue fair queueing, ATC 2019; A. Fuerst et al., MQFQ-Sticky, 2025, arXiv:2507.08954",
	}, mqfqDefaults)
	return r
}

// add registers a policy whose options are those of P, by default as in defaults.
func add[P interface {
	Policy
	check() error
}](r *registry.Registry[Policy], name string, about registry.About, defaults P) {
	r.Add(name, about, func(decode registry.Decoder) (Policy, error) {
		p := defaults
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
}

// SJF, shortest job first, by the predicted time on the device: queue.ColdPriority on a GPU.
type SJF struct {
	queue.Ageing
	queue.Guess
}

// New returns an empty queue.
func (p SJF) New(tokens int, _ *rand.Rand) Queue {
	return newRanked(queue.ColdPriority{Ageing: p.Ageing, Guess: p.Guess}.New(), tokens)
}

func (p SJF) check() error { return errors.Join(p.Ageing.Check(), p.Guess.Check()) }

// EEDF, earliest effective deadline first, is queue.EEDF on a GPU.
type EEDF struct {
	Weight float64 `hcl:"weight,optional" json:"weight" doc:"of the predicted time, 0 to 1000"`
	queue.Guess
}

// New returns an empty queue.
func (p EEDF) New(tokens int, _ *rand.Rand) Queue {
	return newRanked(queue.EEDF{Weight: p.Weight, Guess: p.Guess}.New(), tokens)
}

func (p EEDF) check() error {
	if !(p.Weight >= 0 && p.Weight <= 1000) {
		return fmt.Errorf("weight is %g, want 0 to 1000", p.Weight)
	}
	return p.Guess.Check()
}

// ranked is a Queue by a rank at arrival; a batch is one item.
type ranked struct {
	order  queue.Order
	heap   minheap.Heap[*entry]
	seq    map[uint64]*entry
	free   []*entry
	work   time.Duration
	tokens int
}

type entry struct {
	item  queue.Item
	place int
}

func newRanked(o queue.Order, tokens int) *ranked {
	q := &ranked{order: o, seq: map[uint64]*entry{}, tokens: tokens}
	q.heap.Moved = func(e *entry, place int) { e.place = place }
	return q
}

func (q *ranked) Push(_ time.Duration, it queue.Item) {
	e := &entry{}
	if last := len(q.free) - 1; last >= 0 {
		e, q.free = q.free[last], q.free[:last]
	}
	e.item = it
	q.seq[it.Seq] = e
	q.work += it.Expected
	q.heap.PushAs(int64(q.order.Rank(it)), it.Seq, e)
}

func (q *ranked) Choose(time.Duration, func(int) bool) (function int, ok bool) {
	if q.heap.Len() == 0 {
		return 0, false
	}
	return q.heap.Value().item.Function, true
}

func (q *ranked) Take(_ time.Duration, _ int, dst []queue.Item) []queue.Item {
	it := q.heap.Value().item
	q.Remove(it)
	return append(dst, it)
}

func (q *ranked) Remove(it queue.Item) {
	e := q.seq[it.Seq]
	delete(q.seq, it.Seq)
	q.heap.Remove(e.place)
	q.work -= e.item.Expected
	q.free = append(q.free, e)
}

func (q *ranked) Done(time.Duration, queue.Item) {}
func (q *ranked) Work() time.Duration            { return q.work }
func (q *ranked) Len() int                       { return q.heap.Len() }

func (q *ranked) Wait(time.Duration, queue.Item) time.Duration {
	return q.work / time.Duration(q.tokens)
}

// lines are what waits of each function, in order of arrival.
type lines struct {
	of     []line // by function - 1
	len    int
	work   time.Duration
	tokens int
}

type line struct{ items []queue.Item }

func (l *lines) Push(_ time.Duration, it queue.Item) {
	for len(l.of) < it.Function {
		l.of = append(l.of, line{})
	}
	f := &l.of[it.Function-1]
	f.items = append(f.items, it)
	l.len++
	l.work += it.Expected
}

// front is the function whose first has the least of a key, then came first; 0 where none waits.
func (l *lines) front(key func(first queue.Item) time.Duration) (function int) {
	for i := range l.of {
		if len(l.of[i].items) == 0 {
			continue
		}
		if function == 0 {
			function = i + 1
			continue
		}
		first, best := l.of[i].items[0], l.of[function-1].items[0]
		if a, b := key(first), key(best); a < b || a == b && first.Seq < best.Seq {
			function = i + 1
		}
	}
	return function
}

// oldest is the function whose first came first, of all but one.
func (l *lines) oldest(but int) (function int) {
	for i := range l.of {
		if i+1 == but || len(l.of[i].items) == 0 {
			continue
		}
		if function == 0 || l.of[i].items[0].Seq < l.of[function-1].items[0].Seq {
			function = i + 1
		}
	}
	return function
}

// take takes the first n of a function.
func (l *lines) take(function, n int, dst []queue.Item) []queue.Item {
	f := &l.of[function-1]
	for _, it := range f.items[:n] {
		dst = append(dst, it)
		l.work -= it.Expected
	}
	f.items = append(f.items[:0], f.items[n:]...)
	l.len -= n
	return dst
}

func (l *lines) Remove(it queue.Item) {
	f := &l.of[it.Function-1]
	for i := range f.items {
		if f.items[i].Seq == it.Seq {
			l.work -= f.items[i].Expected
			f.items = append(f.items[:i], f.items[i+1:]...)
			l.len--
			return
		}
	}
}

func (l *lines) Done(time.Duration, queue.Item) {}
func (l *lines) Work() time.Duration            { return l.work }
func (l *lines) Len() int                       { return l.len }

func (l *lines) Wait(time.Duration, queue.Item) time.Duration {
	return l.work / time.Duration(l.tokens)
}

// batches is oldest first, with batches.
type batches struct {
	lines
	most  int  // in a batch; 0 = all
	inRow bool // a batch is what came in a row
}

func (q *batches) Choose(time.Duration, func(int) bool) (function int, ok bool) {
	function = q.oldest(0)
	return function, function > 0
}

func (q *batches) Take(_ time.Duration, function int, dst []queue.Item) []queue.Item {
	items := q.of[function-1].items
	n := len(items)
	if q.most > 0 {
		n = min(n, q.most)
	}
	if other := q.oldest(function); q.inRow && other > 0 {
		next := q.of[other-1].items[0].Seq
		n = 0
		for n < len(items) && items[n].Seq < next {
			n++
		}
	}
	return q.take(function, n, dst)
}

// FCFS starts batches in order of arrival: what arrived of one function with nothing of another between.
type FCFS struct{}

// New returns an empty queue.
func (FCFS) New(tokens int, _ *rand.Rand) Queue {
	return &batches{lines: lines{tokens: tokens}, inRow: true}
}

func (FCFS) check() error { return nil }

// OldestBatch starts all that waits of the function of which something has waited for longest.
type OldestBatch struct{}

// New returns an empty queue.
func (OldestBatch) New(tokens int, _ *rand.Rand) Queue { return &batches{lines: lines{tokens: tokens}} }

func (OldestBatch) check() error { return nil }

// SizedBatch is OldestBatch with a bound on the batch.
type SizedBatch struct {
	Batch int `hcl:"batch,optional" json:"batch" doc:"most invocations that run one after the other, 1 to 1000"`
}

// New returns an empty queue.
func (p SizedBatch) New(tokens int, _ *rand.Rand) Queue {
	return &batches{lines: lines{tokens: tokens}, most: p.Batch}
}

func (p SizedBatch) check() error {
	if p.Batch < 1 || p.Batch > 1000 {
		return fmt.Errorf("batch is %d, want 1 to 1000", p.Batch)
	}
	return nil
}

// Paella starts the shortest predicted execution, unless a function has been passed over for too long. With
// n functions that wait, each dispatch
//
//	d ← d − (1 − 1/n)    of the function that is served
//	d ← d + 1/n          of each other
//
// and the function of the greatest deficit d goes first where that is Threshold or more, so none waits for more than
// about n·Threshold + n dispatches. (Ilúvatar counts in n, and gives deficits to, functions of which nothing waits, so that
// those called seldom go first whatever the rest wait, and takes any over the threshold rather than the greatest.)
type Paella struct {
	Threshold float64 `hcl:"threshold,optional" json:"threshold" doc:"deficit, in dispatches, from which a function goes first, over 0, to 1e6"`
}

func (p Paella) check() error {
	if !(p.Threshold > 0 && p.Threshold <= 1e6) {
		return fmt.Errorf("threshold is %g, want more than 0, to 1e6", p.Threshold)
	}
	return nil
}

// New returns an empty queue.
func (p Paella) New(tokens int, _ *rand.Rand) Queue {
	return &paella{lines: lines{tokens: tokens}, threshold: p.Threshold}
}

type paella struct {
	lines
	threshold float64
	deficits  []float64 // by function - 1
}

func (q *paella) Push(now time.Duration, it queue.Item) {
	q.lines.Push(now, it)
	for len(q.deficits) < len(q.of) {
		q.deficits = append(q.deficits, 0)
	}
}

func (q *paella) Choose(time.Duration, func(int) bool) (function int, ok bool) {
	most := q.threshold
	for i, d := range q.deficits {
		if len(q.of[i].items) > 0 && (d > most || d == most && function == 0) {
			function, most = i+1, d
		}
	}
	if function == 0 {
		function = q.front(func(first queue.Item) time.Duration { return first.Exec })
	}
	return function, function > 0
}

func (q *paella) Take(_ time.Duration, function int, dst []queue.Item) []queue.Item {
	waiting := 0
	for i := range q.of {
		if len(q.of[i].items) > 0 {
			waiting++
		}
	}
	dst = q.take(function, 1, dst)
	for i := range q.of {
		switch share := 1 / float64(waiting); {
		case i == function-1 && len(q.of[i].items) > 0:
			q.deficits[i] -= 1 - share
		case len(q.of[i].items) > 0:
			q.deficits[i] += share
		default:
			q.deficits[i] = 0
		}
	}
	return dst
}
