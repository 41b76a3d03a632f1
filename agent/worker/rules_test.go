package worker_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/agent/worker"
)

// warmed is a script in which each function has idle sandboxes, of which the last used is that of the highest number. As many as
// there are cores for have executed for so long, which has passed.
func warmed(t *testing.T, c worker.Config, exec time.Duration, each int, functions ...worker.Function) *script {
	t.Helper()
	s := newScript(t, c, functions...)
	box := worker.SandboxID(0)
	for f := range worker.FunctionID(len(functions)) {
		s.w.Handle(0, worker.Prewarm{Function: f + 1, Count: each}, nil)
		for range each {
			box++
			s.w.Handle(0, worker.Up{Sandbox: box}, nil)
		}
		var started []worker.InvocationID
		for i := range worker.InvocationID(each) {
			if len(s.w.Handle(0, arrive(1000+i, f+1), nil)) > 0 {
				started = append(started, 1000+i)
			} else {
				s.w.Handle(0, worker.Cancel{Invocation: 1000 + i}, nil)
			}
		}
		for _, i := range slices.Backward(started) { // the first was given the last
			s.w.Handle(exec, finish(i, exec), nil)
		}
	}
	return s
}

func TestBackFill(t *testing.T) {
	fcfs := func(n int) queue.Policy { return queue.FCFS{Exceptions: queue.Exceptions{BackFill: n}} }
	small, big := fn("small", 1, 1), fn("big", 3, 1)

	s := warmed(t, worker.Config{MilliCPU: 3000, Memory: 100 * mib, Queue: fcfs(2)}, ms, 3, small, big)
	s.want(1*ms, []string{"start i1 on s3 warm"}, arrive(1, 1))
	s.want(2*ms, nil, arrive(2, 2))
	s.want(3*ms, []string{"start i3 on s2 warm", "start i4 on s1 warm"}, arrive(3, 1), arrive(4, 1)) // past i2
	s.want(4*ms, nil, arrive(5, 1))
	s.want(5*ms, nil, finish(1, ms), finish(3, ms)) // i2 was passed twice
	s.want(6*ms, []string{"start i2 on s6 warm"}, finish(4, ms))
	s.want(7*ms, []string{"start i5 on s1 warm"}, finish(2, ms))

	// Where memory is short what has a sandbox passes, and what would take memory does not.
	s = newScript(t, worker.Config{MilliCPU: 4000, Memory: 100 * mib, Queue: fcfs(9)}, fn("a", 1, 40), fn("large", 1, 90), fn("b", 1, 40))
	s.want(0, []string{"create s1 of f1"}, worker.Prewarm{Function: 1, Count: 1})
	s.want(1*ms, nil, worker.Up{Sandbox: 1})
	s.want(2*ms, []string{"start i1 on s1 prewarmed"}, arrive(1, 1))
	s.want(3*ms, nil, arrive(2, 2), arrive(3, 3))
	s.want(4*ms, []string{"remove s1 evicted"}, finish(1, ms))
	s.want(5*ms, []string{"create s2 of f2"}, worker.Removed{Sandbox: 1})

	// It looks at no more behind the first than may pass it.
	s = warmed(t, worker.Config{MilliCPU: 3000, Memory: 100 * mib, Queue: fcfs(1)}, ms, 3, small, big)
	s.want(1*ms, []string{"start i1 on s3 warm"}, arrive(1, 1))
	s.want(2*ms, nil, arrive(2, 2), arrive(3, 2), arrive(4, 1))

	// Without the option nothing passes.
	s = warmed(t, worker.Config{MilliCPU: 3000, Memory: 100 * mib}, ms, 3, small, big)
	s.want(1*ms, []string{"start i1 on s3 warm"}, arrive(1, 1))
	s.want(2*ms, nil, arrive(2, 2), arrive(3, 1))
}

