package live

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/internal/mono"
)

// Request is one invocation.
type Request struct {
	Function string
	Args     []byte // JSON object; nil means the function's registered args
}

// Outcome is how an invocation ended.
type Outcome int

// The outcomes, in the order of the wire's enumeration.
const (
	OK Outcome = iota + 1
	UserError
	Crashed
	OutOfMemory
	Timeout
	StartFailed
	TooLarge
	Refused
	Cancelled
	Platform
)

// Failure is an outcome other than OK with its reason.
type Failure struct {
	Outcome Outcome
	Message string
}

// Missing marks a time that never came.
const Missing = time.Duration(-1)

// Reply is the end of an invocation. Times count from Accepted.
type Reply struct {
	Outcome      Outcome
	Error        string
	Result       []byte
	Kind         worker.Kind
	HadSandbox   bool          // Kind is meaningful
	Device       string        // "cpu" or "gpu0" to, of a worker with GPUs, where it had a sandbox
	Accepted     time.Duration // CLOCK_MONOTONIC
	Queued       time.Duration
	Dequeued     time.Duration
	SandboxReady time.Duration
	ExecStart    time.Duration
	ExecEnd      time.Duration
	Replied      time.Duration
	Memory       int64 // bytes, -1 when unknown

	UnknownFunction bool // the outcome is Refused because of that
}

var errFunctionTimeout = errors.New("function timeout")

// Invoke runs one invocation to its end. Every failure is in the Reply. On the
// warm path the calling goroutine itself writes to the sandbox and reads from it.
func (a *Agent) Invoke(ctx context.Context, req Request) Reply {
	accepted := time.Now()
	r := Reply{
		Accepted: mono.At(accepted), Memory: -1,
		Queued: Missing, Dequeued: Missing, SandboxReady: Missing, ExecStart: Missing, ExecEnd: Missing,
	}
	offset := accepted.Sub(a.began) // of r's times to the agent's
	fail := func(f Failure) Reply {
		r.Outcome, r.Error, r.Replied = f.Outcome, f.Message, time.Since(accepted)
		return r
	}
	c := make(call, 1)
	a.mu.Lock()
	f := a.functions[req.Function]
	switch {
	case a.closed:
		a.mu.Unlock()
		return fail(Failure{Refused, ErrClosed.Error()})
	case f == nil:
		a.mu.Unlock()
		r.UnknownFunction = true
		return fail(Failure{Refused, fmt.Sprintf("no function %q is registered on worker %s", req.Function, a.options.Worker.Name)})
	}
	a.tasks.Add(1)
	defer a.tasks.Done()
	f.invocations++
	a.lastCall++
	id := a.lastCall
	a.calls[id] = c
	r.Queued = a.now() - offset
	a.handleLocked(worker.Arrive{Invocation: id, Function: f.id})
	a.mu.Unlock()

	v, ok := a.await(ctx, id, c)
	if !ok {
		return fail(ended(ctx, "while it waited for a sandbox"))
	}
	if v.dequeued != Missing {
		r.Dequeued = v.dequeued - offset
	}
	if v.box == nil {
		return fail(v.fail)
	}
	r.SandboxReady, r.Kind, r.HadSandbox = v.at-offset, v.kind, true
	if a.options.Worker.GPU.Count > 0 {
		r.Device = deviceName(v.box.device)
	}
	return a.execute(ctx, req, id, v.box, accepted, r)
}

