// Package worker is the scheduler of one worker: it decides which invocation
// runs in which sandbox, which sandboxes are made, and which go.
//
// It is sans-IO. Events and the time come in, actions come out; a driver, live
// (agent/live) or simulated (orchestrator/sim), carries them out and reports
// back as events. Equal calls give equal actions.
package worker

import (
	"fmt"
	"math"
	"time"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/internal/minheap"
)

// FunctionID, InvocationID and SandboxID name things in events and actions.
// The worker numbers functions and sandboxes from 1; the driver chooses invocation ids.
type (
	FunctionID   int
	InvocationID uint64
	SandboxID    uint64
)

// Function is what the scheduler knows of a function.
type Function struct {
	Name     string
	MilliCPU int64         // held by an invocation from its dequeueing to its end
	Memory   int64         // bytes held by a sandbox from its creation to its removal
	Timeout  time.Duration // of an execution; 0 = none

	Compute   placement.Compute // where it can run; Both is where the placement policy says, and CPU on a worker without GPUs
	GPUMemory int64             // bytes of a GPU held by a sandbox on it, likewise
}

// Worker is the state of one worker. It is not safe for concurrent use.
type Worker struct {
	config    Config
	order     queue.Order
	admission queue.Admission // nil where everything may join the queue
	unqueued  bool            // CPU is not waited for
	rules     queue.Exceptions
	regulator concurrency.Regulator
	limits    concurrency.Limits
	shedder   concurrency.Shedder
	keeper    keepalive.Keeper
	planner   prewarm.Planner
	gpus      *gpus       // nil where it has none
	functions []*function // by FunctionID - 1
	calls     map[InvocationID]*invocation
	sandboxes map[SandboxID]*sandbox
	waiting   minheap.Heap[*invocation] // by rank of the queue policy
	oldest    minheap.Heap[*invocation] // the same, by arrival; empty where a wait has no bound
	idle      minheap.Heap[*sandbox]    // by keep-alive priority
	expiry    minheap.Heap[*sandbox]    // by time of expiry
	planned   minheap.Heap[*function]   // by the time at which a sandbox is to be made ahead
	free      []*invocation             // ended, to be used again
	made      SandboxID                 // ids given out
	arrived   uint64                    // invocations

	limitCPU  int64    // for invocations, in mCPU
	limitRuns int      // invocations that may be dequeued and not ended
	bypassCPU int64    // limitCPU for what does not queue
	cpuUsed   int64    // of invocations that were dequeued and have not ended
	underWay  int      // their number
	running   int      // those of them that have a sandbox
	held      int      // waiting, and kept from waiting by the limit of their functions
	memUsed   int64    // of sandboxes that were asked for and are not yet removed
	leaving   int64    // part of memUsed: of sandboxes whose removal was asked for
	idleMem   int64    // part of memUsed: of idle sandboxes
	backlog   int64    // sum over waiting of expected ns x milliCPU
	short     shortage // of memory, for one that waits for CPU
	yields    bool     // memory is left to what waits for GPUs
	draining  bool
}

type function struct {
	Function
	id       FunctionID
	base     *function                    // it is a variant of: itself, but on GPUs
	gpu      *function                    // its variant on GPUs, nil where it does not run there
	limit    int                          // of its invocations that are under way
	idle     chain                        // sandboxes
	boxes    int                          // sandboxes that were asked for and are not leaving
	starting int                          // of them, those in the making
	held     minheap.Heap[*invocation]    // waiting by rank: it is at its limit
	pending  []*invocation                // dequeued, waiting for a sandbox, oldest first
	queued   int                          // invocations that wait
	underWay int                          // dequeued and not ended
	exec     [Cold + 1]estimate.Estimator // of executions, by Kind
	start    estimate.Estimator           // of start-ups
	interval estimate.Estimator           // between arrivals
	last     time.Duration                // arrival
	arrived  int64
	calls    int64         // those that arrived since it last had no sandbox
	ended    time.Duration // its last end, less than 0 before the first
	want     int           // sandboxes, that the prewarm policy asked for when it was last called
	plan     int           // place in planned
	response response      // of those that ran on this kind of device, where there are two
}