func TestBypass(t *testing.T) {
	p := queue.FCFS{Exceptions: queue.Exceptions{Bypass: 5 * ms, BypassLoad: 2}}
	s := warmed(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: p}, 5*ms, 2, fn("short", 1, 1))
	s.want(10*ms, []string{"start i1 on s2 warm"}, arrive(1, 1))
	s.want(11*ms, []string{"start i2 on s1 prewarmed"}, arrive(2, 1)) // twice the cores are in use
	s.want(12*ms, nil, arrive(3, 1))                                  // no sandbox is idle: it queues
	s.want(13*ms, nil, finish(1, 5*ms))                               // s2 is, and a core is not
	s.want(14*ms, []string{"start i3 on s1 warm"}, finish(2, 5*ms))

	s = warmed(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: p}, 6*ms, 2, fn("long", 1, 1))
	s.want(10*ms, []string{"start i1 on s2 warm"}, arrive(1, 1))
	s.want(11*ms, nil, arrive(2, 1))
	s = newScript(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: p}, fn("unknown", 1, 1))
	s.want(0, []string{"create s1 of f1", "create s2 of f1"}, worker.Prewarm{Function: 1, Count: 2})
	s.want(1*ms, nil, worker.Up{Sandbox: 1}, worker.Up{Sandbox: 2})
	s.want(2*ms, []string{"start i1 on s2 prewarmed"}, arrive(1, 1))
	s.want(3*ms, nil, arrive(2, 1)) // never seen is not short

	c := worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: p, Concurrency: concurrency.Fixed{Overcommit: 1, Limits: concurrency.Limits{PerFunction: 1}}}
	s = warmed(t, c, 5*ms, 2, fn("limited", 1, 1))
	s.want(10*ms, []string{"start i1 on s2 warm"}, arrive(1, 1))
	s.want(11*ms, nil, arrive(2, 1))
}

// What has waited for too long goes first, and nothing past it.
func TestMostWait(t *testing.T) {
	p := queue.SJF{Exceptions: queue.Exceptions{MostWait: 10 * ms, BackFill: 9}}
	s := newScript(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: p}, fn("long", 1, 1), fn("short", 1, 1))
	for f := range worker.FunctionID(2) {
		s.w.Handle(0, arrive(worker.InvocationID(100+f), f+1), nil)
		s.w.Handle(0, worker.Up{Sandbox: worker.SandboxID(f + 1)}, nil)
		s.w.Handle(0, finish(worker.InvocationID(100+f), time.Duration(9-8*f)*ms), nil)
	}
	s.want(0, []string{"start i1 on s2 warm"}, arrive(1, 2))
	s.want(1*ms, nil, arrive(2, 1), arrive(3, 2), arrive(4, 2))
	s.want(2*ms, []string{"start i3 on s2 warm"}, finish(1, ms))
	s.want(11*ms, []string{"start i4 on s2 warm"}, finish(3, ms)) // i2 has waited for as long, not for longer
	s.want(11*ms, nil, arrive(5, 2))
	s.want(12*ms, []string{"start i2 on s1 warm"}, finish(4, ms))

	s = warmed(t, worker.Config{MilliCPU: 2000, Memory: 100 * mib, Queue: p}, ms, 2, fn("small", 1, 1), fn("big", 2, 1))
	s.want(10*ms, []string{"start i1 on s2 warm"}, arrive(1, 1))
	s.want(11*ms, nil, arrive(2, 2))
	s.want(12*ms, []string{"start i3 on s1 warm"}, arrive(3, 1))
	s.want(22*ms, nil, finish(3, ms), arrive(4, 1))
}

func TestLimitsOfFunctions(t *testing.T) {
	c := worker.Config{MilliCPU: 4000, Memory: 100 * mib, Concurrency: concurrency.Fixed{Overcommit: 1, Limits: concurrency.Limits{Functions: map[string]float64{"one": 1}}}}
	s := warmed(t, c, ms, 2, fn("one", 1, 1), fn("any", 1, 1))
	s.want(1*ms, []string{"start i1 on s2 warm"}, arrive(1, 1))
	s.want(2*ms, []string{"start i4 on s4 warm"}, arrive(2, 1), arrive(3, 1), arrive(4, 2)) // i2 and i3 hold nobody up
	if st := s.w.Status(); st.Waiting != 2 {
		t.Errorf("%d wait", st.Waiting)
	}
	s.want(3*ms, nil, worker.Cancel{Invocation: 2})
	s.want(4*ms, []string{"start i3 on s2 warm"}, finish(1, ms))
	s.want(5*ms, nil, arrive(5, 1), arrive(6, 1))
	s.want(6*ms, []string{"start i5 on s2 warm"}, finish(3, ms))
	s.want(7*ms, []string{"start i6 on s2 warm"}, finish(5, ms))
	s.want(8*ms, nil, finish(6, ms), finish(4, ms))
}

