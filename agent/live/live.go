// Package live drives the scheduler of one worker in real time: it holds the
// clock, the goroutines and the sandboxes, and carries out what agent/worker decides.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
)

// Options configure an Agent. Worker, Isolation, Dir and Log are required.
type Options struct {
	Worker       spec.Worker
	RunID        string
	Version      string
	Isolation    sandbox.Isolation // not closed by the Agent
	Dir          string            // for code and logs of sandboxes; made if missing
	Log          *slog.Logger
	Store        *oci.Store    // images of functions; nil: no function may have one
	StartTimeout time.Duration // for a sandbox to become ready, 0 = 30 s
}

// Errors of an Agent's methods that callers tell apart.
var (
	ErrUnknownFunction = errors.New("no such function")
	ErrConflict        = errors.New("already registered with other content")
	ErrNeverFits       = errors.New("can never run on this worker")
	ErrBadCode         = errors.New("unusable code")
	ErrNoRoom          = errors.New("no room")
	ErrClosed          = errors.New("the agent is stopping")
)

// Agent runs invocations on this host. Create it with New and end it with Close.
type Agent struct {
	options Options
	began   time.Time
	logs    *logs
	tasks   sync.WaitGroup // invocations, creations, removals; added to under mu while not closed, or by one of them
	stop    context.CancelCauseFunc
	ctx     context.Context //nolint:containedctx // the life of the Agent, which its background tasks outlive no caller by

	mu        sync.Mutex
	core      *worker.Worker
	functions map[string]*function
	byID      []*function // by worker.FunctionID - 1
	calls     map[worker.InvocationID]call
	boxes     map[worker.SandboxID]*box
	lastCall  worker.InvocationID
	timer     *time.Timer
	async     map[string]*asyncCall
	answered  []string // cookies of async calls that have ended, oldest first
	closed    bool
	empty     chan struct{} // closed when no invocation is left; nil when nobody waits for that
	actions   []worker.Action
}

type function struct {
	id          worker.FunctionID
	spec        spec.Function
	code        string // folder, "" for a function without source
	invocations int64
}

// call is where an invocation waits for the core's verdict, which is sent once;
// the capacity of 1 keeps the sender from blocking.
type call chan verdict

type verdict struct {
	box      *box // nil when it failed
	kind     worker.Kind
	dequeued time.Duration // Missing when it never left the queue
	at       time.Duration
	fail     Failure
}

// box is a sandbox from the moment it is asked for.
type box struct {
	id       worker.SandboxID
	function *function
	device   int             // GPU from 1, 0 for CPU
	name     string          // unique in the run
	sandbox  sandbox.Sandbox // nil while starting
	state    string
	settled  chan struct{} // closed when it is ready or has failed
	measured time.Duration // when memory was read, by who had it
	memory   int64         // bytes, -1 when unknown
	err      error         // why it failed; read after settled
}

// The states of a box, as List shows them.
const (
	starting = "starting"
	idle     = "idle"
	busy     = "busy"
	removing = "removing"
)

// New returns an Agent that has no function yet.
func New(o Options) (*Agent, error) {
	config, err := worker.Configured(o.Worker)
	if err != nil {
		return nil, err
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 30 * time.Second
	}
	logs, err := newLogs(filepath.Join(o.Dir, "logs"))
	if err != nil {
		return nil, err
	}
	if err := findGPUs(o.Worker); err != nil {
		return nil, err
	}
	config.Seed = stream.Derive(0, o.RunID, o.Worker.Name)
	ctx, stop := context.WithCancelCause(context.Background())
	a := &Agent{
		options: o, began: time.Now(), logs: logs, ctx: ctx, stop: stop,
		core:      worker.New(config),
		functions: map[string]*function{}, calls: map[worker.InvocationID]call{},
		boxes: map[worker.SandboxID]*box{}, async: map[string]*asyncCall{},
	}
	a.timer = time.AfterFunc(time.Hour, a.tick)
	a.timer.Stop()
	if every := a.core.Sampling(); every > 0 {
		a.tasks.Go(func() { a.sample(every) })
	}
	return a, nil
}

