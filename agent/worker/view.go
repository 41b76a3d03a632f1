package worker

import (
	"maps"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/queue"
)

// Call is an invocation with what its place in the queue was decided by.
type Call struct {
	Invocation InvocationID
	Item       queue.Item
	Rank       time.Duration // by the queue's policy, lowest first
	Bypassed   bool          // it was too short to queue, and has no rank
	Waits      bool          // for its turn
	GPU        bool          // for a GPU alone; it has no rank
}

// Call returns an invocation, false where the worker has none of this id.
func (w *Worker) Call(id InvocationID) (Call, bool) {
	it := w.calls[id]
	if it == nil {
		return Call{}, false
	}
	return it.call(), true
}

func (it *invocation) call() Call {
	c := Call{it.id, it.item, it.rank, it.bypassed, it.state == waiting || it.state == held || it.state == waitingGPU, it.state == waitingGPU}
	if c.GPU {
		c.Item = it.gpu.item
	}
	return c
}

// Placement is a choice of the placement policy, and what it saw.
type Placement struct {
	Invocation InvocationID
	Call       placement.Call
	Where      placement.Compute
}

// Placed returns how an invocation was placed, false unless it is the last that was.
func (w *Worker) Placed(id InvocationID) (Placement, bool) {
	if w.gpus == nil || w.gpus.placed.Invocation != id {
		return Placement{}, false
	}
	return w.gpus.placed, true
}

// Queue returns what waits, in order; that which the limits of functions hold back is not among it.
func (w *Worker) Queue() (all []Call) {
	for it := range w.waiting.InOrder {
		all = append(all, it.call())
	}
	return all
}

// GPUQueue returns what waits for GPUs, in order of arrival.
func (w *Worker) GPUQueue() (all []Call) {
	if w.gpus == nil {
		return nil
	}
	for _, seq := range slices.Sorted(maps.Keys(w.gpus.waiting)) {
		all = append(all, w.gpus.waiting[seq].call())
	}
	return all
}

// Idle is an idle sandbox with what it is kept by.
type Idle struct {
	Sandbox  SandboxID
	Function FunctionID
	Memory   int64 // bytes
	Uses     int64 // invocations it served
	Priority float64
}

// Idle returns the idle sandboxes, in the order in which memory that is short would be taken from them.
func (w *Worker) Idle() (all []Idle) {
	for b := range w.idle.InOrder {
		all = append(all, Idle{b.id, b.function.id, b.function.Memory, b.uses, b.priority})
	}
	return all
}
