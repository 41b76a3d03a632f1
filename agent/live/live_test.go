package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
)

const ms = time.Millisecond

// The scripted functions: starting takes 10 ms; what a function does is its name.
var script = fake.Script{
	Memory: 7 << 20,
	Start: func(ctx context.Context, c sandbox.Config) error {
		if err := fake.Sleep(ctx, 10*ms); err != nil {
			return &sandbox.Error{Kind: sandbox.StartFailed, Message: err.Error()} // as real ones do
		}
		if c.Function.Name == "import_fails" {
			return &sandbox.Error{Kind: sandbox.StartFailed, Message: "no module named x"}
		}
		return nil
	},
	Invoke: func(ctx context.Context, c sandbox.Config, args []byte) (sandbox.Reply, error) {
		switch c.Function.Name {
		case "raises":
			return sandbox.Reply{ExecStart: ms, ExecEnd: 2 * ms}, &sandbox.Error{Kind: sandbox.UserError, Message: "by design"}
		case "crashes":
			return sandbox.Reply{}, &sandbox.Error{Kind: sandbox.Crashed, Message: "exit status 1"}
		case "hangs":
			<-ctx.Done()
			return sandbox.Reply{}, context.Cause(ctx)
		default:
			if err := fake.Sleep(ctx, 20*ms); err != nil {
				return sandbox.Reply{}, err
			}
			return sandbox.Reply{Result: args, ExecStart: 0, ExecEnd: 20 * ms}, nil
		}
	},
}

// agent is one of 2 cores and memory for four sandboxes, which follow the script.
func agent(t testing.TB, script fake.Script, keepAlive string) (*live.Agent, *fake.Isolation) {
	t.Helper()
	isolation := fake.New(script)
	a, err := live.New(live.Options{
		Worker: spec.Worker{
			Name: "w", MilliCPU: 2000, Memory: 256 * spec.MiB,
			Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "ttl", Options: []byte(keepAlive)},
		},
		RunID: "run", Isolation: isolation, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), StartTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "g", "raises", "crashes", "hangs", "import_fails"} {
		if err := a.Register(builtin(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	return a, isolation
}

// builtin is a function that takes a core and a quarter of the memory.
func builtin(name string) spec.Function {
	return spec.Function{Name: name, Builtin: "hello", MilliCPU: 1000, Memory: 64 * spec.MiB, Timeout: 500 * ms, Args: []byte(`{"default":1}`)}
}

const minute = `{"idle":60000000000}`

func inBubble(t *testing.T, keepAlive string, do func(*testing.T, *live.Agent, *fake.Isolation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, isolation := agent(t, script, keepAlive)
		do(t, a, isolation)
		if err := errors.Join(a.Close(), a.Close(), isolation.Close()); err != nil {
			t.Error(err)
		}
		if st := a.Status(); st.Running+st.Waiting+st.Pending != 0 {
			t.Errorf("closed, yet %+v", st)
		}
		if r := a.Invoke(t.Context(), live.Request{Function: "f"}); r.Outcome != live.Refused {
			t.Errorf("a closed agent answers %+v", r)
		}
	})
}

func call(t *testing.T, a *live.Agent, function string) live.Reply {
	t.Helper()
	r := a.Invoke(t.Context(), live.Request{Function: function})
	ordered(t, r)
	return r
}

// ordered checks that the times that came are in order.
func ordered(t testing.TB, r live.Reply) {
	t.Helper()
	last := time.Duration(0)
	for _, at := range []time.Duration{r.Queued, r.Dequeued, r.SandboxReady, r.ExecStart, r.ExecEnd, r.Replied} {
		if at == live.Missing {
			continue
		}
		if at < last {
			t.Errorf("times are not in order: %+v", r)
		}
		last = at
	}
}

func TestColdWarmPrewarmed(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, _ *fake.Isolation) {
		r := call(t, a, "f")
		if r.Outcome != live.OK || r.Kind != worker.Cold || r.Dequeued != 0 || r.SandboxReady != 10*ms || r.ExecEnd != 30*ms || r.Replied != 30*ms {
			t.Errorf("cold: %+v", r)
		}
		if string(r.Result) != `{"default":1}` || r.Memory != 7<<20 {
			t.Errorf("result %s, memory %d", r.Result, r.Memory)
		}
		if r := call(t, a, "f"); r.Kind != worker.Warm || r.Replied != 20*ms {
			t.Errorf("warm: %+v", r)
		}
		if n, err := a.Prewarm(t.Context(), "g", 2); n != 2 || err != nil {
			t.Errorf("prewarm: %d, %v", n, err)
		}
		if r := call(t, a, "g"); r.Kind != worker.Prewarmed || r.Replied != 20*ms {
			t.Errorf("prewarmed: %+v", r)
		}
		if n, err := a.Prewarm(t.Context(), "g", 5); n > 4 || !errors.Is(err, live.ErrNoRoom) {
			t.Errorf("prewarm past the memory: %d, %v", n, err)
		}
		if _, err := a.Prewarm(t.Context(), "nope", 1); !errors.Is(err, live.ErrUnknownFunction) {
			t.Errorf("prewarm of nothing: %v", err)
		}
		if _, err := a.Prewarm(t.Context(), "import_fails", 1); err == nil {
			t.Error("prewarm of what cannot start went well")
		}
	})
}

