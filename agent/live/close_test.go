package live_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
)

// Close in the middle of everything: each gets its answer, and nothing is left.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, isolation := agent(t, script, minute)
		if _, err := a.Prewarm(t.Context(), "hangs", 1); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		expect := func(function string, outcome live.Outcome, why string) {
			all.Go(func() { ended(t, call(t, a, function), outcome, why) })
			synctest.Wait()
		}
		expect("hangs", live.Platform, "the agent was stopped while it ran; its sandbox was ended")
		expect("f", live.Refused, "the agent is stopping") // its sandbox is starting
		expect("g", live.Refused, "the agent is stopping") // it waits for a core
		cookie, err := a.InvokeAsync(live.Request{Function: "f"})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		all.Go(func() {
			if _, err := a.Prewarm(t.Context(), "g", 1); !errors.Is(err, live.ErrClosed) {
				t.Errorf("prewarm: %v", err)
			}
		})
		all.Go(func() {
			if err := a.Drain(t.Context()); err != nil {
				t.Errorf("drain: %v", err)
			}
		})
		time.Sleep(5 * ms)
		if err := errors.Join(a.Close(), isolation.Close()); err != nil {
			t.Error(err)
		}
		all.Wait()
		free(t, a)
		r, done, _ := a.Poll(cookie)
		if ended(t, r, live.Refused, "the agent is stopping"); !done {
			t.Error("the asynchronous call has no end")
		}
	})
}

// A closed Agent refuses all that would make or remove a sandbox.
func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, isolation := agent(t, fake.Script{}, `{"idle":1000000000}`)
		if _, err := a.Prewarm(t.Context(), "f", 2); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(a.Close(), isolation.Close()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second) // both would have expired
		ended(t, call(t, a, "f"), live.Refused, "the agent is stopping")
		_, async := a.InvokeAsync(live.Request{Function: "f"})
		_, prewarm := a.Prewarm(t.Context(), "f", 1)
		register := a.Register(builtin("h"), nil)
		for what, err := range map[string]error{"async": async, "prewarm": prewarm, "register": register} {
			if !errors.Is(err, live.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := errors.Join(a.Drain(t.Context()), a.Close()); err != nil || a.Clean() != 0 {
			t.Error(err)
		}
		if created, alive := isolation.Count(); created != 2 || alive != 0 {
			t.Errorf("%d sandboxes made, %d left", created, alive)
		}
	})
}

// A sandbox that becomes ready although the Agent closes goes with it.
func TestCloseWhileASandboxStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, isolation := agent(t, fake.Script{Start: func(context.Context, sandbox.Config) error {
			time.Sleep(10 * ms) // deaf to its context
			return nil
		}}, minute)
		var waiting sync.WaitGroup
		waiting.Go(func() { ended(t, call(t, a, "f"), live.Refused, "the agent is stopping") })
		time.Sleep(5 * ms)
		if err := errors.Join(a.Close(), isolation.Close()); err != nil {
			t.Error(err)
		}
		waiting.Wait()
		if created, _ := isolation.Count(); created != 1 {
			t.Errorf("%d sandboxes made", created)
		}
	})
}

// Whenever it comes, Close ends all calls and removes all sandboxes.
func TestCloseAtAnyTime(t *testing.T) {
	for _, after := range []time.Duration{0, 5 * ms, 10 * ms, 15 * ms, 30 * ms, 40 * ms, 550 * ms} {
		synctest.Test(t, func(t *testing.T) {
			a, isolation := agent(t, script, `{"idle":1000000}`)
			var calls sync.WaitGroup
			for i := range 12 {
				calls.Go(func() {
					if r := call(t, a, []string{"f", "g", "hangs", "crashes"}[i%4]); r.Outcome == 0 {
						t.Errorf("no outcome: %+v", r)
					}
				})
			}
			time.Sleep(after)
			if err := errors.Join(a.Close(), isolation.Close()); err != nil {
				t.Errorf("after %v: %v", after, err)
			}
			calls.Wait()
			free(t, a)
		})
	}
}
