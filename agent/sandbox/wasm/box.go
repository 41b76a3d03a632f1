package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/internal/mono"
)

// box is one sandbox.
type box struct {
	isolation *Isolation
	module    *module
	config    sandbox.Config
	env       wazero.ModuleConfig // what all its instances have
	stderr    *link.Output        // of the instance
	life      context.Context     // ends with the sandbox
	end       context.CancelFunc
	cpu       atomic.Int64           // used so far, in ns
	memory    atomic.Pointer[memory] // of the last instance; nil before the first

	mu       sync.Mutex      // held by what uses the rest
	instance *instance       // nil when there is none
	stop     <-chan struct{} // closed when what runs must end
}

func newBox(i *Isolation, m *module, c sandbox.Config) *box {
	b := &box{isolation: i, module: m, config: c}
	b.life, b.end = context.WithCancel(context.Background())
	b.env = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithArgs(c.Function.Name).
		WithSysWalltime().WithSysNanotime().WithNanosleep(b.sleep).WithRandSource(rand.Reader)
	for _, name := range slices.Sorted(maps.Keys(c.Function.Env)) {
		b.env = b.env.WithEnv(name, c.Function.Env[name])
	}
	return b
}

// sleep is what an instance sleeps with, in the goroutine that runs it.
func (b *box) sleep(ns int64) {
	timer := time.NewTimer(time.Duration(ns))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.stop:
	}
}

// start makes the first instance. Of a reactor it is the only one.
func (b *box) start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.run(ctx, func(ctx context.Context) error {
		if err := b.instantiate(ctx); err != nil {
			return err
		}
		if b.module.reactor {
			return b.instance.initialize(ctx)
		}
		return nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return link.StartFailed("%w%s", context.Cause(ctx), b.stderr.LastWords())
	case b.overMemory():
		return link.StartFailed("%s", link.OutOfMemory(b.config.Function).Message)
	default:
		return link.StartFailed("%s%s", reason(err), b.stderr.LastWords())
	}
}

// run runs code of the module: until it returns, ctx ends or the sandbox is removed.
func (b *box) run(ctx context.Context, code func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	b.stop = ctx.Done()
	runtime.LockOSThread() // whose CPU time it measures
	defer runtime.UnlockOSThread()
	began := threadTime()
	defer func() { b.cpu.Add(threadTime() - began) }()
	return code(ctx)
}

// threadTime is the processor time of the calling thread, in ns.
func threadTime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic("wasm: no CLOCK_THREAD_CPUTIME_ID: " + err.Error())
	}
	return ts.Nano()
}

// Invoke runs args in the calling goroutine.
func (b *box) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	if err := link.CheckSize(args); err != nil {
		return sandbox.Reply{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() != nil {
		return sandbox.Reply{}, &sandbox.Error{Kind: sandbox.Crashed, Message: "it has ended"}
	}
	began := mono.Now()
	var c call
	err := b.run(ctx, func(ctx context.Context) error {
		if b.module.reactor {
			return b.instance.invoke(ctx, args, &c)
		}
		return b.runOnce(ctx, args, &c)
	})
	if err = b.judge(ctx, err); !sandbox.Usable(err) {
		b.end()
		return sandbox.Reply{}, err
	}
	reply := sandbox.Reply{ExecStart: c.start - began, ExecEnd: c.end - began}
	if err == nil {
		err = c.check()
	}
	if err == nil {
		reply.Result = c.result
	}
	return reply, err
}

// runOnce runs a command in an instance that is used for nothing else.
func (b *box) runOnce(ctx context.Context, args []byte, c *call) error {
	if b.instance == nil {
		if err := b.instantiate(ctx); err != nil {
			return err
		}
	}
	err := b.instance.main(ctx, args, c)
	return errors.Join(err, b.discard())
}

// call is what comes of one invocation. Its times are those of CLOCK_MONOTONIC.
type call struct {
	start, end time.Duration
	result     []byte // up to sandbox.MaxPayload
	size       int    // of the result, also of one over that
	failed     bool   // the result is the text of a user error
}

// check is the user error of a call that came to its end.
func (c *call) check() error {
	switch {
	case c.size > sandbox.MaxPayload:
		return userError("the result has %d bytes, over %d MiB", c.size, sandbox.MaxPayload>>20)
	case c.failed:
		return userError("%s", link.Text(c.result))
	case !json.Valid(c.result):
		return userError("what the function returned is not JSON: %.100q", c.result)
	default:
		return nil
	}
}

func userError(format string, args ...any) *sandbox.Error {
	return &sandbox.Error{Kind: sandbox.UserError, Message: fmt.Sprintf(format, args...)}
}

// judge says what the end of a call means. After an error a command goes on with a
// new instance, which a reactor cannot have: it would lose what it holds.
func (b *box) judge(ctx context.Context, err error) error {
	var protocol *sandbox.Error
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case b.life.Err() != nil:
		return &sandbox.Error{Kind: sandbox.Crashed, Message: "it was removed"}
	case err == nil:
		return nil
	case b.overMemory():
		return link.OutOfMemory(b.config.Function)
	case errors.As(err, &protocol):
		return protocol
	case b.module.reactor:
		return &sandbox.Error{Kind: sandbox.Crashed, Message: reason(err) + b.stderr.LastWords()}
	default:
		return userError("%s%s", reason(err), b.stderr.LastWords())
	}
}

// reason is what ended an instance.
func reason(err error) string {
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return fmt.Sprintf("exit status %d", int32(exit.ExitCode()))
	}
	text := err.Error()
	return link.Text([]byte(text[:min(len(text), maxReason)]))
}

// maxReason bounds what a message has of an error, in bytes: a module chooses the
// names in its stack traces.
const maxReason = 8 << 10

// overMemory reports whether the last instance has asked for more than it may have.
func (b *box) overMemory() bool {
	m := b.memory.Load()
	return m != nil && m.refused.Load()
}

// Memory is the linear memory of the instance, 0 while a command has none.
func (b *box) Memory() int64 {
	m := b.memory.Load()
	if m == nil {
		return 0
	}
	return m.size.Load()
}

// CPU is the processor time of all calls that have returned.
func (b *box) CPU() time.Duration { return time.Duration(b.cpu.Load()) }

// Freeze does nothing: between invocations nothing runs.
func (b *box) Freeze() error { return nil }

// Thaw does nothing.
func (b *box) Thaw() error { return nil }

// Done is closed when the sandbox has ended.
func (b *box) Done() <-chan struct{} { return b.life.Done() }

// Remove ends the call under way and drops the instance.
func (b *box) Remove() error {
	b.end()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.discard()
}

// pieces hands on what is written in pieces that are not large, as of a pipe.
type pieces struct{ to io.Writer }

const pieceSize = 32 << 10

func (p pieces) Write(b []byte) (int, error) {
	for piece := range slices.Chunk(b, pieceSize) {
		if _, err := p.to.Write(piece); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// bounded keeps the first sandbox.MaxPayload bytes, and counts all.
type bounded struct {
	kept bytes.Buffer
	size int
}

func (o *bounded) Write(b []byte) (int, error) {
	o.size += len(b)
	o.kept.Write(b[:min(len(b), sandbox.MaxPayload-o.kept.Len())])
	return len(b), nil
}