type invocation struct {
	id       InvocationID
	function *function
	item     queue.Item
	rank     time.Duration
	dequeued time.Duration
	state    state
	bypassed bool     // it did not queue
	sandbox  *sandbox // while running
	kind     Kind     // of its start
	load     int      // that ran when it did start
	passed   int      // that started before it by back-filling
	place    int      // in waiting, or in its function's held
	byAge    int      // in oldest
	gpu      *onGPU   // nil on CPU
}

type state int

const (
	waiting state = iota
	held          // waiting, while its function is at its limit
	pending
	running
	waitingGPU // for a GPU alone
	batched    // waiting for its turn in a batch, or for the sandbox of that
)

type sandbox struct {
	id          SandboxID
	function    *function
	device      *device // nil on CPU
	batch       *batch  // that waits for it to start, on a GPU
	state       boxState
	ahead       bool // made by Prewarm, for no invocation
	asked       time.Duration
	took        time.Duration
	uses        int64
	priority    float64 // since it is idle
	idlePlace   int
	expiryPlace int      // -1 where it does not expire
	older       *sandbox // in the chain of the idle of its function
	newer       *sandbox
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
	c = c.withDefaults()
	w := &Worker{
		config: c, order: c.Queue.New(), rules: c.Queue.Rules(), regulator: c.Concurrency.New(c.MilliCPU), limits: c.Concurrency.Rules(),
		keeper: c.KeepAlive.New(), planner: c.Prewarm.New(), calls: map[InvocationID]*invocation{}, sandboxes: map[SandboxID]*sandbox{},
	}
	w.admission, _ = w.order.(queue.Admission)
	_, w.unqueued = c.Queue.(queue.Unqueued)
	w.shedder = concurrency.Shedder{Target: w.limits.ShedTarget, Interval: w.limits.ShedInterval}
	w.waiting.Moved = func(it *invocation, place int) { it.place = place }
	w.oldest.Moved = func(it *invocation, place int) { it.byAge = place }
	w.idle.Moved = func(b *sandbox, place int) { b.idlePlace = place }
	w.expiry.Moved = func(b *sandbox, place int) { b.expiryPlace = place }
	w.planned.Moved = func(f *function, place int) { f.plan = place }
	w.limit()
	if c.GPUs.Count > 0 {
		w.gpus = newGPUs(c)
	}
	return w
}

// limit takes over the limits of the regulator.
func (w *Worker) limit() {
	w.limitCPU, w.limitRuns = w.regulator.Limit()
	w.bypassCPU = max(w.limitCPU, int64(w.rules.BypassLoad*float64(w.config.MilliCPU)))
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
	case f.Compute == placement.GPU && w.gpus == nil:
		return 0, fmt.Errorf("function %s runs on a GPU, the worker has none", f.Name)
	case f.Compute != placement.CPU && f.GPUMemory > w.config.GPUs.Memory && w.gpus != nil:
		return 0, fmt.Errorf("function %s asks for %d bytes of a GPU, each has %d", f.Name, f.GPUMemory, w.config.GPUs.Memory)
	}
	fn := w.variant(f)
	if f.Compute != placement.CPU && w.gpus != nil {
		fn.gpu = w.variant(f)
		fn.gpu.base = fn
	}
	w.functions = append(w.functions, fn)
	return fn.id, nil
}

// variant is a function on one kind of device, of which nothing was seen.
func (w *Worker) variant(f Function) *function {
	fn := &function{
		Function: f, id: FunctionID(len(w.functions) + 1), limit: w.limits.Of(f.Name), ended: -1, plan: -1,
		start: w.config.Estimate.New(), interval: intervals.New(),
	}
	fn.base = fn
	for kind := range fn.exec {
		fn.exec[kind] = w.config.Estimate.New()
	}
	fn.held.Moved = func(it *invocation, place int) { it.place = place }
	return fn
}