// sample tells the core of the load as often as it wants to know, by the mean of some readings since.
func (a *Agent) sample(every time.Duration) {
	const readings = 8
	t := time.NewTicker(every / readings)
	defer t.Stop()
	for sum, n := int64(0), int64(1); ; n++ {
		select {
		case <-t.C:
		case <-a.ctx.Done():
			return
		}
		sum += int64(resource.Runnable())
		if n%readings == 0 {
			a.handle(worker.Load{MilliCPU: sum * 1000 / readings})
			sum = 0
		}
	}
}

func (a *Agent) now() time.Duration { return time.Since(a.began) }

// handle gives ev to the core and carries out what it decides.
func (a *Agent) handle(ev worker.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handleLocked(ev)
}

func (a *Agent) tick() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.handleLocked(worker.Tick{})
	}
}

// handleLocked is handle for who holds a.mu. No action blocks: invocations are
// started by the goroutines that wait for them.
func (a *Agent) handleLocked(ev worker.Event) (refused worker.Reason) {
	now := a.now()
	a.actions = a.core.Handle(now, ev, a.actions[:0])
	for _, act := range a.actions {
		switch act.Op {
		case worker.Start:
			b := a.boxes[act.Sandbox]
			b.state = busy
			a.decide(act.Invocation, verdict{box: b, kind: act.Kind, dequeued: act.Dequeued, at: now})
		case worker.Create:
			f := a.byID[act.Function-1]
			b := &box{id: act.Sandbox, function: f, device: act.Device, name: a.boxName(f, act.Sandbox), state: starting, settled: make(chan struct{})}
			a.boxes[b.id] = b
			a.tasks.Go(func() { a.create(b) })
		case worker.Remove:
			b := a.boxes[act.Sandbox]
			b.state = removing
			a.options.Log.Debug("remove sandbox", slog.String("function", b.function.spec.Name), slog.Uint64("sandbox", uint64(b.id)), slog.String("why", act.Why.String()))
			a.tasks.Go(func() { a.remove(b) })
		case worker.Fail:
			a.decide(act.Invocation, a.failure(act))
		case worker.Refuse:
			refused = act.Why
		}
	}
	if at, ok := a.core.Deadline(); ok {
		a.timer.Reset(max(at-now, 0))
	} else {
		a.timer.Stop()
	}
	if a.empty != nil && a.core.Empty() {
		close(a.empty)
		a.empty = nil
	}
	return refused
}

func (a *Agent) boxName(f *function, id worker.SandboxID) string {
	return fmt.Sprintf("%s-%s-%d", fileName(a.options.Worker.Name), fileName(f.spec.Name), id)
}

func (a *Agent) decide(id worker.InvocationID, v verdict) {
	if c := a.calls[id]; c != nil {
		c <- v
		delete(a.calls, id)
	}
}

func (a *Agent) failure(act worker.Action) verdict {
	switch act.Why {
	case worker.NoSandbox:
		err := a.boxes[act.Sandbox].err
		fail := Failure{StartFailed, err.Error()}
		var e *sandbox.Error
		switch {
		case errors.As(err, &e):
			fail.Message = e.Message
		case errors.Is(err, ErrClosed):
			fail.Outcome = Refused
		}
		return verdict{dequeued: act.Dequeued, fail: fail}
	case worker.Draining:
		return verdict{dequeued: Missing, fail: Failure{Refused, "the worker is draining and takes no more invocations"}}
	default:
		return verdict{dequeued: Missing, fail: Failure{Refused, act.Why.String()}}
	}
}

