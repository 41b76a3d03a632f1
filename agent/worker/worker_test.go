package worker_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/registry"
)

const (
	ms  = time.Millisecond
	mib = int64(1 << 20)
)

// script feeds events to a worker and writes down what it answers.
type script struct {
	t   testing.TB
	w   *worker.Worker
	now time.Duration
}

func newScript(t testing.TB, c worker.Config, functions ...worker.Function) *script {
	t.Helper()
	c.Queue = cmp.Or(c.Queue, queue.Policy(queue.FCFS{}))
	c.KeepAlive = cmp.Or(c.KeepAlive, keepalive.Policy(keepalive.LRU{}))
	w := worker.New(c)
	for _, f := range functions {
		if _, err := w.Register(f); err != nil {
			t.Fatal(err)
		}
	}
	return &script{t: t, w: w}
}

// want handles events at one time and compares the actions, in short form.
func (s *script) want(at time.Duration, want []string, events ...worker.Event) {
	s.t.Helper()
	s.now = at
	var got []string
	for _, ev := range events {
		for _, a := range s.w.Handle(at, ev, nil) {
			got = append(got, short(a))
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		s.t.Errorf("at %v, %T: actions (-want +got):\n%s", at, events[0], diff)
	}
}

func short(a worker.Action) string {
	switch a.Op {
	case worker.Start:
		return fmt.Sprintf("start i%d on s%d %v", a.Invocation, a.Sandbox, a.Kind)
	case worker.Create:
		return fmt.Sprintf("create s%d of f%d", a.Sandbox, a.Function)
	case worker.Remove:
		return fmt.Sprintf("remove s%d %v", a.Sandbox, a.Why)
	case worker.Fail:
		return fmt.Sprintf("fail i%d %v", a.Invocation, a.Why)
	default:
		return fmt.Sprintf("refuse f%d %v", a.Function, a.Why)
	}
}

func fn(name string, cores, mebibytes int64) worker.Function {
	return worker.Function{Name: name, MilliCPU: cores * 1000, Memory: mebibytes * mib}
}

func arrive(i worker.InvocationID, f worker.FunctionID) worker.Event {
	return worker.Arrive{Invocation: i, Function: f}
}

func finish(i worker.InvocationID, exec time.Duration) worker.Event {
	return worker.Finished{Invocation: i, Exec: exec, Usable: true}
}

func TestColdThenWarm(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib}, fn("a", 1, 64))
	s.want(0, []string{"create s1 of f1"}, arrive(1, 1))
	s.want(10*ms, []string{"start i1 on s1 cold"}, worker.Up{Sandbox: 1})
	s.want(15*ms, nil, finish(1, 5*ms))
	s.want(20*ms, []string{"start i2 on s1 warm"}, arrive(2, 1))
}

func TestPrewarmedIsNotCold(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib}, fn("a", 1, 64))
	s.want(0, []string{"create s1 of f1", "refuse f1 no memory"}, worker.Prewarm{Function: 1, Count: 2})
	s.want(10*ms, nil, worker.Up{Sandbox: 1})
	s.want(20*ms, []string{"start i1 on s1 prewarmed"}, arrive(1, 1))
}

// An invocation that waits for its own sandbox takes another of its function that is free first.
func TestLateBinding(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 2000, Memory: 200 * mib}, fn("a", 1, 64))
	s.want(0, []string{"create s1 of f1"}, arrive(1, 1))
	s.want(1*ms, []string{"start i1 on s1 cold"}, worker.Up{Sandbox: 1})
	s.want(2*ms, []string{"create s2 of f1"}, arrive(2, 1))
	s.want(3*ms, []string{"start i2 on s1 warm"}, finish(1, 2*ms))
	s.want(4*ms, nil, worker.Up{Sandbox: 2})
	s.want(5*ms, []string{"start i3 on s2 prewarmed"}, arrive(3, 1))
}