// Handle applies ev at time now, which counts from the worker's start and never
// decreases, and appends to dst what the driver must do, in this order.
func (w *Worker) Handle(now time.Duration, ev Event, dst []Action) []Action {
	switch ev := ev.(type) {
	case Arrive:
		dst = w.arrive(now, ev, dst)
	case Cancel:
		w.cancel(now, ev.Invocation)
	case Up:
		dst = w.up(now, ev.Sandbox, dst)
	case StartFailed:
		dst = w.startFailed(now, ev.Sandbox, dst)
	case Died:
		if b := w.sandboxes[ev.Sandbox]; b != nil && b.state == boxIdle {
			dst = w.remove(b, Lost, dst)
		}
	case Finished:
		dst = w.finished(now, ev, dst)
	case Removed:
		if b := w.sandboxes[ev.Sandbox]; b != nil && b.state == boxLeaving {
			w.leaving -= b.function.Memory
			w.gone(b)
		}
	case Prewarm:
		dst = w.prewarm(now, ev, dst)
	case Drain:
		w.draining = true
	case Clean:
		for w.idle.Len() > 0 {
			dst = w.remove(w.idle.Value(), Cleaned, dst)
		}
	case Load:
		w.regulator.Load(ev.MilliCPU)
		w.limit()
	case Tick:
	}
	dst = w.expire(now-1, dst)
	dst = w.scheduleAll(now, dst)
	if a, ok := ev.(Arrive); ok {
		dst = w.prepare(now, a.Function, dst)
	}
	dst = w.keepPlan(now, dst)
	dst = w.expire(now, dst) // what is due now goes only if nothing waits for it
	return w.keepFree(dst)
}

// expire removes the idle sandboxes that are due until the time given.
func (w *Worker) expire(until time.Duration, dst []Action) []Action {
	for w.expiry.Len() > 0 && time.Duration(w.expiry.Key()) <= until {
		dst = w.remove(w.expiry.Value(), Expired, dst)
	}
	return dst
}

// Deadline says when to call Handle with a Tick if nothing happens before.
func (w *Worker) Deadline() (time.Duration, bool) {
	at := int64(math.MaxInt64)
	if w.expiry.Len() > 0 {
		at = w.expiry.Key()
	}
	if w.planned.Len() > 0 {
		at = min(at, w.planned.Key())
	}
	return time.Duration(at), at < math.MaxInt64
}

func (w *Worker) arrive(now time.Duration, ev Arrive, dst []Action) []Action {
	if w.draining {
		return append(dst, Action{Op: Fail, Invocation: ev.Invocation, Why: Draining})
	}
	if ev.Function < 1 || int(ev.Function) > len(w.functions) {
		return append(dst, Action{Op: Fail, Invocation: ev.Invocation, Why: UnknownFunction})
	}
	f := w.functions[ev.Function-1]
	if f.arrived++; f.arrived > 1 {
		f.interval.Add(0, now-f.last)
	}
	f.last = now
	f.calls++
	w.arrived++
	item := w.item(now, f)
	silent := f.silent(now)
	w.keeper.Arrived(int(f.id), silent)
	f.want = w.planner.Arrived(prewarm.Call{Function: int(f.id), Idle: silent, Interval: item.Interval, Service: item.Exec})
	w.unplan(f)
	it := w.invocation()
	*it = invocation{id: ev.Invocation, function: f, item: item, place: -1, byAge: -1}
	if f.gpu != nil && w.place(now, it) == placement.GPU {
		return dst
	}
	if w.admission != nil && it.gpu == nil && !w.admission.Admit(item, time.Duration(w.backlog/w.config.MilliCPU)) {
		w.free = append(w.free, it)
		return append(dst, Action{Op: Fail, Function: f.id, Invocation: ev.Invocation, Why: Overdue})
	}
	w.calls[it.id] = it
	if it.bypassed = it.gpu == nil && w.bypasses(it); it.bypassed {
		return w.begin(now, it, dst)
	}
	it.rank = w.order.Rank(item)
	f.queued++
	w.backlog += int64(item.Expected) * f.MilliCPU
	w.enqueue(it)
	return dst
}