// await returns the core's verdict on an invocation, or false when the caller
// has gone first.
func (a *Agent) await(ctx context.Context, id worker.InvocationID, c call) (verdict, bool) {
	select {
	case v := <-c:
		return v, true
	default:
	}
	select {
	case v := <-c:
		return v, true
	case <-ctx.Done():
	case <-a.ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, undecided := a.calls[id]; !undecided {
		return <-c, true
	}
	delete(a.calls, id)
	a.handleLocked(worker.Cancel{Invocation: id})
	return verdict{}, false
}

// execute runs the invocation in b and gives b back.
func (a *Agent) execute(ctx context.Context, req Request, id worker.InvocationID, b *box, accepted time.Time, r Reply) Reply {
	f := b.function
	args := req.Args
	if len(args) == 0 {
		args = f.spec.Args
	}
	if len(args) == 0 {
		args = []byte("{}")
	}
	caller := ctx
	ctx, cancel := context.WithTimeoutCause(caller, f.spec.Timeout, errFunctionTimeout)
	stop := context.AfterFunc(a.ctx, cancel)
	called := time.Since(accepted)
	got, err := b.sandbox.Invoke(ctx, args)
	replied := time.Since(accepted)
	stop()
	if got.ExecEnd > 0 {
		r.ExecStart, r.ExecEnd = min(called+got.ExecStart, replied), min(called+got.ExecEnd, replied)
	}
	r.Result, r.Replied = got.Result, replied
	r.Outcome = OK
	if err != nil {
		failure := classify(caller, ctx, f.spec.Timeout, err)
		r.Outcome, r.Error, r.Result = failure.Outcome, failure.Message, nil
	} else {
		r.Memory = b.used(a.now())
	}
	cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	b.state = idle
	usable := sandbox.Usable(err)
	select {
	case <-b.sandbox.Done(): // after its reply; the core was told while it was busy, and took no notice
		usable = false
	default:
	}
	a.handleLocked(worker.Finished{Invocation: id, Exec: r.ExecEnd - r.ExecStart, Usable: usable})
	if r.Outcome != OK {
		a.options.Log.Debug("invocation failed", slog.String("function", f.spec.Name), slog.String("error", r.Error))
	}
	r.Replied = time.Since(accepted)
	return r
}

// readEvery is how old the memory that an invocation reports may be: reading it takes longer
// than a short call.
const readEvery = 10 * time.Millisecond

// used is the memory of b, for the one who has it.
func (b *box) used(now time.Duration) int64 {
	if b.measured == 0 || now-b.measured > readEvery {
		b.memory, b.measured = b.sandbox.Memory(), now
	}
	return b.memory
}

// classify says how an invocation with the context ctx, made for caller, failed.
func classify(caller, ctx context.Context, timeout time.Duration, err error) Failure {
	var e *sandbox.Error
	if !errors.As(err, &e) {
		switch {
		case errors.Is(context.Cause(ctx), errFunctionTimeout):
			return Failure{Timeout, fmt.Sprintf("no reply within the function's timeout of %v; its sandbox was ended", timeout)}
		case caller.Err() != nil:
			return ended(caller, "while it ran; its sandbox was ended")
		case ctx.Err() != nil:
			return Failure{Platform, "the agent was stopped while it ran; its sandbox was ended"}
		default:
			return Failure{Platform, err.Error()}
		}
	}
	switch e.Kind {
	case sandbox.UserError:
		return Failure{UserError, e.Message}
	case sandbox.OutOfMemory:
		return Failure{OutOfMemory, e.Message}
	case sandbox.TooLarge:
		return Failure{TooLarge, e.Message}
	case sandbox.StartFailed:
		return Failure{StartFailed, e.Message}
	case sandbox.Crashed, sandbox.Protocol:
		return Failure{Crashed, e.Message}
	default:
		return Failure{Platform, e.Error()}
	}
}

func ended(ctx context.Context, when string) Failure {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Failure{Timeout, "the caller's deadline passed " + when}
	case ctx.Err() != nil:
		return Failure{Cancelled, "the caller gave up " + when}
	default:
		return Failure{Refused, ErrClosed.Error()}
	}
}

// asyncCall is an invocation started by InvokeAsync.
type asyncCall struct {
	ended time.Time // zero while it runs
	reply Reply
}

// asyncKept is for how long the reply of an asynchronous invocation is kept.
const asyncKept = 10 * time.Minute

// InvokeAsync starts an invocation and returns a cookie to Poll with.
func (a *Agent) InvokeAsync(req Request) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return "", ErrClosed
	}
	if a.functions[req.Function] == nil {
		return "", fmt.Errorf("invoke %s: %w", req.Function, ErrUnknownFunction)
	}
	a.forget()
	cookie, c := rand.Text(), &asyncCall{}
	a.async[cookie] = c
	a.tasks.Go(func() {
		reply := a.Invoke(context.Background(), req) // ends with the Agent
		a.mu.Lock()
		defer a.mu.Unlock()
		c.ended, c.reply = time.Now(), reply
		a.answered = append(a.answered, cookie)
	})
	return cookie, nil
}

// forget drops the replies that are kept no longer. The caller holds a.mu.
func (a *Agent) forget() {
	for len(a.answered) > 0 && time.Since(a.async[a.answered[0]].ended) > asyncKept {
		delete(a.async, a.answered[0])
		a.answered = a.answered[1:]
	}
}

// Poll reports whether the invocation behind cookie has ended, and its reply.
// Replies are kept for ten minutes; known is false after that.
func (a *Agent) Poll(cookie string) (reply Reply, done, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget()
	c, known := a.async[cookie]
	if !known {
		return Reply{}, false, false
	}
	return c.reply, !c.ended.IsZero(), true
}
