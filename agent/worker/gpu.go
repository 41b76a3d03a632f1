package worker

import (
	"time"

	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/internal/stream"
)

// gpus are the GPUs of a worker with what waits for them, which takes no CPU of it.
//
// A sandbox has a slot of one device from its creation until nothing is left of it. A batch of
// invocations has a token of one from when it leaves the queue, and runs in a sandbox of the same one. (In Ilúvatar
// a token need not be of the device that the sandbox is on, and one may be held while cores are waited for.)
type gpus struct {
	queue   gpuqueue.Queue
	placer  placement.Placer
	placed  Placement // the last
	devices []*device
	tokens  int                    // of all devices
	waiting map[uint64]*invocation // in queue, by Seq
	both    int                    // of them, those that wait for CPU too
	active  int                    // functions of which something waits
	batched int                    // invocations that wait for their turn in a batch
	work    time.Duration          // predicted, of what was taken from the queue and has not ended
	short   shortage               // of memory of the host
	taken   []queue.Item
}

// device is a GPU, with what is free of it.
type device struct {
	number  int // from 1
	slots   int
	tokens  int
	memory  int64
	leaving int   // slots of sandboxes whose removal was asked for
	freed   int64 // memory likewise
	running int
}

// onGPU is of an invocation that waits for a GPU, or has one.
type onGPU struct {
	item   queue.Item
	batch  *batch // nil while it waits in the queue
	chosen bool   // by the placement policy, which was not told yet that it left the queue
}

// batch is invocations that run one after the other in one sandbox.
type batch struct {
	device *device
	box    *sandbox
	next   []*invocation // that have not started
}

// response is how long invocations took from arrival to end.
type response struct {
	seen                bool
	mean, latest, least time.Duration
}

// shortage says whether memory is short, and since when.
type shortage struct {
	is bool
	at time.Duration
}

// since is the shortage that goes on, or begins.
func (s shortage) since(now time.Duration) shortage {
	if s.is {
		return s
	}
	return shortage{true, now}
}

func newGPUs(c Config) *gpus {
	g := &gpus{waiting: map[uint64]*invocation{}, tokens: c.GPUs.Count * c.GPUs.Tokens}
	g.queue = c.GPUs.Queue.New(g.tokens, stream.New(c.Seed, "gpu_queue"))
	g.placer = c.GPUs.Placement.New(stream.New(c.Seed, "placement"))
	for i := range c.GPUs.Count {
		g.devices = append(g.devices, &device{number: i + 1, slots: c.GPUs.Slots, tokens: c.GPUs.Tokens, memory: c.GPUs.Memory})
	}
	return g
}

// first reports whether what waits for GPUs has been short of memory for longer than what waits for CPU. The
// one that was short first has what becomes free, so neither starves the other.
func (g *gpus) first(cpu shortage) bool {
	return g != nil && g.short.is && (!cpu.is || g.short.at < cpu.at)
}

// count adds to a Status.
func (g *gpus) count(s *Status) {
	if g == nil {
		return
	}
	s.GPUs, s.GPUsWaiting = len(g.devices), g.queue.Len()
	s.Waiting += g.queue.Len() - g.both
	s.Pending += g.batched
	for _, d := range g.devices {
		s.Running += d.running
	}
}

// Number is 0 for CPU.
func (d *device) Number() int {
	if d == nil {
		return 0
	}
	return d.number
}

func (d *device) attach(f *function) {
	if d != nil {
		d.slots--
		d.memory -= f.GPUMemory
	}
}

func (d *device) detach(b *sandbox) {
	if d == nil {
		return
	}
	d.slots++
	d.memory += b.function.GPUMemory
	if b.state == boxLeaving {
		d.leaving--
		d.freed -= b.function.GPUMemory
	}
}

// leave is told when a sandbox is asked to go.
func (d *device) leave(f *function) {
	if d != nil {
		d.leaving++
		d.freed += f.GPUMemory
	}
}