// A claim on a sandbox in the making makes no second one.
func TestPrewarmInTheMakingIsClaimed(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 2000, Memory: 200 * mib}, fn("a", 1, 64))
	s.want(0, []string{"create s1 of f1"}, worker.Prewarm{Function: 1, Count: 1})
	s.want(0, nil, arrive(1, 1))
	s.want(0, []string{"create s2 of f1"}, arrive(2, 1))
	s.want(9*ms, []string{"start i1 on s1 prewarmed"}, worker.Up{Sandbox: 1})
}

func TestMemoryPressureEvictsTheLeastRecentlyUsed(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 4000, Memory: 200 * mib}, fn("a", 1, 100), fn("b", 1, 100), fn("c", 1, 100))
	s.want(0, []string{"create s1 of f1", "create s2 of f2"}, arrive(1, 1), arrive(2, 2))
	s.want(1*ms, []string{"start i1 on s1 cold", "start i2 on s2 cold"}, worker.Up{Sandbox: 1}, worker.Up{Sandbox: 2})
	s.want(2*ms, nil, finish(2, 1*ms))
	s.want(3*ms, nil, finish(1, 2*ms))
	s.want(4*ms, []string{"remove s2 evicted"}, arrive(3, 3))
	s.want(5*ms, nil, arrive(4, 2)) // s2 is leaving: its memory is promised, nothing more is evicted
	s.want(6*ms, []string{"create s3 of f3", "remove s1 evicted"}, worker.Removed{Sandbox: 2})
	s.want(7*ms, []string{"create s4 of f2"}, worker.Removed{Sandbox: 1})
}

func TestNothingIsEvictedInVain(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 4000, Memory: 200 * mib}, fn("a", 1, 100), fn("b", 1, 100), fn("big", 1, 200))
	s.want(0, []string{"create s1 of f1", "create s2 of f2"}, arrive(1, 1), arrive(2, 2))
	s.want(1*ms, []string{"start i1 on s1 cold", "start i2 on s2 cold"}, worker.Up{Sandbox: 1}, worker.Up{Sandbox: 2})
	s.want(2*ms, nil, finish(2, 1*ms))
	s.want(3*ms, nil, arrive(3, 3)) // b alone would not make room
	s.want(4*ms, []string{"remove s2 evicted", "remove s1 evicted"}, finish(1, 3*ms))
	s.want(5*ms, nil, worker.Removed{Sandbox: 2})
	s.want(6*ms, []string{"create s3 of f3"}, worker.Removed{Sandbox: 1})
}

func TestExpiry(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 1000, Memory: 200 * mib, KeepAlive: keepalive.TTL{Idle: 100 * ms}}, fn("a", 1, 64))
	s.want(0, []string{"create s1 of f1"}, arrive(1, 1))
	s.want(10*ms, []string{"start i1 on s1 cold"}, worker.Up{Sandbox: 1})
	if at, ok := s.w.Deadline(); ok {
		t.Errorf("deadline %v while the only sandbox is busy", at)
	}
	s.want(20*ms, nil, finish(1, 10*ms))
	if at, ok := s.w.Deadline(); !ok || at != 120*ms {
		t.Errorf("deadline %v, %v, want 120ms", at, ok)
	}
	s.want(119*ms, nil, worker.Tick{})
	s.want(120*ms, []string{"start i2 on s1 warm"}, arrive(2, 1)) // due now, but wanted now
	s.want(130*ms, nil, finish(2, 10*ms))
	s.want(231*ms, []string{"remove s1 expired", "create s2 of f1"}, arrive(3, 1)) // was due before
}