func TestShed(t *testing.T) {
	c := worker.Config{MilliCPU: 1000, Memory: 100 * mib, Concurrency: concurrency.Fixed{Overcommit: 1, Limits: concurrency.Limits{ShedTarget: 2 * ms, ShedInterval: 10 * ms}}}
	s := warmed(t, c, ms, 1, fn("a", 1, 1))
	s.want(10*ms, []string{"start i1 on s1 warm"}, arrive(1, 1))
	s.want(10*ms, nil, arrive(2, 1), arrive(3, 1), arrive(4, 1), arrive(5, 1), arrive(6, 1))
	s.want(16*ms, []string{"start i2 on s1 warm"}, finish(1, ms))
	s.want(22*ms, []string{"start i3 on s1 warm"}, finish(2, ms))
	// For an interval the least wait was over the target: what waited for over twice that goes, but for the last.
	s.want(33*ms, []string{"fail i4 all that waits does so for too long", "fail i5 all that waits does so for too long", "start i6 on s1 warm"}, finish(3, ms))
	s.want(34*ms, nil, finish(6, ms))
}

func TestAIMDFollowsTheLoad(t *testing.T) {
	c := worker.Config{MilliCPU: 1000, Memory: 100 * mib, Concurrency: concurrency.AIMD{Load: 1, Least: 1, Most: 4, Step: 1, Cut: 0.5, Every: time.Second}}
	s := warmed(t, c, ms, 4, fn("a", 1, 1))
	if got := s.w.Sampling(); got != time.Second {
		t.Errorf("loads are wanted every %v", got)
	}
	s.want(1*ms, []string{"start i1 on s4 warm"}, arrive(1, 1), arrive(2, 1), arrive(3, 1))
	s.want(2*ms, []string{"start i2 on s3 prewarmed"}, worker.Load{MilliCPU: 500})
	s.want(3*ms, []string{"start i3 on s2 prewarmed"}, worker.Load{MilliCPU: 1000})
	s.want(4*ms, nil, worker.Load{MilliCPU: 1001}, arrive(4, 1))
	s.want(5*ms, nil, finish(1, ms), finish(2, ms))
	if got := s.w.Status().MilliCPULimit; got != 1500 {
		t.Errorf("the limit is %d", got)
	}
	s.want(6*ms, []string{"start i4 on s2 warm"}, finish(3, ms))
}

// What is larger than the limit runs alone.
func TestLimitUnderAFunction(t *testing.T) {
	s := warmed(t, worker.Config{MilliCPU: 2000, Memory: 100 * mib, Concurrency: concurrency.Fixed{Overcommit: 0.5}}, ms, 2, fn("a", 2, 1))
	s.want(1*ms, []string{"start i1 on s2 warm"}, arrive(1, 1), arrive(2, 1))
	s.want(2*ms, []string{"start i2 on s2 warm"}, finish(1, ms))
}

func TestFreeBuffer(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 2000, Memory: 100 * mib, FreeBuffer: 50 * mib}, fn("a", 1, 40), fn("b", 1, 40))
	s.want(0, []string{"create s1 of f1", "create s2 of f2"}, arrive(1, 1), arrive(2, 2)) // what is called may use it
	s.want(1*ms, []string{"start i1 on s1 cold", "start i2 on s2 cold"}, worker.Up{Sandbox: 1}, worker.Up{Sandbox: 2})
	s.want(2*ms, []string{"remove s1 buffered"}, finish(1, ms)) // and what is idle may not
	s.want(3*ms, nil, finish(2, ms), worker.Removed{Sandbox: 1})
	s.want(4*ms, []string{"refuse f1 no memory"}, worker.Prewarm{Function: 1, Count: 1})
}