// item is a new invocation of f as a queue sees it.
func (w *Worker) item(now time.Duration, f *function) queue.Item {
	load := w.load(f)
	item := queue.Item{Seq: w.arrived, Function: int(f.id), Name: f.Name, Arrived: now, Timeout: f.Timeout}
	item.Interval, _ = f.base.interval.At(0)
	cold, _ := f.start.At(load)
	exec, known := f.predict(Cold, load)
	cold += exec
	item.Known, item.Exec, item.Expected, item.Alone = known, exec, cold, cold
	if b := w.choose(f); b != nil {
		item.Exec, _ = f.predict(b.kind(), load)
		item.Expected = item.Exec
		if f.queued < f.idle.len {
			item.Alone = item.Exec
		}
	}
	return item
}

// silent is how long nothing of f has been under way, less than 0 where nothing has been yet.
func (f *function) silent(now time.Duration) time.Duration {
	switch {
	case f.queued+f.underWay > 0 || f.gpu != nil && f.gpu.queued+f.gpu.underWay > 0:
		return 0
	case f.ended < 0:
		return -1
	default:
		return now - f.ended
	}
}

// bypasses reports whether an invocation is too short to wait for its turn.
func (w *Worker) bypasses(it *invocation) bool {
	f := it.function
	return w.rules.Bypass > 0 && it.item.Known && it.item.Exec <= w.rules.Bypass &&
		f.idle.len > 0 && f.underWay < f.limit && w.cpuUsed+f.MilliCPU <= w.bypassCPU
}

// enqueue has an invocation wait.
func (w *Worker) enqueue(it *invocation) {
	it.state = waiting
	w.waiting.PushAs(int64(it.rank), it.item.Seq, it)
	if w.rules.MostWait > 0 {
		w.oldest.PushAs(int64(it.item.Arrived), it.item.Seq, it)
	}
}

// leave takes an invocation from where it waits.
func (w *Worker) leave(it *invocation) {
	if it.state == held {
		w.held--
		it.function.held.Remove(it.place)
		return
	}
	w.waiting.Remove(it.place)
	if it.byAge >= 0 {
		w.oldest.Remove(it.byAge)
	}
}

// hold keeps an invocation back whose function is at its limit.
func (w *Worker) hold(it *invocation) {
	w.leave(it)
	it.state = held
	w.held++
	it.function.held.PushAs(int64(it.rank), it.item.Seq, it)
}

// release lets one wait that was held, where the function is not at its limit any more.
func (w *Worker) release(f *function) {
	if f.held.Len() > 0 && f.underWay < f.limit {
		it := f.held.Value()
		w.leave(it)
		w.enqueue(it)
	}
}

// schedule starts waiting invocations in queue order until the first that must wait for CPU or memory. Nothing
// goes past that one, so that a large invocation is never starved by small ones, but for what the queue's options let pass.
func (w *Worker) schedule(now time.Duration, dst []Action) []Action {
	before := w.short
	w.short, w.yields = shortage{}, false
	for w.waiting.Len() > 0 {
		it, overdue := w.first(now)
		f := it.function
		if f.underWay >= f.limit {
			w.hold(it)
			continue
		}
		if !w.fits(f) {
			return w.backFill(now, overdue, dst)
		}
		if w.shedder.Drop(now, now-it.item.Arrived, w.waiting.Len() == 1) {
			dst = append(dst, Action{Op: Fail, Function: f.id, Invocation: it.id, Why: Shed})
			w.dequeue(it, false)
			w.forget(it)
			continue
		}
		if !f.hasBox() {
			room := false
			if w.yields = w.gpus.first(before); !w.yields {
				room, dst = w.makeRoom(f.Memory, dst)
			}
			if !room {
				w.short = before.since(now)
				return w.backFill(now, overdue, dst)
			}
		}
		w.dequeue(it, true)
		dst = w.begin(now, it, dst)
	}
	return dst
}