func TestFailures(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib}, fn("a", 1, 64))
	s.want(0, []string{"fail i9 unknown function"}, arrive(9, 7))
	s.want(0, []string{"create s1 of f1"}, arrive(1, 1))
	s.want(1*ms, nil, arrive(2, 1))
	s.want(2*ms, []string{"fail i1 no sandbox", "create s2 of f1"}, worker.StartFailed{Sandbox: 1})
	s.want(3*ms, []string{"start i2 on s2 cold"}, worker.Up{Sandbox: 2})
	s.want(4*ms, []string{"remove s2 broken"}, worker.Finished{Invocation: 2})
	s.want(5*ms, nil, worker.Removed{Sandbox: 2})
	s.want(6*ms, []string{"create s3 of f1"}, arrive(3, 1))
	s.want(7*ms, nil, worker.Cancel{Invocation: 3})
	s.want(8*ms, nil, worker.Up{Sandbox: 3})
	s.want(9*ms, []string{"remove s3 lost"}, worker.Died{Sandbox: 3})
	s.want(10*ms, nil, worker.Removed{Sandbox: 3}, worker.Drain{})
	s.want(11*ms, []string{"fail i4 draining"}, arrive(4, 1))
	want := worker.Status{MilliCPU: 1000, MilliCPULimit: 1000, Memory: 100 * mib, Draining: true}
	if diff := gocmp.Diff(want, s.w.Status()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestRegisterRefusesTheImpossible(t *testing.T) {
	w := newScript(t, worker.Config{MilliCPU: 2000, Memory: 100 * mib}).w
	for _, f := range []worker.Function{fn("cores", 3, 1), fn("memory", 1, 101), fn("none", 0, 1), fn("nothing", 1, 0)} {
		if _, err := w.Register(f); err == nil {
			t.Errorf("%s was registered", f.Name)
		}
	}
}

func TestEstimate(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 1000, Memory: 200 * mib}, fn("a", 1, 64))
	s.want(0, []string{"create s1 of f1"}, arrive(1, 1))
	s.want(10*ms, []string{"start i1 on s1 cold"}, worker.Up{Sandbox: 1})
	s.want(30*ms, nil, finish(1, 20*ms))
	if wait, service := s.w.Estimate(1); wait != 0 || service != 20*ms {
		t.Errorf("idle: %v, %v, want 0s, 20ms", wait, service)
	}
	s.want(31*ms, []string{"start i2 on s1 warm"}, arrive(2, 1))
	s.want(31*ms, nil, arrive(3, 1), arrive(4, 1))
	if wait, service := s.w.Estimate(1); wait != 60*ms || service != 30*ms {
		t.Errorf("two waiting, none idle: %v, %v, want 60ms, 30ms", wait, service)
	}
}

// world drives a worker through a random life and checks at every step what
// must hold whatever happens.
type world struct {
	*rapid.T
	w        scheduler
	config   worker.Config
	unqueued bool
	most     int64 // mCPU that may be in use
	runs     int   // that may be under way; 0: no limit
	limits   concurrency.Limits
	now      time.Duration
	specs    []worker.Function
	arrived  int
	ended    int // failed, cancelled or finished
	open     []worker.InvocationID
	running  map[worker.InvocationID]worker.SandboxID
	boxes    map[worker.SandboxID]worker.Function
	devices  map[worker.SandboxID]int // of those on GPUs
	starting []worker.SandboxID
	removing []worker.SandboxID
}

func (w *world) handle(ev worker.Event) {
	for _, a := range w.w.Handle(w.now, ev, nil) {
		switch a.Op {
		case worker.Start:
			if at := slices.Index(w.open, a.Invocation); at < 0 {
				w.Fatalf("%s: i%d is not waiting", short(a), a.Invocation)
			} else {
				w.open = slices.Delete(w.open, at, at+1)
			}
			for i, b := range w.running {
				if b == a.Sandbox {
					w.Fatalf("%s: it runs i%d", short(a), i)
				}
			}
			if slices.Contains(w.starting, a.Sandbox) || slices.Contains(w.removing, a.Sandbox) {
				w.Fatalf("%s: it is not up", short(a))
			}
			if a.Dequeued > w.now {
				w.Fatalf("%s: dequeued at %v, now %v", short(a), a.Dequeued, w.now)
			}
			if a.Device != w.devices[a.Sandbox] {
				w.Fatalf("%s: on device %d, the sandbox is on %d", short(a), a.Device, w.devices[a.Sandbox])
			}
			w.running[a.Invocation] = a.Sandbox
			f := w.boxes[a.Sandbox]
			n := 0
			for _, b := range w.running {
				if w.boxes[b].Name == f.Name {
					n++
				}
			}
			if n > w.limits.Of(f.Name) {
				w.Fatalf("%s: %d of %s run, its limit is %d", short(a), n, f.Name, w.limits.Of(f.Name))
			}
		case worker.Create:
			w.boxes[a.Sandbox] = w.specs[a.Function-1]
			if a.Device > 0 {
				w.devices[a.Sandbox] = a.Device
			}
			if on := w.specs[a.Function-1].Compute; on == placement.GPU && a.Device == 0 || on == placement.CPU && a.Device > 0 {
				w.Fatalf("%s: on device %d", short(a), a.Device)
			}
			w.starting = append(w.starting, a.Sandbox)
		case worker.Remove:
			w.removing = append(w.removing, a.Sandbox)
		case worker.Fail:
			w.open = slices.DeleteFunc(w.open, func(i worker.InvocationID) bool { return i == a.Invocation })
			w.ended++
		case worker.Refuse:
		}
	}
	w.check()
}