func TestDispatch(t *testing.T) {
	for oldest, again := range map[bool]string{false: "s3", true: "s1"} {
		s := warmed(t, worker.Config{MilliCPU: 4000, Memory: 100 * mib, Dispatch: dispatch.Policy{Oldest: oldest}}, ms, 3, fn("a", 1, 1))
		s.want(2*ms, []string{"start i1 on s3 warm"}, arrive(1, 1)) // it became idle last where the last used serves, first where the first does
		s.want(3*ms, []string{"start i2 on s2 warm"}, arrive(2, 1))
		s.want(4*ms, nil, finish(1, ms))
		s.want(5*ms, []string{"start i3 on " + again + " warm"}, arrive(3, 1))
	}
}

func TestPrewarmByLittlesLaw(t *testing.T) {
	s := newScript(t, worker.Config{MilliCPU: 8000, Memory: 100 * mib, Prewarm: prewarm.Little{Headroom: 1, Most: 100}}, fn("a", 1, 1))
	s.want(0, []string{"create s1 of f1"}, arrive(1, 1))
	s.want(1*ms, []string{"start i1 on s1 cold"}, worker.Up{Sandbox: 1})
	s.want(31*ms, nil, finish(1, 30*ms))
	// One every 10 ms, each for 30 ms: three are busy on average.
	s.want(41*ms, []string{"start i2 on s1 warm"}, arrive(2, 1)) // 41 ms apart
	s.want(42*ms, []string{"create s2 of f1"}, arrive(3, 1))
	for i := range 60 {
		s.w.Handle(time.Duration(50+10*i)*ms, arrive(worker.InvocationID(10+i), 1), nil)
	}
	if st := s.w.Status(); st.Sandboxes < 3 {
		t.Errorf("%+v", st)
	}
}

func TestPrewarmByHistogram(t *testing.T) {
	times := estimate.Times{Bin: time.Minute, Bins: 240, Least: 3, Spread: 2, Outside: 0.5}
	c := worker.Config{
		MilliCPU: 1000, Memory: 100 * mib, KeepAlive: keepalive.Histogram{Tail: 0.99, Margin: 0.1, Idle: time.Minute, Times: times},
		Prewarm: prewarm.Histogram{Head: 0.05, Margin: 0.1, Times: times},
	}
	s := newScript(t, c, fn("a", 1, 1))
	now, box := time.Duration(0), worker.SandboxID(0)
	for i := range worker.InvocationID(4) { // every half hour, each time cold
		box++
		s.want(now, []string{fmt.Sprintf("create s%d of f1", box)}, arrive(i+1, 1))
		s.want(now, []string{fmt.Sprintf("start i%d on s%d cold", i+1, box)}, worker.Up{Sandbox: box})
		if i == 3 {
			break
		}
		s.want(now, nil, finish(i+1, ms))
		s.want(now+time.Minute, []string{fmt.Sprintf("remove s%d expired", box)}, worker.Tick{})
		s.want(now+time.Minute, nil, worker.Removed{Sandbox: box})
		now += 30*time.Minute + time.Second
	}
	// Now it is known. Nothing is kept, and one is made at nine tenths of the half hour.
	s.want(now, []string{"remove s4 expired"}, finish(4, ms))
	s.want(now, nil, worker.Removed{Sandbox: 4})
	if at, ok := s.w.Deadline(); !ok || at != now+27*time.Minute {
		t.Fatalf("next at %v, %v, want %v", at, ok, now+27*time.Minute)
	}
	s.want(now+27*time.Minute, []string{"create s5 of f1"}, worker.Tick{})
	s.want(now+27*time.Minute, nil, worker.Up{Sandbox: 5})
	if at, ok := s.w.Deadline(); !ok || at != now+31*time.Minute*11/10 {
		t.Fatalf("it is kept until %v, %v, want %v", at, ok, now+31*time.Minute*11/10)
	}
	s.want(now+30*time.Minute, []string{"start i5 on s5 prewarmed"}, arrive(5, 1))
	// None is made for what has come already, and still runs.
	now += 31 * time.Minute
	s.want(now, []string{"remove s5 expired"}, finish(5, ms))
	s.want(now, nil, worker.Removed{Sandbox: 5})
	s.want(now+20*time.Minute, []string{"create s6 of f1"}, arrive(6, 1))
	s.want(now+20*time.Minute, []string{"start i6 on s6 cold"}, worker.Up{Sandbox: 6})
	s.want(now+27*time.Minute, nil, worker.Tick{})
	s.want(now+28*time.Minute, []string{"remove s6 expired"}, finish(6, ms))

	// Where one is idle when it is due, or one of two goes on, none is made.
	c.KeepAlive, c.MilliCPU = keepalive.LRU{}, 2000
	c.Prewarm = prewarm.Histogram{Head: 0.5, Margin: 0.1, Times: times}
	s = newScript(t, c, fn("a", 1, 1))
	s.want(0, []string{"create s1 of f1", "create s2 of f1"}, worker.Prewarm{Function: 1, Count: 2})
	s.want(0, nil, worker.Up{Sandbox: 1}, worker.Up{Sandbox: 2})
	for i := range worker.InvocationID(4) {
		now := time.Duration(i) * (30*time.Minute + time.Second)
		s.w.Handle(now, arrive(i+1, 1), nil)
		s.want(now, nil, finish(i+1, ms))
	}
	at, ok := s.w.Deadline()
	if !ok {
		t.Fatal("nothing is planned")
	}
	s.want(at, nil, worker.Tick{})
	s.w.Handle(at, arrive(5, 1), nil)
	s.w.Handle(at, arrive(6, 1), nil)
	s.want(at+ms, nil, finish(5, ms))
	if at, ok := s.w.Deadline(); ok {
		t.Errorf("one is planned for %v while another is under way", at)
	}
}

