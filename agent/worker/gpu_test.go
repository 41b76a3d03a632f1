package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/agent/worker"
)

// onGPU is a function of a core and a MiB that runs there.
func onGPU(name string, on placement.Compute) worker.Function {
	f := fn(name, 1, 1)
	f.Compute = on
	return f
}

func gpus(count, slots, tokens int, q gpuqueue.Policy, p placement.Policy) worker.Config {
	return worker.Config{MilliCPU: 1000, Memory: 64 * mib, GPUs: worker.GPUs{Count: count, Slots: slots, Tokens: tokens, Queue: q, Placement: p}}
}

// gpuScript writes the device too.
type gpuScript struct {
	t   *testing.T
	w   *worker.Worker
	now time.Duration
}

func newGPUScript(t *testing.T, c worker.Config, functions ...worker.Function) *gpuScript {
	return &gpuScript{t: t, w: newScript(t, c, functions...).w}
}

func (s *gpuScript) want(want string, events ...worker.Event) {
	s.t.Helper()
	var got []string
	for _, ev := range events {
		s.now += ms
		for _, a := range s.w.Handle(s.now, ev, nil) {
			text := short(a)
			if a.Device > 0 {
				text += fmt.Sprint(" gpu", a.Device-1)
			}
			got = append(got, text)
		}
	}
	if all := strings.Join(got, "; "); all != want {
		s.t.Errorf("%+v:\n got %s\nwant %s", events, all, want)
	}
}

func end(id int) worker.Event {
	return worker.Finished{Invocation: worker.InvocationID(id), Exec: ms, Usable: true}
}

func up(id int) worker.Event { return worker.Up{Sandbox: worker.SandboxID(id)} }

// One slot, and A, B, A: each has to have the sandbox of the other go, and is cold.
func TestOneSlotIsForOneSandbox(t *testing.T) {
	s := newGPUScript(t, gpus(1, 1, 1, gpuqueue.FCFS{}, placement.AlwaysGPU{}), onGPU("a", placement.GPU), onGPU("b", placement.GPU))
	s.want("create s1 of f1 gpu0", arrive(1, 1), arrive(2, 2), arrive(3, 1))
	s.want("start i1 on s1 cold gpu0", up(1))
	s.want("remove s1 evicted", end(1))
	s.want("create s2 of f2 gpu0", worker.Removed{Sandbox: 1})
	s.want("start i2 on s2 cold gpu0; remove s2 evicted; create s3 of f1 gpu0; start i3 on s3 cold gpu0", up(2), end(2), worker.Removed{Sandbox: 2}, up(3))
	s.want("", end(3))
}

// Three invocations of one function on one GPU run one after the other: prewarmed, warm, warm.
func TestOneTokenIsForOneInvocation(t *testing.T) {
	s := newGPUScript(t, gpus(1, 4, 1, gpuqueue.SJF{}, placement.AlwaysGPU{}), onGPU("a", placement.GPU))
	s.want("create s1 of f1 gpu0", worker.Prewarm{Function: 1, Count: 1}, up(1))
	s.want("start i1 on s1 prewarmed gpu0", arrive(1, 1), arrive(2, 1), arrive(3, 1))
	s.want("start i2 on s1 warm gpu0; start i3 on s1 warm gpu0", end(1), end(2), end(3))
}

// Two GPUs have two sandboxes, and the token is of the device that the sandbox is on.
func TestTokenIsOfTheDeviceOfTheSandbox(t *testing.T) {
	s := newGPUScript(t, gpus(2, 2, 1, gpuqueue.SJF{}, placement.AlwaysGPU{}), onGPU("a", placement.GPU), onGPU("b", placement.GPU))
	s.want("create s1 of f1 gpu0; create s2 of f2 gpu1", arrive(1, 1), arrive(2, 2))
	s.want("start i2 on s2 cold gpu1; start i1 on s1 cold gpu0", up(2), up(1))
	// The second of a waits for a token, not for gpu0: b's device is free first.
	s.want("create s3 of f1 gpu1", arrive(3, 1), end(2))
	s.want("start i3 on s3 cold gpu1", up(3), end(1))
	// Both are on gpu0 and gpu1 now; that which is used next is on the one with a token.
	s.want("start i4 on s1 warm gpu0", arrive(4, 1))
}