func (w *world) check() {
	var cpu, mem, leaving int64
	for _, b := range w.boxes {
		mem += b.Memory
	}
	for _, b := range w.removing {
		leaving += w.boxes[b].Memory
	}
	slots, tokens := map[int]int{}, map[int]int{}
	for b := range w.boxes {
		slots[w.devices[b]]++
	}
	for _, b := range w.running {
		if tokens[w.devices[b]]++; w.devices[b] == 0 {
			cpu += w.boxes[b].MilliCPU
		}
	}
	for d := 1; d <= w.config.GPUs.Count; d++ {
		if slots[d] > w.config.GPUs.Slots || tokens[d] > w.config.GPUs.Tokens {
			w.Fatalf("%d sandboxes and %d invocations on device %d", slots[d], tokens[d], d)
		}
	}
	st := w.w.Status()
	switch {
	case st.MemoryUsed != mem || mem > w.config.Memory:
		w.Fatalf("memory ledger %d, sandboxes hold %d of %d", st.MemoryUsed, mem, w.config.Memory)
	case st.MilliCPUUsed < cpu || !w.unqueued && st.MilliCPUUsed > w.most && st.Pending+st.Running > 1:
		w.Fatalf("CPU ledger %d, running hold %d of %d", st.MilliCPUUsed, cpu, w.most)
	case w.runs > 0 && st.Pending+st.Running > w.runs:
		w.Fatalf("%d are under way, %d may be", st.Pending+st.Running, w.runs)
	case st.Idle > 0 && w.config.Memory-mem+leaving < w.config.FreeBuffer:
		w.Fatalf("%d bytes are free or will be, %d should, and %d sandboxes are idle", w.config.Memory-mem+leaving, w.config.FreeBuffer, st.Idle)
	case w.arrived != w.ended+st.Waiting+st.Pending+st.Running || st.Running != len(w.running):
		w.Fatalf("%d arrived, %d ended, status %+v", w.arrived, w.ended, st)
	case st.Waiting+st.Pending > 0 && len(w.running) == 0 && len(w.starting) == 0 && len(w.removing) == 0:
		w.Fatalf("lost wake-up: %+v and nothing under way", st)
	}
}

// computes is where a function of a world runs.
func computes(t *rapid.T, c worker.Config) placement.Compute {
	if c.GPUs.Count == 0 {
		return placement.CPU
	}
	return rapid.SampledFrom([]placement.Compute{placement.CPU, placement.GPU, placement.Both}).Draw(t, "compute")
}

// pick takes a random element out.
func pick[T any](t *rapid.T, s *[]T) T {
	i := rapid.IntRange(0, len(*s)-1).Draw(t, "which")
	x := (*s)[i]
	*s = slices.Delete(*s, i, i+1)
	return x
}