// keeping is LRU that writes down what it sees.
type keeping struct {
	keepalive.Keeper
	seen *[]keepalive.Idle
}

func (k keeping) New() keepalive.Keeper { return keeping{keepalive.LRU{}.New(), k.seen} }
func (k keeping) Priority(s keepalive.Idle) float64 {
	*k.seen = append(*k.seen, s)
	return k.Keeper.Priority(s)
}

// The invocations of a function count while it has a sandbox.
func TestFrequencyGoesWithTheLastSandbox(t *testing.T) {
	var seen []keepalive.Idle
	s := newScript(t, worker.Config{MilliCPU: 4000, Memory: 100 * mib, KeepAlive: keeping{seen: &seen}}, fn("a", 1, 1))
	ends := func(id worker.InvocationID, want int64) {
		t.Helper()
		s.w.Handle(s.now, finish(id, ms), nil)
		if got := seen[len(seen)-1].Calls; got != want {
			t.Errorf("after i%d: %d calls, want %d", id, got, want)
		}
	}
	s.want(0, []string{"create s1 of f1", "create s2 of f1"}, arrive(1, 1), arrive(2, 1))
	s.want(1*ms, []string{"start i1 on s1 cold", "start i2 on s2 cold"}, worker.Up{Sandbox: 1}, worker.Up{Sandbox: 2})
	ends(1, 2)
	ends(2, 2)
	s.want(2*ms, []string{"remove s1 lost"}, worker.Died{Sandbox: 1})
	s.want(3*ms, []string{"start i3 on s2 warm"}, arrive(3, 1))
	ends(3, 3)
	s.want(4*ms, []string{"remove s2 cleaned"}, worker.Clean{})
	s.want(5*ms, []string{"create s3 of f1"}, arrive(4, 1))
	s.want(6*ms, []string{"fail i4 no sandbox", "create s4 of f1"}, worker.StartFailed{Sandbox: 3}, arrive(5, 1))
	s.want(7*ms, []string{"start i5 on s4 cold"}, worker.Up{Sandbox: 4})
	ends(5, 1)
}