// create makes the sandbox of b and tells the core. A sandbox that nobody may
// use any more, because the Agent is stopping, is made and removed by Close.
func (a *Agent) create(b *box) {
	ctx, cancel := context.WithTimeoutCause(a.ctx, a.options.StartTimeout,
		fmt.Errorf("it was not ready within %v", a.options.StartTimeout))
	defer cancel()
	stdout, stderr := a.logs.open(b.name)
	s, err := a.options.Isolation.Create(ctx, sandbox.Config{
		ID: b.name, Function: onDevice(b.function.spec, a.options.Worker.GPU, b.device), Code: b.function.code, Image: b.function.spec.Digest, Stdout: stdout, Stderr: stderr,
	})
	a.mu.Lock()
	if err != nil && a.closed {
		err = ErrClosed
	}
	b.sandbox, b.err = s, err
	close(b.settled)
	if err != nil {
		a.options.Log.Warn("sandbox did not start", slog.String("function", b.function.spec.Name), slog.Any("error", err))
		a.handleLocked(worker.StartFailed{Sandbox: b.id})
		delete(a.boxes, b.id)
		a.mu.Unlock()
		a.logs.close(b.name)
		return
	}
	b.state = idle
	a.handleLocked(worker.Up{Sandbox: b.id})
	a.mu.Unlock()
	select {
	case <-s.Done():
		a.handle(worker.Died{Sandbox: b.id})
	case <-a.ctx.Done():
	}
}

func (a *Agent) remove(b *box) {
	if err := b.sandbox.Remove(); err != nil {
		a.options.Log.Error("remove sandbox", slog.String("function", b.function.spec.Name), slog.Any("error", err))
	}
	a.logs.close(b.name)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.boxes, b.id)
	a.handleLocked(worker.Removed{Sandbox: b.id})
}

// Register adds f, whose code is a tar as agent/image makes it, empty for a
// builtin and an image. The blobs of its image were pushed. The same function again is
// accepted and changes nothing.
func (a *Agent) Register(f spec.Function, code []byte) error {
	if err := a.prepare(f); err != nil {
		return fmt.Errorf("function %s: %w: %w", f.Name, ErrBadCode, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	if old := a.functions[f.Name]; old != nil {
		if same, err := equal(old.spec, f); err != nil || !same {
			return errors.Join(fmt.Errorf("function %s: %w", f.Name, ErrConflict), err)
		}
		return nil
	}
	reg := &function{spec: f}
	if f.Builtin == "" && f.Image == "" {
		reg.code = filepath.Join(a.options.Dir, "code", fileName(f.Name))
		if err := image.Unpack(code, reg.code); err != nil {
			return fmt.Errorf("function %s: %w: %w", f.Name, ErrBadCode, err)
		}
	}
	id, err := a.core.Register(worker.Registered(f))
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrNeverFits, err), os.RemoveAll(reg.code))
	}
	reg.id = id
	a.functions[f.Name] = reg
	a.byID = append(a.byID, reg)
	return nil
}

// prepare does what the first cold start of a function with an image would wait for.
func (a *Agent) prepare(f spec.Function) error {
	if f.Digest == "" {
		return nil
	}
	if a.options.Store == nil {
		return errors.New("this worker keeps no images")
	}
	if err := a.options.Store.Adopt(f.Digest); err != nil {
		return err
	}
	if p, ok := a.options.Isolation.(sandbox.Preparer); ok {
		return p.Prepare(a.ctx, sandbox.Config{Function: f, Image: f.Digest})
	}
	return nil
}

func equal(a, b spec.Function) (bool, error) {
	ja, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	jb, err := json.Marshal(b)
	return string(ja) == string(jb), err
}