// options are some that the policies have, to be drawn from; "{}" are the defaults.
var options = map[string][]string{
	"":            {"{}"},
	"fixed":       {"{}", `{"overcommit": 0.5}`, `{"overcommit": 2}`, `{"invocations": 1}`, `{"invocations": 3}`, `{"per_function": 1}`, `{"functions": {"f0": 1, "f1": 2}}`, `{"shed_target": 1, "shed_interval": 5000000}`, `{"per_function": 2, "shed_target": 1, "shed_interval": 1}`},
	"aimd":        {"{}", `{"least": 0.1, "step": 0.1}`, `{"per_function": 1, "most": 2}`},
	"edf":         {"{}", `{"admit": true, "slack": 2}`},
	"mqfq":        {"{}", `{"weights": {"f0": 5}, "unknown": 1000000}`},
	"ttl":         {"{}", `{"idle": 20000000}`, `{"idle": 0}`},
	"histogram":   {"{}", `{"bin": 2000000, "bins": 20, "least": 1, "spread": 0}`},
	"little":      {"{}", `{"headroom": 3}`, `{"most": 1}`},
	"quantile":    {"{}", `{"window": 2, "quantile": 1}`},
	"exceptions":  {"{}", "{}", `{"bypass": 5000000}`, `{"bypass": 5000000, "bypass_load": 1}`, `{"backfill": 1}`, `{"backfill": 3}`, `{"most_wait": 15000000}`, `{"most_wait": 1, "backfill": 9, "bypass": 1000000000}`},
	"regression":  {"{}", `{"memory": 0.5}`},
	"sjf":         {"{}", `{"ageing": 0.5}`, `{"unknown": 1000000}`},
	"avail_scale": {"{}", `{"ageing": 2}`},
}