// runningOn counts what runs on CPU, or on a device.
func (w *Worker) runningOn(d *device) *int {
	if d == nil {
		return &w.running
	}
	return &d.running
}

// load is that under which an invocation of f would run.
func (w *Worker) load(f *function) int {
	if f.base == f {
		return w.running
	}
	sum := 0
	for _, d := range w.gpus.devices {
		sum += d.running
	}
	return sum / len(w.gpus.devices)
}

// scheduleAll starts what can be on CPU and on GPUs.
func (w *Worker) scheduleAll(now time.Duration, dst []Action) []Action {
	dst = w.schedule(now, dst)
	if g := w.gpus; g != nil {
		before := g.short
		if dst = w.scheduleGPUs(now, dst); before.is && before != g.short {
			dst = w.schedule(now, dst) // which left memory to the GPUs
		}
	}
	return dst
}

// place decides where a new invocation waits, and puts it into the queue for the GPUs if it does there.
func (w *Worker) place(now time.Duration, it *invocation) placement.Compute {
	f, g := it.function, w.gpus
	where := f.Compute
	item := w.item(now, f.gpu)
	if where == placement.Both {
		g.placed.Invocation, g.placed.Call = it.id, w.sides(now, f, it.item, item)
		where = g.placer.Place(&g.placed.Call)
		g.placed.Where = where
	}
	if where == placement.CPU {
		return where
	}
	it.gpu = &onGPU{item: item}
	if where == placement.Both {
		g.both++
	} else {
		it.state, it.function = waitingGPU, f.gpu
		it.gpu.chosen = f.Compute == placement.Both
		w.calls[it.id] = it
	}
	g.push(now, f.gpu, it)
	return where
}

func (g *gpus) push(now time.Duration, f *function, it *invocation) {
	if f.queued++; f.queued == 1 {
		g.active++
	}
	g.waiting[it.gpu.item.Seq] = it
	g.queue.Push(now, it.gpu.item)
}

// left is told of each invocation that waits no more.
func (g *gpus) left(it *invocation) {
	f := it.function.base.gpu
	if f.queued--; f.queued == 0 {
		g.active--
	}
	delete(g.waiting, it.gpu.item.Seq)
	switch {
	case it.gpu.chosen:
		it.gpu.chosen = false
		g.placer.Left(int(f.id))
	case it.state != waitingGPU:
		g.both--
	}
}

// withdraw takes an invocation out of the queue: it ran on CPU, or its caller has gone.
func (g *gpus) withdraw(it *invocation) {
	g.queue.Remove(it.gpu.item)
	g.left(it)
	it.gpu = nil
}

// sides is what a placement policy sees of a new invocation.
func (w *Worker) sides(now time.Duration, f *function, cpu, gpu queue.Item) placement.Call {
	g := w.gpus
	side := func(f *function, it queue.Item) placement.Side {
		exec, known := f.predict(Warm, w.load(f))
		warm := 0.01
		if f.boxes > 0 {
			warm = 0.99
		}
		r := f.response
		return placement.Side{Known: known, Exec: exec, Service: it.Expected, Ended: r.seen, E2E: r.mean, Latest: r.latest, Least: r.least, Warm: warm}
	}
	c := placement.Call{
		Now: now, Function: int(f.id), Interval: cpu.Interval, CPU: side(f, cpu), GPU: side(f.gpu, gpu), Tokens: g.tokens, Active: g.active,
	}
	c.CPU.Wait, c.CPU.Waiting = time.Duration(w.backlog/w.config.MilliCPU), w.waiting.Len()+w.held
	c.CPU.Work = c.CPU.Wait
	c.GPU.Wait, c.GPU.Waiting, c.GPU.Work = g.queue.Wait(now, gpu), g.queue.Len(), g.queue.Work()+g.work
	if q, ok := g.queue.(gpuqueue.Warmer); ok {
		c.GPU.Warm = q.Warm(int(f.id), cpu.Interval)
	}
	return c
}