// Prewarm returns when count sandboxes of the function are idle, with how many are.
func (a *Agent) Prewarm(ctx context.Context, name string, count int) (int, error) {
	a.mu.Lock()
	f := a.functions[name]
	switch {
	case a.closed:
		a.mu.Unlock()
		return 0, fmt.Errorf("prewarm %s: %w", name, ErrClosed)
	case f == nil:
		a.mu.Unlock()
		return 0, fmt.Errorf("prewarm %s: %w", name, ErrUnknownFunction)
	}
	refused := a.handleLocked(worker.Prewarm{Function: f.id, Count: count})
	var boxes []*box
	for _, id := range slices.Sorted(maps.Keys(a.boxes)) {
		if b := a.boxes[id]; b.function == f && (b.state == starting || b.state == idle) {
			boxes = append(boxes, b)
		}
	}
	a.mu.Unlock()
	ready := 0
	for _, b := range boxes {
		select {
		case <-b.settled:
		case <-ctx.Done():
			return ready, context.Cause(ctx)
		}
		if b.err != nil {
			return ready, fmt.Errorf("prewarm %s: %w", name, b.err)
		}
		ready++
	}
	if refused != worker.NoReason {
		return ready, fmt.Errorf("prewarm %s: %w: %s for more than %d of %d sandboxes", name, ErrNoRoom, refused, ready, count)
	}
	return ready, nil
}

// Estimate predicts the wait and the service time of an invocation that came now.
func (a *Agent) Estimate(name string) (wait, service time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.functions[name]
	if f == nil {
		return 0, 0, fmt.Errorf("estimate %s: %w", name, ErrUnknownFunction)
	}
	wait, service = a.core.Estimate(f.id)
	return wait, service, nil
}

// Status is the scheduler's.
func (a *Agent) Status() worker.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.core.Status()
}

// FunctionInfo is a registered function.
type FunctionInfo struct {
	Function    spec.Function
	Invocations int64
}

// SandboxInfo is a sandbox that exists or is in the making.
type SandboxInfo struct {
	ID       worker.SandboxID
	Function string
	State    string // "starting", "idle", "busy" or "removing"
	Memory   int64  // bytes, -1 when unknown
}

// List returns functions in order of registration and sandboxes in order of creation.
func (a *Agent) List() ([]FunctionInfo, []SandboxInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	functions := make([]FunctionInfo, 0, len(a.byID))
	for _, f := range a.byID {
		functions = append(functions, FunctionInfo{f.spec, f.invocations})
	}
	sandboxes := make([]SandboxInfo, 0, len(a.boxes))
	for _, id := range slices.Sorted(maps.Keys(a.boxes)) {
		b := a.boxes[id]
		info := SandboxInfo{ID: id, Function: b.function.spec.Name, State: b.state, Memory: -1}
		if b.sandbox != nil {
			info.Memory = b.sandbox.Memory()
		}
		sandboxes = append(sandboxes, info)
	}
	return functions, sandboxes
}

// Drain refuses what arrives from now on and returns when nothing is left running.
func (a *Agent) Drain(ctx context.Context) error {
	a.mu.Lock()
	if !a.closed { // which drains too
		a.handleLocked(worker.Drain{})
	}
	if a.core.Empty() {
		a.mu.Unlock()
		return nil
	}
	if a.empty == nil {
		a.empty = make(chan struct{})
	}
	empty := a.empty
	a.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Clean removes every idle sandbox and returns how many it asked to go.
func (a *Agent) Clean() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return 0 // Close removes them
	}
	count := a.core.Status().Idle
	a.handleLocked(worker.Clean{})
	return count
}

// Close refuses new work, ends what runs, and removes every sandbox. When it
// returns nothing of the Agent is left but its logs.
func (a *Agent) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	a.handleLocked(worker.Drain{})
	a.mu.Unlock()
	a.stop(ErrClosed)
	a.tasks.Wait()
	var errs []error
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer.Stop()
	for _, b := range a.boxes {
		if b.sandbox != nil {
			errs = append(errs, b.sandbox.Remove())
		}
	}
	clear(a.boxes)
	return errors.Join(append(errs, a.logs.closeAll(), os.RemoveAll(filepath.Join(a.options.Dir, "code")))...)
}
