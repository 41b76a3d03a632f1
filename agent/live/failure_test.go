package live_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/agent/worker"
)

// ended checks how an invocation failed.
func ended(t testing.TB, r live.Reply, outcome live.Outcome, why string) {
	t.Helper()
	ordered(t, r)
	if r.Outcome != outcome || r.Error != why {
		t.Errorf("outcome %d, %q; want %d, %q", r.Outcome, r.Error, outcome, why)
	}
	if r.Result != nil || r.Memory != -1 {
		t.Errorf("a failure with result %s and memory %d", r.Result, r.Memory)
	}
}

// ran checks that an invocation succeeded in a sandbox of this kind.
func ran(t testing.TB, r live.Reply, kind worker.Kind) {
	t.Helper()
	ordered(t, r)
	if r.Outcome != live.OK || !r.HadSandbox || r.Kind != kind {
		t.Errorf("outcome %d, %q, in a sandbox that was %v; want %v", r.Outcome, r.Error, r.Kind, kind)
	}
}

// free checks that no invocation holds anything.
func free(t testing.TB, a *live.Agent) {
	t.Helper()
	if st := a.Status(); st.MilliCPUUsed != 0 || st.Waiting != 0 || st.Pending != 0 || st.Running != 0 {
		t.Errorf("something is still held: %+v", st)
	}
}