// estimateOnGPU predicts for a function that can run on GPUs: where it ends first.
func (w *Worker) estimateOnGPU(f *function) (wait, service time.Duration) {
	item := w.item(0, f.gpu)
	c := w.sides(0, f, w.item(0, f), item)
	if f.Compute == placement.Both && c.CPU.Wait+c.CPU.Service < c.GPU.Wait+c.GPU.Service {
		return c.CPU.Wait, c.CPU.Service
	}
	return c.GPU.Wait, c.GPU.Service
}

// scheduleGPUs starts what waits for GPUs in the order of their queue, until one that must wait for a
// device, or for memory of the host. It waits for no cores.
func (w *Worker) scheduleGPUs(now time.Duration, dst []Action) []Action {
	g := w.gpus
	before := g.short
	g.short = shortage{}
	warm := func(function int) bool { return w.onFree(w.functions[function-1].gpu) != nil }
	for g.queue.Len() > 0 && g.free() {
		id, ok := g.queue.Choose(now, warm)
		if !ok {
			return dst
		}
		f := w.functions[id-1].gpu
		b := w.onFree(f)
		if b == nil {
			d := g.place(f, true)
			if d == nil {
				return w.makePlace(f, dst)
			}
			room := false
			if !w.short.is || w.yields {
				room, dst = w.makeRoom(f.Memory, dst)
			}
			if !room {
				g.short = before.since(now)
				return dst
			}
			b, dst = w.createOn(now, f, d, false, dst)
		}
		dst = w.beginBatch(now, f, b, dst)
	}
	return dst
}

// free reports whether any device has a token.
func (g *gpus) free() bool {
	for _, d := range g.devices {
		if d.tokens > 0 {
			return true
		}
	}
	return false
}

// onFree is the idle sandbox of f that is used next, of those on a device with a token; nil where there is none.
func (w *Worker) onFree(f *function) (found *sandbox) {
	for b := f.idle.newest; b != nil; b = b.older {
		if b.device.tokens > 0 {
			if !w.config.Dispatch.Oldest {
				return b
			}
			found = b
		}
	}
	return found
}

// place is the device with most slots free, of those that have memory, and a token if that is wanted; nil where there is none.
func (g *gpus) place(f *function, token bool) (best *device) {
	for _, d := range g.devices {
		if d.slots > 0 && d.memory >= f.GPUMemory && (d.tokens > 0 || !token) && (best == nil || d.slots > best.slots) {
			best = d
		}
	}
	return best
}

// makePlace asks idle sandboxes to go, lowest priority first, until one of f has a place on a device with a token, or will have.
func (w *Worker) makePlace(f *function, dst []Action) []Action {
	var victims []*sandbox
	for _, d := range w.gpus.devices {
		if d.tokens == 0 {
			continue
		}
		slots, memory := d.slots+d.leaving, d.memory+d.freed
		if slots > 0 && memory >= f.GPUMemory {
			return dst // those that leave are enough
		}
		var some []*sandbox
		for b := range w.idle.InOrder {
			if slots > 0 && memory >= f.GPUMemory {
				break
			}
			if b.device == d {
				some = append(some, b)
				slots, memory = slots+1, memory+b.function.GPUMemory
			}
		}
		if slots > 0 && memory >= f.GPUMemory && (victims == nil || len(some) < len(victims)) {
			victims = some
		}
	}
	for _, b := range victims {
		w.keeper.Evicted(b.priority)
		dst = w.remove(b, Evicted, dst)
	}
	return dst
}

