// Package worker is the scheduler of one worker: it decides which invocation
// runs in which sandbox, which sandboxes are made, and which go.
//
// It is sans-IO. Events and the time come in, actions come out; a driver, live
// (agent/live) or simulated (orchestrator/sim), carries them out and reports
// back as events. Equal calls give equal actions.
package worker

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/queue"
)

// FunctionID, InvocationID and SandboxID name things in events and actions.
// The worker numbers functions and sandboxes from 1; the driver chooses invocation ids.
type (
	FunctionID   int
	InvocationID uint64
	SandboxID    uint64
)

// Config is the capacity of a worker and its policies.
type Config struct {
	MilliCPU  int64 // 1000 = one core
	Memory    int64 // bytes for sandboxes
	Queue     queue.Policy
	KeepAlive keepalive.Policy
}

// Function is what the scheduler knows of a function.
type Function struct {
	Name     string
	MilliCPU int64 // held by an invocation from its dequeueing to its end
	Memory   int64 // bytes held by a sandbox from its creation to its removal
}

// Worker is the state of one worker. It is not safe for concurrent use.
type Worker struct {
	config    Config
	functions []*function // by FunctionID - 1
	calls     map[InvocationID]*invocation
	sandboxes map[SandboxID]*sandbox
	waiting   order[invocation] // by rank of the queue policy
	idle      order[sandbox]    // by keep-alive priority
	expiry    order[sandbox]    // by time of expiry
	made      SandboxID         // ids given out
	seq       uint64

	cpuUsed  int64 // of invocations that were dequeued and have not ended
	memUsed  int64 // of sandboxes that were asked for and are not yet removed
	leaving  int64 // part of memUsed: of sandboxes whose removal was asked for
	idleMem  int64 // part of memUsed: of idle sandboxes
	backlog  int64 // sum over waiting of expected ns x milliCPU
	running  int
	draining bool
}

type function struct {
	Function
	id       FunctionID
	idle     []*sandbox    // most recently used last
	pending  []*invocation // dequeued, waiting for a sandbox, oldest first
	starting int           // sandboxes in the making
	exec     average
	start    average
}

type invocation struct {
	id       InvocationID
	function *function
	expected time.Duration
	dequeued time.Duration
	state    state
	sandbox  *sandbox // while running
	pos      int      // in waiting
}

type state int

const (
	waiting state = iota
	pending
	running
)

type sandbox struct {
	id        SandboxID
	function  *function
	state     boxState
	ahead     bool // made by Prewarm, for no invocation
	asked     time.Duration
	took      time.Duration
	uses      int64
	idlePos   int
	expiryPos int
}

type boxState int

const (
	boxStarting boxState = iota
	boxIdle
	boxBusy
	boxLeaving
)

// New returns an empty worker.
func New(c Config) *Worker {
	return &Worker{config: c, calls: map[InvocationID]*invocation{}, sandboxes: map[SandboxID]*sandbox{}}
}

// Register adds a function, or says why it can never run here.
func (w *Worker) Register(f Function) (FunctionID, error) {
	switch {
	case f.MilliCPU <= 0 || f.Memory <= 0:
		return 0, fmt.Errorf("function %s asks for %d mCPU and %d bytes; both must be positive", f.Name, f.MilliCPU, f.Memory)
	case f.MilliCPU > w.config.MilliCPU:
		return 0, fmt.Errorf("function %s asks for %g cores, the worker has %g", f.Name, float64(f.MilliCPU)/1000, float64(w.config.MilliCPU)/1000)
	case f.Memory > w.config.Memory:
		return 0, fmt.Errorf("function %s asks for %d bytes of memory, the worker has %d", f.Name, f.Memory, w.config.Memory)
	}
	w.functions = append(w.functions, &function{Function: f, id: FunctionID(len(w.functions) + 1)})
	return FunctionID(len(w.functions)), nil
}

// Handle applies ev at time now, which counts from the worker's start and never
// decreases, and appends to dst what the driver must do, in this order.
func (w *Worker) Handle(now time.Duration, ev Event, dst []Action) []Action {
	switch ev := ev.(type) {
	case Arrive:
		dst = w.arrive(now, ev, dst)
	case Cancel:
		w.cancel(ev.Invocation)
	case Up:
		dst = w.up(now, ev.Sandbox, dst)
	case StartFailed:
		dst = w.startFailed(ev.Sandbox, dst)
	case Died:
		if b := w.sandboxes[ev.Sandbox]; b != nil && b.state == boxIdle {
			dst = w.remove(b, Lost, dst)
		}
	case Finished:
		dst = w.finished(now, ev, dst)
	case Removed:
		if b := w.sandboxes[ev.Sandbox]; b != nil && b.state == boxLeaving {
			delete(w.sandboxes, b.id)
			w.memUsed -= b.function.Memory
			w.leaving -= b.function.Memory
		}
	case Prewarm:
		dst = w.prewarm(now, ev, dst)
	case Drain:
		w.draining = true
	case Clean:
		for w.idle.len() > 0 {
			dst = w.remove(w.idle.min(), Cleaned, dst)
		}
	case Tick:
	}
	dst = w.expire(now-1, dst)
	dst = w.schedule(now, dst)
	return w.expire(now, dst) // what is due now goes only if nothing waits for it
}