// No more run at once than there are cores, and a freed core is used at once.
func TestCores(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, _ *fake.Isolation) {
		if _, err := a.Prewarm(t.Context(), "f", 2); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() { call(t, a, "f") })
		}
		calls.Wait()
		if took := time.Since(began); took != 100*ms {
			t.Errorf("10 calls of 20 ms on 2 cores took %v", took)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	inBubble(t, `{"idle":1000000000}`, func(t *testing.T, a *live.Agent, isolation *fake.Isolation) {
		call(t, a, "f")
		time.Sleep(999 * ms)
		synctest.Wait()
		if _, alive := isolation.Count(); alive != 1 {
			t.Error("it expired too soon")
		}
		time.Sleep(2 * ms)
		synctest.Wait()
		if _, alive := isolation.Count(); alive != 0 {
			t.Error("it did not expire")
		}
	})
}

func TestEviction(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, isolation *fake.Isolation) {
		if _, err := a.Prewarm(t.Context(), "f", 4); err != nil {
			t.Fatal(err)
		}
		if r := call(t, a, "g"); r.Outcome != live.OK {
			t.Errorf("%+v", r)
		}
		synctest.Wait()
		if _, alive := isolation.Count(); alive != 4 {
			t.Errorf("%d sandboxes where there is memory for 4", alive)
		}
	})
}

func TestDrainAndClean(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, isolation *fake.Isolation) {
		var calls sync.WaitGroup
		calls.Go(func() { call(t, a, "f") })
		synctest.Wait()
		soon, cancel := context.WithTimeout(t.Context(), ms)
		if err := a.Drain(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drained while a call runs: %v", err)
		}
		cancel()
		if err := a.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		calls.Wait()
		if r := call(t, a, "f"); r.Outcome != live.Refused || !strings.Contains(r.Error, "draining") {
			t.Errorf("%+v", r)
		}
		if n := a.Clean(); n != 1 {
			t.Errorf("cleaned %d", n)
		}
		synctest.Wait()
		if _, alive := isolation.Count(); alive != 0 {
			t.Errorf("%d sandboxes are left", alive)
		}
		if err := a.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRegister(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, _ *fake.Isolation) {
		f := builtin("f")
		if err := a.Register(f, nil); err != nil {
			t.Errorf("the same again: %v", err)
		}
		f.Memory *= 2
		if err := a.Register(f, nil); !errors.Is(err, live.ErrConflict) {
			t.Errorf("other content: %v", err)
		}
		f.Name, f.Memory = "big", spec.GiB
		if err := a.Register(f, nil); !errors.Is(err, live.ErrNeverFits) {
			t.Errorf("over the memory: %v", err)
		}
		f.Name, f.Memory, f.Builtin, f.Runtime = "code", 64*spec.MiB, "", "exec"
		if err := a.Register(f, []byte("no archive")); !errors.Is(err, live.ErrBadCode) {
			t.Errorf("bad code: %v", err)
		}
	})
}

