package fake_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
)

// Each case is one sandbox whose script waits a second and returns what it says.
func TestInvoke(t *testing.T) {
	stop, user := errors.New("stop"), &sandbox.Error{Kind: sandbox.UserError, Message: "by design"}
	crash := &sandbox.Error{Kind: sandbox.Crashed, Message: "exit status 1"}
	for name, tt := range map[string]struct {
		script error         // what Invoke of the script returns
		during func(s setup) // at half of the time
		want   error
		ended  bool
	}{
		"answers":      {},
		"user error":   {script: user, want: user},
		"crashes":      {script: crash, want: crash, ended: true},
		"caller stops": {during: func(s setup) { s.cancel(stop) }, want: stop},
		"is crashed":   {during: func(s setup) { s.isolation.Crash("f-1") }, want: &sandbox.Error{Kind: sandbox.Crashed, Message: "signal: killed"}, ended: true},
		"is removed":   {during: func(s setup) { _ = s.box.Remove() }, want: &sandbox.Error{Kind: sandbox.Crashed, Message: "signal: killed"}, ended: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, fake.Script{Invoke: func(ctx context.Context, _ sandbox.Config, args []byte) (sandbox.Reply, error) {
					if err := fake.Sleep(ctx, time.Second); err != nil {
						return sandbox.Reply{}, err
					}
					return sandbox.Reply{Result: args, ExecEnd: time.Second}, tt.script
				}})
				if tt.during != nil {
					time.AfterFunc(time.Second/2, func() { tt.during(s) })
				}
				began := time.Now()
				r, err := s.box.Invoke(s.ctx, []byte("{}"))
				if !same(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if tt.during == nil && (string(r.Result) != "{}" || time.Since(began) != time.Second) {
					t.Errorf("reply %+v after %v", r, time.Since(began))
				}
				synctest.Wait()
				select {
				case <-s.box.Done():
					if !tt.ended {
						t.Error("it has ended")
					}
					if _, err := s.box.Invoke(s.ctx, nil); sandbox.Usable(err) {
						t.Errorf("ended, it answers: %v", err)
					}
				default:
					if tt.ended {
						t.Error("it has not ended")
					}
				}
			})
		})
	}
}

func same(got, want error) bool {
	var g, w *sandbox.Error
	if errors.As(got, &g) && errors.As(want, &w) {
		return *g == *w
	}
	return errors.Is(got, want)
}

type setup struct {
	isolation *fake.Isolation
	box       sandbox.Sandbox
	ctx       context.Context
	cancel    context.CancelCauseFunc
}

func open(t *testing.T, script fake.Script) setup {
	t.Helper()
	s := setup{isolation: fake.New(script)}
	s.ctx, s.cancel = context.WithCancelCause(t.Context())
	t.Cleanup(func() { s.cancel(nil) })
	var err error
	if s.box, err = s.isolation.Create(s.ctx, sandbox.Config{ID: "f-1"}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCount(t *testing.T) {
	s := open(t, fake.Script{Memory: 7})
	if m := s.box.Memory(); m != 7 {
		t.Errorf("uses %d bytes", m)
	}
	if _, err := s.isolation.Create(s.ctx, sandbox.Config{ID: "f-1"}); err == nil {
		t.Error("two sandboxes have one id")
	}
	if err := s.isolation.Close(); err == nil {
		t.Error("closed with a sandbox")
	}
	for range 2 {
		if err := s.box.Remove(); err != nil {
			t.Error(err)
		}
	}
	if created, live := s.isolation.Count(); created != 1 || live != 0 {
		t.Errorf("%d created, %d live", created, live)
	}
	if s.isolation.Crash("f-1") {
		t.Error("crashed what is removed")
	}
	if err := s.isolation.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	broken := &sandbox.Error{Kind: sandbox.StartFailed, Message: "no module"}
	i := fake.New(fake.Script{Start: func(context.Context, sandbox.Config) error { return broken }})
	if b, err := i.Create(t.Context(), sandbox.Config{ID: "f-1"}); b != nil || !errors.Is(err, broken) {
		t.Errorf("%v, %v", b, err)
	}
	if created, live := i.Count(); created+live != 0 {
		t.Errorf("%d created, %d live", created, live)
	}
}