// Slots alternate over devices: first and third on one, second and fourth on the other.
func TestSlotsAlternate(t *testing.T) {
	c := gpus(2, 8, 8, gpuqueue.SJF{}, placement.AlwaysGPU{})
	s := newGPUScript(t, c, onGPU("a", placement.GPU))
	s.want("create s1 of f1 gpu0; create s2 of f1 gpu1; create s3 of f1 gpu0; create s4 of f1 gpu1", worker.Prewarm{Function: 1, Count: 4})
	if st := s.w.Status(); st.GPUs != 2 || st.Starting != 4 {
		t.Errorf("%+v", st)
	}
}

// The memory of a device is that of the sandboxes on it.
func TestGPUMemory(t *testing.T) {
	f := onGPU("a", placement.GPU)
	f.GPUMemory = 128
	c := gpus(2, 1024, 1024, gpuqueue.SJF{}, placement.AlwaysGPU{})
	c.GPUs.Memory = 512
	s := newScript(t, c, f)
	if s.w.Handle(0, worker.Prewarm{Function: 1, Count: 100}, nil); s.w.Status().Starting != 2*(512/128) {
		t.Errorf("%d sandboxes, want 8", s.w.Status().Starting)
	}
	f.GPUMemory = 513
	if _, err := s.w.Register(f); err == nil || !strings.Contains(err.Error(), "asks for 513 bytes of a GPU, each has 512") {
		t.Errorf("registered, or %v", err)
	}
	none := newScript(t, worker.Config{MilliCPU: 1000, Memory: mib})
	if _, err := none.w.Register(onGPU("a", placement.GPU)); err == nil || err.Error() != "function a runs on a GPU, the worker has none" {
		t.Errorf("registered, or %v", err)
	}
	if _, err := none.w.Register(onGPU("a", placement.Both)); err != nil {
		t.Error(err) // it has a CPU
	}
}

// All that waits of a function is a batch, which holds a sandbox and a token to its end.
func TestBatch(t *testing.T) {
	s := newGPUScript(t, gpus(1, 2, 1, gpuqueue.OldestBatch{}, placement.AlwaysGPU{}), onGPU("a", placement.GPU), onGPU("b", placement.GPU))
	s.want("create s1 of f2 gpu0", arrive(9, 2))
	for i, f := range []int{1, 2, 1, 1} {
		s.want("", arrive(worker.InvocationID(i+1), worker.FunctionID(f)))
	}
	s.want("start i9 on s1 cold gpu0; create s2 of f1 gpu0", up(1), end(9))
	s.want("start i1 on s2 cold gpu0", up(2))
	s.want("", worker.Cancel{Invocation: 3})
	if st := s.w.Status(); st.Pending != 1 || st.Waiting != 1 || st.Running != 1 {
		t.Errorf("%+v", st)
	}
	s.want("start i4 on s2 warm gpu0; start i2 on s1 warm gpu0", end(1), end(4))
	s.want("", end(2))
}

// A sandbox that does not start fails the first of its batch; the rest wait again.
func TestBatchWhoseSandboxFails(t *testing.T) {
	s := newGPUScript(t, gpus(1, 1, 1, gpuqueue.OldestBatch{}, placement.AlwaysGPU{}), onGPU("a", placement.GPU), onGPU("b", placement.GPU))
	s.want("create s1 of f2 gpu0", arrive(1, 2), arrive(2, 1), arrive(3, 1))
	s.want("fail i1 no sandbox gpu0; create s2 of f1 gpu0", worker.StartFailed{Sandbox: 1})
	s.want("fail i2 no sandbox gpu0; create s3 of f1 gpu0", worker.StartFailed{Sandbox: 2})
	s.want("start i3 on s3 cold gpu0", up(3))
	s.want("remove s3 broken", worker.Finished{Invocation: 3})
	s.want("", worker.Removed{Sandbox: 3})
	if st := s.w.Status(); !s.w.Empty() || st.Sandboxes != 0 || st.MemoryUsed != 0 {
		t.Errorf("%+v", st)
	}
}