// first is the invocation whose turn it is, and whether that is because it has waited for too long.
func (w *Worker) first(now time.Duration) (it *invocation, overdue bool) {
	if w.oldest.Len() > 0 && time.Duration(w.oldest.Key()) < now-w.rules.MostWait {
		return w.oldest.Value(), true
	}
	return w.waiting.Value(), false
}

// fits reports whether CPU may be given to another invocation of f. One may always run, whatever the limit.
func (w *Worker) fits(f *function) bool {
	return w.unqueued || w.underWay == 0 || w.cpuUsed+f.MilliCPU <= w.limitCPU && w.underWay < w.limitRuns
}

// hasBox reports whether an invocation of f needs no new sandbox.
func (f *function) hasBox() bool { return f.idle.len > 0 || f.starting > len(f.pending) }

// backFill starts what waits behind an invocation for which CPU or memory is short, and takes neither
// room nor sandboxes that could be had for it. Each may be passed a number of times.
func (w *Worker) backFill(now time.Duration, overdue bool, dst []Action) []Action {
	if w.rules.BackFill == 0 || overdue {
		return dst
	}
	for {
		next := w.filler()
		if next == nil {
			return dst
		}
		for it := range w.waiting.InOrder {
			if it == next {
				break
			}
			it.passed++
		}
		w.dequeue(next, true)
		dst = w.begin(now, next, dst)
	}
}

// filler is the first that may start before those that cannot, nil where none may.
func (w *Worker) filler() (found *invocation) {
	memory, looked := w.config.Memory-w.memUsed, 0
	for it := range w.waiting.InOrder {
		f := it.function
		if f.underWay < f.limit {
			if w.fits(f) && (f.hasBox() || f.Memory <= memory) {
				return it
			}
			if !f.hasBox() && f.Memory > memory {
				memory = 0 // what there is, it waits for
			}
			if it.passed >= w.rules.BackFill {
				return nil
			}
		}
		if looked++; looked > w.rules.BackFill {
			return nil
		}
	}
	return nil
}

// begin runs an invocation that waits no more in an idle sandbox, or when one is ready.
func (w *Worker) begin(now time.Duration, it *invocation, dst []Action) []Action {
	f := it.function
	it.dequeued = now
	w.cpuUsed += f.MilliCPU
	w.underWay++
	f.underWay++
	if b := w.choose(f); b != nil {
		return w.startOn(b, it, dst)
	}
	if !f.hasBox() {
		dst = w.create(now, f, false, dst)
	}
	it.state = pending
	f.pending = append(f.pending, it)
	return dst
}

// choose is the idle sandbox of f that is used next, nil where none is idle.
func (w *Worker) choose(f *function) *sandbox {
	if w.config.Dispatch.Oldest {
		return f.idle.oldest
	}
	return f.idle.newest
}

// dequeue takes an invocation out of the queue, to run or because it will not.
func (w *Worker) dequeue(it *invocation, runs bool) {
	f := it.function
	w.leave(it)
	if it.gpu != nil {
		w.gpus.withdraw(it) // it waited for both
	}
	f.queued--
	w.backlog -= int64(it.item.Expected) * f.MilliCPU
	w.order.Leave(it.item, it.rank, runs)
	if !runs {
		w.release(f)
	}
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
		victim := w.idle.Value()
		short -= victim.function.Memory
		w.keeper.Evicted(victim.priority)
		dst = w.remove(victim, Evicted, dst)
	}
	return false, dst
}

func (w *Worker) create(now time.Duration, f *function, ahead bool, dst []Action) []Action {
	_, dst = w.createOn(now, f, nil, ahead, dst)
	return dst
}

// createOn makes a sandbox on a device, nil for CPU.
func (w *Worker) createOn(now time.Duration, f *function, d *device, ahead bool, dst []Action) (*sandbox, []Action) {
	w.made++
	b := &sandbox{id: w.made, function: f, device: d, ahead: ahead, asked: now, idlePlace: -1, expiryPlace: -1}
	w.sandboxes[b.id] = b
	w.memUsed += f.Memory
	d.attach(f)
	f.starting++
	f.boxes++
	return b, append(dst, Action{Op: Create, Function: f.id, Sandbox: b.id, Device: d.Number()})
}