// Idle sandboxes are used in their order, whichever of them is lost.
func TestIdleSandboxesStayInOrder(t *testing.T) {
	for lost := range worker.SandboxID(4) {
		for _, oldest := range []bool{false, true} {
			s := warmed(t, worker.Config{MilliCPU: 4000, Memory: 100 * mib, Dispatch: dispatch.Policy{Oldest: oldest}}, ms, 3, fn("a", 1, 1))
			order := []worker.SandboxID{3, 2, 1} // of use, by either policy
			if s.w.Handle(2*ms, worker.Died{Sandbox: lost}, nil); lost > 0 {
				order = slices.DeleteFunc(order, func(b worker.SandboxID) bool { return b == lost })
			}
			for i, b := range order {
				s.want(3*ms, []string{fmt.Sprintf("start i%d on s%d warm", i+1, b)}, arrive(worker.InvocationID(i+1), 1))
			}
		}
	}
}

// Predictions are by the state that a sandbox is found in, and what was never seen is known not to be.
func TestEstimatesByState(t *testing.T) {
	var seen []queue.Item
	s := newScript(t, worker.Config{MilliCPU: 4000, Memory: 100 * mib, Queue: spy{&seen}}, fn("a", 1, 1))
	s.want(0, []string{"create s1 of f1"}, arrive(1, 1))
	s.want(40*ms, []string{"start i1 on s1 cold"}, worker.Up{Sandbox: 1})
	s.want(50*ms, nil, finish(1, 10*ms))
	s.want(50*ms, []string{"start i2 on s1 warm"}, arrive(2, 1))
	s.want(52*ms, nil, finish(2, 2*ms))
	s.want(60*ms, []string{"start i3 on s1 warm", "create s2 of f1"}, arrive(3, 1), arrive(4, 1))
	want := []queue.Item{
		{}, // nothing is known
		{Known: true, Exec: 10 * ms, Expected: 10 * ms, Alone: 10 * ms}, // of a warm sandbox not
		{Known: true, Exec: 2 * ms, Expected: 2 * ms, Alone: 2 * ms},
		{Known: true, Exec: 10 * ms, Expected: 50 * ms, Alone: 50 * ms}, // no sandbox is idle: cold
	}
	for i, it := range seen {
		if got := (queue.Item{Known: it.Known, Exec: it.Exec, Expected: it.Expected, Alone: it.Alone}); got != want[i] {
			t.Errorf("%d: %+v, want %+v", i+1, got, want[i])
		}
	}

	// A sandbox is idle, and no core is: of two that wait, one is taken to find it.
	seen = nil
	s = newScript(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: spy{&seen}}, fn("a", 1, 1))
	s.want(0, []string{"create s1 of f1", "create s2 of f1"}, worker.Prewarm{Function: 1, Count: 2})
	s.want(40*ms, nil, worker.Up{Sandbox: 1}, worker.Up{Sandbox: 2})
	s.want(41*ms, []string{"start i1 on s2 prewarmed"}, arrive(1, 1))
	s.want(43*ms, nil, finish(1, 2*ms))
	s.want(44*ms, []string{"start i2 on s2 warm"}, arrive(2, 1), arrive(3, 1), arrive(4, 1))
	for i, alone := range []time.Duration{2 * ms, 42 * ms} {
		if it := seen[i+2]; it.Expected != 2*ms || it.Alone != alone {
			t.Errorf("i%d is expected to take %v, and alone %v, want 2ms and %v", i+3, it.Expected, it.Alone, alone)
		}
	}
}

// spy is FCFS that writes down what it sees.
type spy struct{ seen *[]queue.Item }

func (s spy) New() queue.Order                    { return s }
func (spy) Rules() queue.Exceptions               { return queue.Exceptions{} }
func (spy) Leave(queue.Item, time.Duration, bool) {}
func (s spy) Rank(it queue.Item) (rank time.Duration) {
	*s.seen = append(*s.seen, it)
	return it.Arrived
}