// draw draws a policy of a registry with options, and those for all of its kind.
func draw[P any](t *rapid.T, r *registry.Registry[P], kind string) P {
	name := rapid.SampledFrom(r.Names()).Draw(t, kind)
	own := options[name]
	if own == nil {
		own = options[""]
	}
	texts := []string{rapid.SampledFrom(own).Draw(t, "options")}
	if kind == "queue" && name != "none" {
		texts = append(texts, rapid.SampledFrom(options["exceptions"]).Draw(t, "exceptions"))
	}
	p, err := r.Build(name, func(into any) error {
		for _, text := range texts {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhateverHappens(t *testing.T) { rapid.Check(t, whateverHappens) }

// whateverHappens is a life of a worker: whatever its policies are, every invocation is waiting, under way or ended; no ledger is
// ever over what there is, or under what is held; and nothing waits while nothing happens.
func whateverHappens(t *rapid.T) {
	c := worker.Config{
		MilliCPU: rapid.Int64Range(1, 4).Draw(t, "cores") * 1000, Memory: rapid.Int64Range(3, 8).Draw(t, "memory") * mib,
		FreeBuffer: rapid.SampledFrom([]int64{0, 0, 1, 2}).Draw(t, "buffer") * mib,
		Queue:      draw(t, queue.Builtin(), "queue"), KeepAlive: draw(t, keepalive.Builtin(), "keepalive"),
		Concurrency: draw(t, concurrency.Builtin(), "concurrency"), Dispatch: draw(t, dispatch.Builtin(), "dispatch"),
		Prewarm: draw(t, prewarm.Builtin(), "prewarm"), Estimate: draw(t, estimate.Builtin(), "estimate"),
	}
	liveOf(t, worker.New(c), c)
}

// scheduler is a worker, or one with an error.
type scheduler interface {
	Register(worker.Function) (worker.FunctionID, error)
	Handle(now time.Duration, ev worker.Event, dst []worker.Action) []worker.Action
	Status() worker.Status
	Empty() bool
}

func liveOf(t *rapid.T, s scheduler, c worker.Config) {
	_, unqueued := c.Queue.(queue.Unqueued)
	w := &world{
		T: t, w: s, config: c, unqueued: unqueued, limits: c.Concurrency.Rules(), most: c.MilliCPU,
		running: map[worker.InvocationID]worker.SandboxID{}, boxes: map[worker.SandboxID]worker.Function{}, devices: map[worker.SandboxID]int{},
	}
	switch p := c.Concurrency.(type) {
	case concurrency.Fixed:
		w.most = int64(p.Overcommit * float64(c.MilliCPU))
		w.runs = p.Invocations
	case concurrency.AIMD:
		w.most = int64(p.Most * float64(c.MilliCPU))
	}
	if unqueued {
		w.runs = 0
	}
	if r := c.Queue.Rules(); r.Bypass > 0 {
		w.most, w.runs = max(w.most, int64(r.BypassLoad*float64(c.MilliCPU))), 0
	}
	for i := range 3 {
		f := worker.Function{
			Compute:  computes(t, c),
			Name:     fmt.Sprint("f", i),
			MilliCPU: rapid.Int64Range(1, c.MilliCPU).Draw(t, "cpu"), Memory: rapid.Int64Range(1, 3).Draw(t, "mem") * mib,
		}
		if _, err := w.w.Register(f); err != nil {
			t.Fatal(err)
		}
		w.specs = append(w.specs, f)
	}
	next := worker.InvocationID(0)
	end := func(usable bool) {
		ids := slices.Sorted(func(yield func(worker.InvocationID) bool) {
			for i := range w.running {
				if !yield(i) {
					return
				}
			}
		})
		id := pick(t, &ids)
		delete(w.running, id)
		w.ended++
		w.handle(worker.Finished{Invocation: id, Exec: ms, Usable: usable})
	}
	up := func() { w.handle(worker.Up{Sandbox: pick(t, &w.starting)}) }
	gone := func() {
		id := pick(t, &w.removing)
		delete(w.boxes, id)
		w.handle(worker.Removed{Sandbox: id})
	}
	for range rapid.IntRange(1, 300).Draw(t, "steps") {
		w.now += time.Duration(rapid.Int64Range(0, int64(10*ms)).Draw(t, "pass"))
		switch rapid.IntRange(0, 9).Draw(t, "event") {
		case 0, 1, 2:
			next++
			w.arrived++
			w.open = append(w.open, next)
			w.handle(worker.Arrive{Invocation: next, Function: worker.FunctionID(rapid.IntRange(1, 3).Draw(t, "f"))})
		case 3:
			if len(w.open) > 0 {
				w.ended++
				w.handle(worker.Cancel{Invocation: pick(t, &w.open)})
			}
		case 4:
			if len(w.starting) > 0 {
				up()
			}
		case 5:
			if len(w.starting) > 0 {
				id := pick(t, &w.starting)
				delete(w.boxes, id)
				w.handle(worker.StartFailed{Sandbox: id})
			}
		case 6, 7:
			if len(w.running) > 0 {
				end(rapid.Bool().Draw(t, "usable"))
			}
		case 8:
			if len(w.removing) > 0 {
				gone()
			}
		case 9:
			f := worker.FunctionID(rapid.IntRange(1, 3).Draw(t, "f"))
			w.handle(rapid.SampledFrom([]worker.Event{
				worker.Prewarm{Function: f, Count: 2}, worker.Clean{}, worker.Tick{}, worker.Load{MilliCPU: rapid.Int64Range(0, 9000).Draw(t, "load")},
			}).Draw(t, "other"))
		}
	}
	// Whatever waits is served once things go well.
	for len(w.starting)+len(w.running)+len(w.removing) > 0 {
		switch {
		case len(w.starting) > 0:
			up()
		case len(w.running) > 0:
			end(true)
		default:
			gone()
		}
	}
	w.handle(worker.Clean{})
	for len(w.removing) > 0 {
		gone()
	}
	if st := w.w.Status(); !w.w.Empty() || st.MemoryUsed != 0 || st.MilliCPUUsed != 0 || st.Sandboxes != 0 {
		t.Fatalf("idle and clean, yet %+v", st)
	}
}

func BenchmarkWarm(b *testing.B) {
	w := worker.New(worker.Config{MilliCPU: 1000, Memory: 64 * mib, Queue: queue.FCFS{}, KeepAlive: keepalive.TTL{Idle: time.Hour}})
	if _, err := w.Register(fn("a", 1, 64)); err != nil {
		b.Fatal(err)
	}
	var dst []worker.Action
	w.Handle(0, worker.Prewarm{Function: 1, Count: 1}, nil)
	w.Handle(0, worker.Up{Sandbox: 1}, nil)
	now, id := time.Duration(0), worker.InvocationID(0)
	b.ReportAllocs()
	for b.Loop() {
		now, id = now+ms, id+1
		dst = w.Handle(now, worker.Arrive{Invocation: id, Function: 1}, dst[:0])
		dst = w.Handle(now, worker.Finished{Invocation: id, Usable: true}, dst[:0])
	}
}

// faulty is a worker that does some of what it is told wrongly.
type faulty struct {
	*worker.Worker
	wrong func(worker.Event) worker.Event // nil for none at all
}

func (f faulty) Handle(now time.Duration, ev worker.Event, dst []worker.Action) []worker.Action {
	if ev = f.wrong(ev); ev == nil {
		return dst
	}
	return f.Worker.Handle(now, ev, dst)
}

// A life shows the errors that a worker could have.
func TestLivesCatchMutants(t *testing.T) {
	plain := func() worker.Config {
		return worker.Config{
			MilliCPU: 4000, Memory: 6 * mib, Queue: queue.FCFS{}, KeepAlive: keepalive.LRU{}, FreeBuffer: 2 * mib,
			Concurrency: concurrency.Fixed{Overcommit: 1, Limits: concurrency.Limits{PerFunction: 1}},
		}
	}
	changed := func(change func(*worker.Config)) func(c worker.Config) scheduler {
		return func(c worker.Config) scheduler {
			change(&c)
			return worker.New(c)
		}
	}
	ignores := func(ignored worker.Event) func(c worker.Config) scheduler {
		return func(c worker.Config) scheduler {
			return faulty{worker.New(c), func(ev worker.Event) worker.Event {
				if fmt.Sprintf("%T", ev) == fmt.Sprintf("%T", ignored) {
					return nil
				}
				return ev
			}}
		}
	}
	for name, mutant := range map[string]func(c worker.Config) scheduler{
		"too many cores": changed(func(c *worker.Config) {
			c.Concurrency = concurrency.Fixed{Overcommit: 2, Limits: concurrency.Limits{PerFunction: 1}}
		}),
		"no limit by function": changed(func(c *worker.Config) { c.Concurrency = concurrency.Fixed{Overcommit: 1} }),
		"no queue":             changed(func(c *worker.Config) { c.Queue = queue.None{} }),
		"no buffer":            changed(func(c *worker.Config) { c.FreeBuffer = 0 }),
		"too much memory":      changed(func(c *worker.Config) { c.Memory *= 2 }),
		"deaf to removals":     ignores(worker.Removed{}),
		"deaf to ends":         ignores(worker.Finished{}),
		"deaf to callers":      ignores(worker.Cancel{}),
		"deaf to failures":     ignores(worker.StartFailed{}),
		"a start that leads nowhere": func(c worker.Config) scheduler {
			w := worker.New(c)
			return faulty{w, func(ev worker.Event) worker.Event {
				if e, ok := ev.(worker.Up); ok {
					w.Handle(0, e, nil) // its actions are lost
				}
				return ev
			}}
		},
	} {
		if !caught(func(t *rapid.T) { c := plain(); liveOf(t, mutant(c), c) }) {
			t.Errorf("%s: no life shows it", name)
		}
	}
	if caught(func(t *rapid.T) { c := plain(); liveOf(t, worker.New(c), c) }) {
		t.Error("a worker without an error is taken for one with")
	}
}

// caught reports whether some of the first cases of a property fails.
func caught(property func(*rapid.T)) (failed bool) {
	for seed := range 300 {
		rapid.Custom(func(t *rapid.T) bool {
			held := false
			defer func() { failed = failed || !held }()
			property(t)
			held = true
			return true
		}).Example(seed)
		if failed {
			break
		}
	}
	return failed
}