// gone is told of each sandbox of which nothing is left.
func (w *Worker) gone(b *sandbox) {
	delete(w.sandboxes, b.id)
	w.memUsed -= b.function.Memory
	b.device.detach(b)
}

func (w *Worker) startOn(b *sandbox, it *invocation, dst []Action) []Action {
	kind := b.kind()
	if b.uses == 0 && it.state == pending && !b.ahead {
		kind = Cold
	}
	if b.state == boxIdle {
		w.takeIdle(b)
	}
	b.state, b.uses = boxBusy, b.uses+1
	count := w.runningOn(b.device)
	it.state, it.sandbox, it.kind, it.load = running, b, kind, *count
	*count++
	return append(dst, Action{
		Op: Start, Function: b.function.id, Invocation: it.id, Sandbox: b.id, Kind: kind, Dequeued: it.dequeued, Device: b.device.Number(),
	})
}

// kind is in what state an invocation finds the sandbox that has not waited for it.
func (b *sandbox) kind() Kind {
	if b.uses > 0 {
		return Warm
	}
	return Prewarmed
}

// ready gives a sandbox that can run something to the oldest invocation that
// waits for one of its function, or makes it idle.
func (w *Worker) ready(now time.Duration, b *sandbox, dst []Action) []Action {
	f := b.function
	if b.batch != nil {
		return w.nextOf(b.batch, b, dst)
	}
	if len(f.pending) > 0 {
		it := f.pending[0]
		f.pending = append(f.pending[:0], f.pending[1:]...)
		return w.startOn(b, it, dst)
	}
	b.state = boxIdle
	f.idle.add(b)
	w.idleMem += f.Memory
	idle := keepalive.Idle{
		Function: int(f.id), LastUsed: now, Memory: f.Memory, Start: b.took, Uses: b.uses, Calls: f.calls, Ended: f.ended, Again: w.planNext(now, f),
	}
	b.priority = w.keeper.Priority(idle)
	w.idle.Push(ordered(b.priority), b)
	if at, ok := w.keeper.Expires(idle); ok {
		w.expiry.Push(int64(at), b)
	}
	return dst
}

// takeIdle takes b out of the three places an idle sandbox is in.
func (w *Worker) takeIdle(b *sandbox) {
	w.idleMem -= b.function.Memory
	w.idle.Remove(b.idlePlace)
	if b.expiryPlace >= 0 {
		w.expiry.Remove(b.expiryPlace)
	}
	b.function.idle.remove(b)
}

func (w *Worker) up(now time.Duration, id SandboxID, dst []Action) []Action {
	b := w.sandboxes[id]
	if b == nil || b.state != boxStarting {
		return dst
	}
	b.took = now - b.asked
	b.function.starting--
	b.function.start.Add(*w.runningOn(b.device), b.took)
	return w.ready(now, b, dst)
}

// startFailed drops a sandbox that never became ready, and fails the oldest
// invocation that now has none to wait for.
func (w *Worker) startFailed(now time.Duration, id SandboxID, dst []Action) []Action {
	b := w.sandboxes[id]
	if b == nil || b.state != boxStarting {
		return dst
	}
	f := b.function
	f.starting--
	f.lost()
	w.gone(b)
	if b.batch != nil {
		return w.batchFailed(now, b, dst)
	}
	if len(f.pending) > f.starting {
		it := f.pending[0]
		f.pending = append(f.pending[:0], f.pending[1:]...)
		dst = append(dst, Action{Op: Fail, Function: f.id, Invocation: it.id, Sandbox: id, Why: NoSandbox, Dequeued: it.dequeued})
		w.drop(it)
	}
	return dst
}