// The queues that starve nothing: under a load that is twice what one core can serve, of executions that any policy could like
// better than the one that waits, that one starts.
func TestNothingStarves(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		starves       bool
	}{
		{"fcfs", `{}`, false},
		{"eedf", `{}`, false},
		{"eedf", `{"weight": 10}`, false},
		{"edf", `{}`, false},
		{"edf", `{"slack": 5}`, false},
		{"mqfq", `{}`, false},
		{"mqfq", `{"weights": {"quick": 50}}`, false},
		{"drr", `{}`, false},
		{"drr", `{"quantum": 1000000}`, false},
		{"sjf", `{"ageing": 0.1}`, false},
		{"sjf", `{"most_wait": 1000000000}`, false},
		{"cold_priority", `{"ageing": 0.1}`, false},
		{"avail_scale", `{"most_wait": 1000000000}`, false},
		{"rare", `{"ageing": 1}`, false},
		{"sjf", `{"backfill": 5, "most_wait": 1000000000}`, false},
		{"fcfs", `{"backfill": 5}`, false},
		{"sjf", `{}`, true}, // as the theory has it
		{"cold_priority", `{}`, true},
		{"avail_scale", `{}`, true},
	} {
		p, err := queue.Builtin().Build(tt.name, func(into any) error { return json.Unmarshal([]byte(tt.options), into) })
		if err != nil {
			t.Fatal(err)
		}
		if waited := starve(t, p); (waited > 30*time.Second) != tt.starves {
			t.Errorf("%s %s: the slow one waits for %v", tt.name, tt.options, waited)
		}
	}
}

// starve is how long an invocation that takes 100 ms waits behind those of 1 ms that come twice as often as
// one core can serve them, but a minute at most.
func starve(t *testing.T, p queue.Policy) time.Duration {
	t.Helper()
	quick, slow := fn("quick", 1, 1), fn("slow", 1, 1)
	quick.Timeout, slow.Timeout = 100*ms, 10*time.Second
	s := newScript(t, worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: p}, quick, slow)
	for f := range worker.FunctionID(2) {
		s.w.Handle(0, arrive(worker.InvocationID(f+1), f+1), nil)
		s.w.Handle(0, worker.Up{Sandbox: worker.SandboxID(f + 1)}, nil)
		s.w.Handle(0, finish(worker.InvocationID(f+1), []time.Duration{ms, 100 * ms}[f]), nil)
	}
	const that = 3
	next, running := worker.InvocationID(that), worker.InvocationID(0)
	do := func(now time.Duration, ev worker.Event) (started bool) {
		for _, a := range s.w.Handle(now, ev, nil) {
			if a.Op == worker.Start {
				running = a.Invocation
				started = started || a.Invocation == that
			}
		}
		return started
	}
	do(ms, arrive(100, 1))
	for now := ms; now < time.Minute; now += ms / 2 {
		if now == 2*ms && do(now, arrive(that, 2)) {
			return 0
		}
		next = max(next, 1000) + 1
		if do(now, arrive(next, 1)) {
			return now - 2*ms
		}
		if now%ms == 0 && do(now, finish(running, ms)) {
			return now - 2*ms
		}
	}
	return time.Minute
}

// Under any options of its queue, with one function and all present, as many start as there are cores, in the order
// of the queue's ranks.
func TestStartsFollowRanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var seen []queue.Item
		p := spy{&seen}
		w := worker.New(worker.Config{MilliCPU: 1000, Memory: 100 * mib, Queue: p, KeepAlive: keepalive.LRU{}})
		if _, err := w.Register(fn("a", 1, 1)); err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 30).Draw(t, "n")
		var order []worker.InvocationID
		take := func(acts []worker.Action) {
			for _, a := range acts {
				if a.Op == worker.Start {
					order = append(order, a.Invocation)
				}
			}
		}
		for i := range n {
			take(w.Handle(0, arrive(worker.InvocationID(i+1), 1), nil))
		}
		take(w.Handle(0, worker.Up{Sandbox: 1}, nil))
		for len(order) < n {
			take(w.Handle(ms, finish(order[len(order)-1], ms), nil))
		}
		if !slices.IsSorted(order) {
			t.Fatalf("%v", order)
		}
	})
}