// What waits for both starts where it can first, and is out of the other queue then.
func TestBothQueues(t *testing.T) {
	s := newGPUScript(t, gpus(1, 1, 1, gpuqueue.FCFS{}, placement.All{}), onGPU("a", placement.Both))
	s.want("create s1 of f1", arrive(1, 1))
	s.want("create s2 of f1 gpu0", arrive(2, 1))
	s.want("", arrive(3, 1))
	if st := s.w.Status(); st.Waiting != 1 || st.GPUsWaiting != 1 {
		t.Errorf("%+v", st)
	}
	s.want("start i1 on s1 cold; start i2 on s2 cold gpu0; start i3 on s2 warm gpu0", up(1), up(2), end(2))
	if st := s.w.Status(); st.Waiting != 0 || st.GPUsWaiting != 0 || st.Running != 2 {
		t.Errorf("%+v", st)
	}
}

// A GPU call waits for no cores, and none of CPU for it.
func TestGPUCallsTakeNoCores(t *testing.T) {
	s := newGPUScript(t, gpus(1, 1, 1, gpuqueue.FCFS{}, placement.AlwaysGPU{}), fn("cpu", 1, 1), onGPU("gpu", placement.Both))
	s.want("create s1 of f1; create s2 of f2 gpu0", arrive(1, 1), arrive(2, 2))
	if st := s.w.Status(); st.MilliCPUUsed != 1000 {
		t.Errorf("%d mCPU in use", st.MilliCPUUsed)
	}
}

// The completion that is estimated has the start-up that is needed, on either device.
func TestEstCompletionKnowsWhatIsWarm(t *testing.T) {
	s := newGPUScript(t, gpus(1, 1, 1, gpuqueue.FCFS{}, placement.EstCompletion{}), onGPU("a", placement.Both))
	s.want("create s1 of f1; start i1 on s1 cold", arrive(1, 1), up(1), end(1)) // the CPU is tried, then a GPU
	s.want("create s2 of f1 gpu0; start i2 on s2 cold gpu0", arrive(2, 1), up(2), worker.Finished{Invocation: 2, Exec: ms / 2, Usable: true})
	s.want("start i3 on s2 warm gpu0", arrive(3, 1)) // half as long
	s.want("remove s2 lost; start i4 on s1 warm", end(3), worker.Died{Sandbox: 2}, worker.Removed{Sandbox: 2}, arrive(4, 1))
}

func TestWhateverHappensOnGPUs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := worker.Config{
			MilliCPU: rapid.Int64Range(1, 4).Draw(t, "cores") * 1000, Memory: rapid.Int64Range(3, 8).Draw(t, "memory") * mib,
			Queue: draw(t, queue.Builtin(), "queue"), KeepAlive: draw(t, keepalive.Builtin(), "keepalive"),
			Concurrency: concurrency.Fixed{Overcommit: 1}, Dispatch: draw(t, dispatch.Builtin(), "dispatch"),
			Prewarm: draw(t, prewarm.Builtin(), "prewarm"), Estimate: draw(t, estimate.Builtin(), "estimate"),
			GPUs: worker.GPUs{
				Count: rapid.IntRange(1, 3).Draw(t, "gpus"), Slots: rapid.IntRange(1, 3).Draw(t, "slots"), Tokens: rapid.IntRange(1, 3).Draw(t, "tokens"),
				Queue: draw(t, gpuqueue.Builtin(), "gpu_queue"), Placement: draw(t, placement.Builtin(), "placement"),
			},
		}
		liveOf(t, worker.New(c), c)
	})
}

// A life shows what a worker could do wrongly with its GPUs.
func TestLivesCatchMutantsOfGPUs(t *testing.T) {
	plain := func() worker.Config {
		c := gpus(2, 1, 1, gpuqueue.FCFS{}, placement.All{})
		c.Queue, c.KeepAlive, c.Concurrency = queue.FCFS{}, keepalive.LRU{}, concurrency.Fixed{Overcommit: 1}
		return c
	}
	for name, change := range map[string]func(*worker.GPUs){
		"too many slots":   func(g *worker.GPUs) { g.Slots = 2 },
		"too many tokens":  func(g *worker.GPUs) { g.Slots, g.Tokens = 2, 2 },
		"devices mixed up": func(g *worker.GPUs) { g.Count, g.Slots = 1, 2 },
	} {
		if !caught(func(t *rapid.T) {
			c := plain()
			wrong := c
			change(&wrong.GPUs)
			liveOf(t, worker.New(wrong), c)
		}) {
			t.Errorf("%s: no life shows it", name)
		}
	}
	if caught(func(t *rapid.T) { c := plain(); liveOf(t, worker.New(c), c) }) {
		t.Error("a worker without an error is taken for one with")
	}
}