func (w *Worker) finished(now time.Duration, ev Finished, dst []Action) []Action {
	it := w.calls[ev.Invocation]
	if it == nil || it.state != running {
		return dst
	}
	b, kind, load := it.sandbox, it.kind, it.load
	b.function.ended, b.function.base.ended = now, now
	*w.runningOn(b.device)--
	if b.function.base.gpu != nil && ev.Usable {
		w.responded(now, it, ev.Exec)
	}
	if it.gpu != nil {
		dst = w.ranOnGPU(now, it, ev.Usable, dst)
	} else {
		w.drop(it)
	}
	if !ev.Usable {
		return w.remove(b, Broken, dst)
	}
	if ev.Exec > 0 {
		b.function.exec[kind].Add(load, ev.Exec)
	}
	return w.ready(now, b, dst)
}

// cancel forgets an invocation that does not run yet. One that runs is ended
// by the driver, which then reports it as Finished.
func (w *Worker) cancel(now time.Duration, id InvocationID) {
	it := w.calls[id]
	if it == nil {
		return
	}
	switch it.state {
	case waiting, held:
		w.dequeue(it, false)
		w.forget(it)
	case waitingGPU:
		w.gpus.withdraw(it)
		w.forget(it)
	case batched:
		w.dropFromBatch(now, it)
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
	f := it.function
	w.cpuUsed -= f.MilliCPU
	w.underWay--
	f.underWay--
	w.release(f)
	w.forget(it)
}

func (w *Worker) forget(it *invocation) {
	delete(w.calls, it.id)
	w.free = append(w.free, it)
}

// invocation is one that may be overwritten.
func (w *Worker) invocation() *invocation {
	last := len(w.free) - 1
	if last < 0 {
		return &invocation{}
	}
	it := w.free[last]
	w.free = w.free[:last]
	return it
}

// remove asks for the removal of an idle or busy sandbox.
func (w *Worker) remove(b *sandbox, why Reason, dst []Action) []Action {
	if b.state == boxIdle {
		w.takeIdle(b)
	}
	b.state = boxLeaving
	b.function.lost()
	b.device.leave(b.function)
	w.leaving += b.function.Memory
	return append(dst, Action{Op: Remove, Function: b.function.id, Sandbox: b.id, Why: why})
}

// prewarm makes sandboxes until ev.Count are ready or in the making, on each kind of device that the function runs on. It evicts
// nothing; the first that finds no memory, or place on a GPU, fails with NoMemory.
func (w *Worker) prewarm(now time.Duration, ev Prewarm, dst []Action) []Action {
	if ev.Function < 1 || int(ev.Function) > len(w.functions) {
		return append(dst, Action{Op: Refuse, Why: UnknownFunction})
	}
	f := w.functions[ev.Function-1]
	if f.gpu != nil {
		for have := f.gpu.starting + f.gpu.idle.len; have < ev.Count; have++ {
			d := w.gpus.place(f.gpu, false)
			if d == nil || !w.spare(f.Memory) {
				return append(dst, Action{Op: Refuse, Function: f.id, Why: NoMemory})
			}
			_, dst = w.createOn(now, f.gpu, d, true, dst)
		}
		if f.Compute == placement.GPU {
			return dst
		}
	}
	for have := f.starting + f.idle.len; have < ev.Count; have++ {
		if !w.spare(f.Memory) {
			return append(dst, Action{Op: Refuse, Function: f.id, Why: NoMemory})
		}
		dst = w.create(now, f, true, dst)
	}
	return dst
}

// predict is the execution in a sandbox of a kind, or where none was seen in such, in one of another; false where none was at
// all.
func (f *function) predict(kind Kind, load int) (exec time.Duration, known bool) {
	if exec, known = f.exec[kind].At(load); known {
		return exec, true
	}
	for _, e := range f.exec {
		if exec, known = e.At(load); known {
			return exec, true
		}
	}
	return 0, false
}

// intervals is how the time between arrivals is averaged.
var intervals = estimate.EWMA{Weight: 0.1}

// ordered is a whole number in the order of x, which is not NaN.
func ordered(x float64) int64 {
	bits := int64(math.Float64bits(x))
	return bits ^ (bits >> 63 & math.MaxInt64)
}