// expire removes the idle sandboxes that are due until the time given.
func (w *Worker) expire(until time.Duration, dst []Action) []Action {
	for w.expiry.len() > 0 && time.Duration(w.expiry.minKey()) <= until {
		dst = w.remove(w.expiry.min(), Expired, dst)
	}
	return dst
}

// Deadline says when to call Handle with a Tick if nothing happens before.
func (w *Worker) Deadline() (time.Duration, bool) {
	if w.expiry.len() == 0 {
		return 0, false
	}
	return time.Duration(w.expiry.minKey()), true
}

func (w *Worker) arrive(now time.Duration, ev Arrive, dst []Action) []Action {
	if w.draining {
		return append(dst, Action{Op: Fail, Invocation: ev.Invocation, Why: Draining})
	}
	if ev.Function < 1 || int(ev.Function) > len(w.functions) {
		return append(dst, Action{Op: Fail, Invocation: ev.Invocation, Why: UnknownFunction})
	}
	f := w.functions[ev.Function-1]
	it := &invocation{id: ev.Invocation, function: f, expected: f.expected(), pos: -1}
	w.calls[it.id] = it
	w.seq++
	w.backlog += int64(it.expected) * f.MilliCPU
	rank := w.config.Queue.Rank(queue.Item{Seq: w.seq, Arrived: now, Expected: it.expected})
	w.waiting.push(int64(rank), w.seq, it, &it.pos)
	return dst
}

// schedule starts waiting invocations in queue order until the first that must
// wait for CPU or memory. There is no back-filling past it: a large invocation
// is never starved by small ones.
func (w *Worker) schedule(now time.Duration, dst []Action) []Action {
	for w.waiting.len() > 0 {
		it := w.waiting.min()
		f := it.function
		if w.cpuUsed+f.MilliCPU > w.config.MilliCPU {
			return dst
		}
		unclaimed := f.starting > len(f.pending)
		if len(f.idle) == 0 && !unclaimed {
			var room bool
			if room, dst = w.makeRoom(f.Memory, dst); !room {
				return dst
			}
			dst = w.create(now, f, false, dst)
		}
		w.waiting.remove(&it.pos)
		w.backlog -= int64(it.expected) * f.MilliCPU
		w.cpuUsed += f.MilliCPU
		it.dequeued = now
		if n := len(f.idle); n > 0 {
			dst = w.startOn(f.idle[n-1], it, dst)
			continue
		}
		it.state = pending
		f.pending = append(f.pending, it)
	}
	return dst
}

// makeRoom reports whether need bytes are free. If they can be had by removing
// idle sandboxes it asks for that, lowest priority first, and no more than needed;
// they are free once they are Removed. If not it removes none.
func (w *Worker) makeRoom(need int64, dst []Action) (bool, []Action) {
	short := need - (w.config.Memory - w.memUsed)
	if short <= 0 {
		return true, dst
	}
	short -= w.leaving
	for short > 0 && w.idleMem >= short {
		victim := w.idle.min()
		short -= victim.function.Memory
		dst = w.remove(victim, Evicted, dst)
	}
	return false, dst
}

func (w *Worker) create(now time.Duration, f *function, ahead bool, dst []Action) []Action {
	w.made++
	b := &sandbox{id: w.made, function: f, ahead: ahead, asked: now, idlePos: -1, expiryPos: -1}
	w.sandboxes[b.id] = b
	w.memUsed += f.Memory
	f.starting++
	return append(dst, Action{Op: Create, Function: f.id, Sandbox: b.id})
}

func (w *Worker) startOn(b *sandbox, it *invocation, dst []Action) []Action {
	kind := Warm
	switch {
	case b.uses > 0:
	case it.state == pending && !b.ahead:
		kind = Cold
	default:
		kind = Prewarmed
	}
	if b.state == boxIdle {
		w.takeIdle(b)
	}
	b.state, b.uses = boxBusy, b.uses+1
	it.state, it.sandbox = running, b
	w.running++
	return append(dst, Action{Op: Start, Function: b.function.id, Invocation: it.id, Sandbox: b.id, Kind: kind, Dequeued: it.dequeued})
}