func TestAsync(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, _ *fake.Isolation) {
		if _, err := a.InvokeAsync(live.Request{Function: "nope"}); !errors.Is(err, live.ErrUnknownFunction) {
			t.Errorf("%v", err)
		}
		cookie, err := a.InvokeAsync(live.Request{Function: "f", Args: []byte(`{"x":1}`)})
		if err != nil {
			t.Fatal(err)
		}
		if _, done, known := a.Poll(cookie); done || !known {
			t.Errorf("done %v, known %v", done, known)
		}
		time.Sleep(31 * ms)
		if r, done, known := a.Poll(cookie); !done || !known || string(r.Result) != `{"x":1}` {
			t.Errorf("%+v, done %v, known %v", r, done, known)
		}
		if _, _, known := a.Poll("other"); known {
			t.Error("an unknown cookie is known")
		}
		time.Sleep(9 * time.Minute)
		later, err := a.InvokeAsync(live.Request{Function: "f"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, known := a.Poll(cookie); !known {
			t.Error("a reply is kept for less than ten minutes")
		}
		time.Sleep(time.Minute)
		if _, _, known := a.Poll(cookie); known {
			t.Error("a reply is kept for more than ten minutes")
		}
		if _, done, known := a.Poll(later); !done || !known {
			t.Error("a later one went with it")
		}
	})
}

func TestEstimate(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, _ *fake.Isolation) {
		call(t, a, "f")
		if wait, service, err := a.Estimate("f"); wait != 0 || service != 20*ms || err != nil {
			t.Errorf("%v, %v, %v", wait, service, err)
		}
		if _, _, err := a.Estimate("nope"); !errors.Is(err, live.ErrUnknownFunction) {
			t.Errorf("%v", err)
		}
	})
}

// Whatever happens, each call gets exactly one reply with times in order, and
// the ledgers are zero when all is done.
func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type arrival struct {
			at, patience time.Duration
			function     string
		}
		plan := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arrival {
			return arrival{
				time.Duration(rapid.IntRange(0, 300).Draw(t, "at")) * ms,
				time.Duration(rapid.IntRange(1, 700).Draw(t, "patience")) * ms,
				rapid.SampledFrom([]string{"f", "g", "raises", "crashes", "hangs", "import_fails"}).Draw(t, "function"),
			}
		}), 1, 25).Draw(rt, "plan")
		synctest.Test(t, func(t *testing.T) {
			a, isolation := agent(t, script, `{"idle":50000000}`)
			var calls sync.WaitGroup
			for _, p := range plan {
				calls.Go(func() {
					time.Sleep(p.at)
					ctx, cancel := context.WithTimeout(t.Context(), p.patience)
					defer cancel()
					r := a.Invoke(ctx, live.Request{Function: p.function})
					ordered(t, r)
					if r.Outcome == 0 || (r.Outcome == live.OK) != (r.Error == "") {
						t.Errorf("%s: %+v", p.function, r)
					}
				})
			}
			calls.Wait()
			time.Sleep(time.Second) // everything expires
			synctest.Wait()
			if st := a.Status(); st.MilliCPUUsed != 0 || st.MemoryUsed != 0 || st.Sandboxes != 0 {
				t.Errorf("idle, yet %+v", st)
			}
			if err := errors.Join(a.Close(), isolation.Close()); err != nil {
				t.Error(err)
			}
		})
		if t.Failed() {
			rt.Fatal(fmt.Sprintf("%+v", plan))
		}
	})
}