// What fails is told by its kind, and ends its sandbox only when that cannot be used again.
func TestFailures(t *testing.T) {
	failure := func(kind sandbox.Kind) error { return &sandbox.Error{Kind: kind, Message: "by design"} }
	for name, tt := range map[string]struct {
		err   error // of the first call; nil: it does not return
		want  live.Outcome
		why   string
		stays bool
	}{
		"user error":    {failure(sandbox.UserError), live.UserError, "by design", true},
		"too large":     {failure(sandbox.TooLarge), live.TooLarge, "by design", true},
		"crash":         {failure(sandbox.Crashed), live.Crashed, "by design", false},
		"protocol":      {failure(sandbox.Protocol), live.Crashed, "by design", false},
		"out of memory": {failure(sandbox.OutOfMemory), live.OutOfMemory, "by design", false},
		"start failed":  {failure(sandbox.StartFailed), live.StartFailed, "by design", false},
		"unheard of":    {failure("odd"), live.Platform, "odd: by design", false},
		"isolation":     {errors.New("the disk is full"), live.Platform, "the disk is full", false},
		"timeout":       {nil, live.Timeout, "no reply within the function's timeout of 500ms; its sandbox was ended", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				a, isolation := agent(t, fake.Script{Invoke: func(ctx context.Context, _ sandbox.Config, args []byte) (sandbox.Reply, error) {
					if calls++; calls > 1 {
						return sandbox.Reply{Result: args}, nil
					}
					if tt.err == nil {
						return sandbox.Reply{}, fake.Sleep(ctx, time.Hour)
					}
					return sandbox.Reply{}, tt.err
				}}, minute)
				ended(t, call(t, a, "f"), tt.want, tt.why)
				free(t, a)
				kind, sandboxes := worker.Cold, 2
				if tt.stays {
					kind, sandboxes = worker.Warm, 1
				}
				ran(t, call(t, a, "f"), kind)
				synctest.Wait()
				if created, alive := isolation.Count(); created != sandboxes || alive != 1 {
					t.Errorf("%d sandboxes made, %d left; want %d, 1", created, alive, sandboxes)
				}
				if err := errors.Join(a.Close(), isolation.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestDoesNotStart(t *testing.T) {
	for name, tt := range map[string]struct {
		start func(context.Context, sandbox.Config) error
		why   string
		after time.Duration
	}{
		"import fails": {func(context.Context, sandbox.Config) error {
			return &sandbox.Error{Kind: sandbox.StartFailed, Message: "no module named x"}
		}, "no module named x", 0},
		"isolation fails": {func(context.Context, sandbox.Config) error { return errors.New("no cgroup") }, "no cgroup", 0},
		"never ready":     {func(ctx context.Context, _ sandbox.Config) error { return fake.Sleep(ctx, time.Hour) }, "it was not ready within 1s", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, isolation := agent(t, fake.Script{Start: tt.start}, minute)
				r := call(t, a, "f")
				ended(t, r, live.StartFailed, tt.why)
				if r.Dequeued != 0 || r.HadSandbox || r.SandboxReady != live.Missing || r.Replied != tt.after {
					t.Errorf("%+v", r)
				}
				free(t, a)
				if st := a.Status(); st.Sandboxes != 0 || st.MemoryUsed != 0 {
					t.Errorf("%+v", st)
				}
				if err := errors.Join(a.Close(), isolation.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestUnknownFunction(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, a *live.Agent, _ *fake.Isolation) {
		r := call(t, a, "nope")
		ended(t, r, live.Refused, `no function "nope" is registered on worker w`)
		if !r.UnknownFunction || r.Queued != live.Missing {
			t.Errorf("%+v", r)
		}
	})
}

// A caller that goes, or whose deadline passes, frees what its call held in
// whatever stage: those that come next find it.
func TestCallerGoes(t *testing.T) {
	const gone = 5 * ms // after it called
	for stage, tt := range map[string]struct {
		warm, busy int // sandboxes made ahead, calls that run already
		where      string
		next       worker.Kind
	}{
		"queued":   {warm: 2, busy: 2, where: "while it waited for a sandbox", next: worker.Warm},
		"starting": {where: "while it waited for a sandbox", next: worker.Prewarmed},
		"running":  {warm: 1, where: "while it ran; its sandbox was ended", next: worker.Cold},
	} {
		for how, goes := range map[string]struct {
			ctx  func(context.Context) (context.Context, context.CancelFunc)
			want live.Outcome
			why  string
		}{
			"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, gone)
			}, live.Timeout, "the caller's deadline passed "},
			"gives up": {func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(gone, cancel)
				return ctx, cancel
			}, live.Cancelled, "the caller gave up "},
		} {
			t.Run(stage+" "+how, func(t *testing.T) {
				inBubble(t, minute, func(t *testing.T, a *live.Agent, _ *fake.Isolation) {
					if _, err := a.Prewarm(t.Context(), "f", tt.warm); err != nil {
						t.Fatal(err)
					}
					for range tt.busy {
						go call(t, a, "f")
					}
					synctest.Wait()
					ctx, cancel := goes.ctx(t.Context())
					defer cancel()
					r := a.Invoke(ctx, live.Request{Function: "f"})
					ended(t, r, goes.want, goes.why+tt.where)
					if r.Replied != gone {
						t.Errorf("it was told after %v", r.Replied)
					}
					time.Sleep(time.Second)
					free(t, a)
					ran(t, call(t, a, "f"), tt.next)
				})
			})
		}
	}
}

// A sandbox that ends by itself serves no other call, whenever that is.
func TestSandboxDies(t *testing.T) {
	for when, tt := range map[string]struct {
		crash time.Duration // after the call, which takes 30 ms; 0: at its end, before its reply
		fails bool
	}{
		"starting is over":     {11 * ms, true},
		"busy":                 {20 * ms, true},
		"at the same time":     {0, false},
		"right after the call": {30*ms + 1, false},
		"idle":                 {40 * ms, false},
	} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var isolation *fake.Isolation
				a, isolation := agent(t, fake.Script{Start: script.Start, Invoke: func(ctx context.Context, c sandbox.Config, args []byte) (sandbox.Reply, error) {
					reply, err := script.Invoke(ctx, c, args)
					if tt.crash == 0 {
						isolation.Crash(c.ID)
						synctest.Wait() // the scheduler hears of it while the call runs
					}
					return reply, err
				}}, minute)
				if tt.crash > 0 {
					time.AfterFunc(tt.crash, func() {
						if !isolation.Crash("w-f-1") {
							t.Error("there is no such sandbox")
						}
					})
				}
				if r := call(t, a, "f"); tt.fails {
					ended(t, r, live.Crashed, "signal: killed")
				} else {
					ran(t, r, worker.Cold)
				}
				time.Sleep(time.Second)
				if _, alive := isolation.Count(); alive != 0 {
					t.Error("it is still there")
				}
				tt.crash = time.Hour // the next one lives
				ran(t, call(t, a, "f"), worker.Cold)
				if err := errors.Join(a.Close(), isolation.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