// beginBatch takes what is next of f from the queue, to run in b, which is idle or in the making.
func (w *Worker) beginBatch(now time.Duration, f *function, b *sandbox, dst []Action) []Action {
	g := w.gpus
	all := &batch{device: b.device, box: b}
	b.device.tokens--
	g.taken = g.queue.Take(now, int(f.id), g.taken[:0])
	for _, item := range g.taken {
		it := g.waiting[item.Seq]
		g.left(it)
		if it.state != waitingGPU { // it waits for CPU too
			mine := it.gpu
			it.gpu = nil
			w.dequeue(it, false)
			it.gpu = mine
		}
		it.function, it.state, it.dequeued, it.gpu.batch = f, batched, now, all
		g.work += item.Expected
		g.batched++
		f.underWay++
		all.next = append(all.next, it)
	}
	if b.state == boxStarting {
		b.batch = all
		return dst
	}
	return w.nextOf(all, b, dst)
}

// nextOf starts the next of a batch.
func (w *Worker) nextOf(all *batch, b *sandbox, dst []Action) []Action {
	it := all.next[0]
	all.next = all.next[1:]
	w.gpus.batched--
	if b.batch != nil {
		it.state, b.batch = pending, nil // it waited for the sandbox
	}
	return w.startOn(b, it, dst)
}

// ranOnGPU ends an invocation that ran, and gives back the token if it was the last of its batch or the sandbox can serve no more.
func (w *Worker) ranOnGPU(now time.Duration, it *invocation, usable bool, dst []Action) []Action {
	all := it.gpu.batch
	w.endOnGPU(now, it)
	switch {
	case !usable:
		w.putBack(now, all)
	case len(all.next) > 0:
		all.box.batch = all // the sandbox is not idle between
		return dst
	}
	all.device.tokens++
	return dst
}

// endOnGPU forgets an invocation that was taken from the queue.
func (w *Worker) endOnGPU(now time.Duration, it *invocation) {
	w.gpus.returned(now, it)
	w.forget(it)
}

func (g *gpus) returned(now time.Duration, it *invocation) {
	g.queue.Done(now, it.gpu.item)
	g.work -= it.gpu.item.Expected
	it.function.underWay--
}

// putBack has those of a batch that did not start wait again.
func (w *Worker) putBack(now time.Duration, all *batch) {
	for _, it := range all.next {
		w.gpus.returned(now, it)
		w.gpus.batched--
		it.state, it.gpu.batch = waitingGPU, nil
		w.gpus.push(now, it.function, it)
	}
	all.next = nil
}

// batchFailed fails the first of a batch whose sandbox did not start; the others wait again.
func (w *Worker) batchFailed(now time.Duration, b *sandbox, dst []Action) []Action {
	all := b.batch
	it := all.next[0]
	all.next = all.next[1:]
	w.gpus.batched--
	dst = append(dst, Action{Op: Fail, Function: b.function.id, Invocation: it.id, Sandbox: b.id, Why: NoSandbox, Dequeued: it.dequeued, Device: b.device.number})
	w.endOnGPU(now, it)
	w.putBack(now, all)
	b.device.tokens++
	return dst
}

// dropFromBatch forgets an invocation of a batch that does not run yet.
func (w *Worker) dropFromBatch(now time.Duration, it *invocation) {
	all := it.gpu.batch
	for i, other := range all.next {
		if other == it {
			all.next = append(all.next[:i], all.next[i+1:]...)
			break
		}
	}
	w.gpus.batched--
	w.endOnGPU(now, it)
	if len(all.next) == 0 && all.box.batch == all { // nothing of it runs: the sandbox is in the making
		all.box.batch = nil
		all.device.tokens++
	}
}

// responded notes how long an invocation took, where that decides about the next.
func (w *Worker) responded(now time.Duration, it *invocation, exec time.Duration) {
	f := it.function
	if f.Compute != placement.Both {
		return
	}
	r, took, on := &f.response, now-it.item.Arrived, placement.CPU
	if it.gpu != nil {
		on = placement.GPU
	}
	if !r.seen {
		*r = response{true, took, took, took}
	}
	r.mean += (took - r.mean) / 10
	r.latest, r.least = took, min(r.least, took)
	w.gpus.placer.Ended(placement.Outcome{Function: int(f.id), On: on, Now: now, E2E: took, Exec: exec})
}