// ready gives a sandbox that can run something to the oldest invocation that
// waits for one of its function, or makes it idle.
func (w *Worker) ready(now time.Duration, b *sandbox, dst []Action) []Action {
	f := b.function
	if len(f.pending) > 0 {
		it := f.pending[0]
		f.pending = append(f.pending[:0], f.pending[1:]...)
		return w.startOn(b, it, dst)
	}
	b.state = boxIdle
	f.idle = append(f.idle, b)
	w.idleMem += f.Memory
	idle := keepalive.Idle{LastUsed: now, Memory: f.Memory, Start: b.took, Uses: b.uses}
	w.seq++
	w.idle.push(w.config.KeepAlive.Priority(idle), w.seq, b, &b.idlePos)
	if at, ok := w.config.KeepAlive.Expires(idle); ok {
		w.expiry.push(int64(at), w.seq, b, &b.expiryPos)
	}
	return dst
}

// takeIdle takes b out of the three places an idle sandbox is in.
func (w *Worker) takeIdle(b *sandbox) {
	w.idleMem -= b.function.Memory
	w.idle.remove(&b.idlePos)
	w.expiry.remove(&b.expiryPos)
	idle := b.function.idle
	for i := len(idle) - 1; ; i-- { // mostly the last
		if idle[i] == b {
			b.function.idle = append(idle[:i], idle[i+1:]...)
			return
		}
	}
}

func (w *Worker) up(now time.Duration, id SandboxID, dst []Action) []Action {
	b := w.sandboxes[id]
	if b == nil || b.state != boxStarting {
		return dst
	}
	b.took = now - b.asked
	b.function.starting--
	b.function.start.add(b.took)
	return w.ready(now, b, dst)
}

// startFailed drops a sandbox that never became ready, and fails the oldest
// invocation that now has none to wait for.
func (w *Worker) startFailed(id SandboxID, dst []Action) []Action {
	b := w.sandboxes[id]
	if b == nil || b.state != boxStarting {
		return dst
	}
	f := b.function
	f.starting--
	delete(w.sandboxes, id)
	w.memUsed -= f.Memory
	if len(f.pending) > f.starting {
		it := f.pending[0]
		f.pending = append(f.pending[:0], f.pending[1:]...)
		dst = append(dst, Action{Op: Fail, Invocation: it.id, Sandbox: id, Why: NoSandbox, Dequeued: it.dequeued})
		w.drop(it)
	}
	return dst
}

func (w *Worker) finished(now time.Duration, ev Finished, dst []Action) []Action {
	it := w.calls[ev.Invocation]
	if it == nil || it.state != running {
		return dst
	}
	b := it.sandbox
	w.running--
	w.drop(it)
	if !ev.Usable {
		return w.remove(b, Broken, dst)
	}
	if ev.Exec > 0 {
		b.function.exec.add(ev.Exec)
	}
	return w.ready(now, b, dst)
}

// cancel forgets an invocation that does not run yet. One that runs is ended
// by the driver, which then reports it as Finished.
func (w *Worker) cancel(id InvocationID) {
	it := w.calls[id]
	if it == nil {
		return
	}
	switch it.state {
	case waiting:
		w.waiting.remove(&it.pos)
		w.backlog -= int64(it.expected) * it.function.MilliCPU
		delete(w.calls, id)
	case pending:
		f := it.function
		for i, p := range f.pending {
			if p == it {
				f.pending = append(f.pending[:i], f.pending[i+1:]...)
				break
			}
		}
		w.drop(it)
	case running:
	}
}

// drop forgets an invocation that held CPU.
func (w *Worker) drop(it *invocation) {
	w.cpuUsed -= it.function.MilliCPU
	delete(w.calls, it.id)
}

// remove asks for the removal of an idle or busy sandbox.
func (w *Worker) remove(b *sandbox, why Reason, dst []Action) []Action {
	if b.state == boxIdle {
		w.takeIdle(b)
	}
	b.state = boxLeaving
	w.leaving += b.function.Memory
	return append(dst, Action{Op: Remove, Function: b.function.id, Sandbox: b.id, Why: why})
}

// prewarm makes sandboxes until ev.Count are ready or in the making. It evicts
// nothing; the first that finds no memory fails with NoMemory.
func (w *Worker) prewarm(now time.Duration, ev Prewarm, dst []Action) []Action {
	if ev.Function < 1 || int(ev.Function) > len(w.functions) {
		return append(dst, Action{Op: Refuse, Why: UnknownFunction})
	}
	f := w.functions[ev.Function-1]
	for have := f.starting + len(f.idle); have < ev.Count; have++ {
		if w.memUsed+f.Memory > w.config.Memory {
			return append(dst, Action{Op: Refuse, Function: f.id, Why: NoMemory})
		}
		dst = w.create(now, f, true, dst)
	}
	return dst
}

func (f *function) expected() time.Duration {
	if len(f.idle) > 0 {
		return f.exec.value
	}
	return f.start.value + f.exec.value
}

// average is an exponential moving average of weight 1/10; the first value sets it.
type average struct {
	value time.Duration
	seen  bool
}

func (a *average) add(v time.Duration) {
	if !a.seen {
		a.value, a.seen = v, true
		return
	}
	a.value += (v - a.value) / 10
}
