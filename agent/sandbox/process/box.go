package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
)

// box is one sandbox.
type box struct {
	isolation *Isolation
	config    sandbox.Config
	dir       string
	cgroup    resource.Cgroup
	cmd       *exec.Cmd // its Process is nil until it has started
	socket    net.Conn
	conn      *wire.Conn
	stderr    *sink
	calls     uint64
	overLimit atomic.Bool // ended by the watch, for its memory
	done      chan struct{}
	remove    sync.Once
	removeErr error
}

// wait ends with the process.
func (b *box) wait() {
	_ = b.cmd.Wait() // how it ended is in ProcessState
	close(b.done)
}

// Done is closed when the process has ended.
func (b *box) Done() <-chan struct{} { return b.done }

func (b *box) record() error {
	start, err := startTime(b.cmd.Process.Pid)
	if err != nil {
		return nil // it has ended already, which ready reports
	}
	j, err := json.Marshal(record{b.cmd.Process.Pid, start, b.isolation.options.RunID})
	if err != nil {
		return err
	}
	return os.WriteFile(b.dir+recordSuffix, j, 0o600)
}

// ready waits for the first frame.
func (b *box) ready(ctx context.Context) error {
	defer b.isolation.watch.add(b)()
	stop := context.AfterFunc(ctx, b.interrupt)
	frame, err := b.conn.Read()
	if !stop() && ctx.Err() != nil {
		return &sandbox.Error{Kind: sandbox.StartFailed, Message: context.Cause(ctx).Error() + b.lastWords()}
	}
	switch {
	case err != nil:
		ended := b.ended(err)
		return &sandbox.Error{Kind: sandbox.StartFailed, Message: "it ended before it was ready: " + ended.Message}
	case frame.Type == wire.StartError:
		return &sandbox.Error{Kind: sandbox.StartFailed, Message: string(frame.Payload)}
	case frame.Type != wire.Ready:
		return &sandbox.Error{Kind: sandbox.StartFailed, Message: fmt.Sprintf("it sent a frame of type %d before it was ready", frame.Type)}
	}
	return nil
}

// interrupt makes reads and writes under way return.
func (b *box) interrupt() { _ = b.socket.SetDeadline(time.Unix(1, 0)) } // it fails only on a closed socket, which is interrupted

// Invoke writes the arguments and reads the result in the calling goroutine.
func (b *box) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	if len(args) > sandbox.MaxPayload {
		return sandbox.Reply{}, &sandbox.Error{Kind: sandbox.TooLarge, Message: fmt.Sprintf("the arguments have %d bytes, over %d MiB", len(args), sandbox.MaxPayload>>20)}
	}
	defer b.isolation.watch.add(b)()
	began := mono.Now()
	stop := context.AfterFunc(ctx, b.interrupt)
	b.calls++
	frame, err := b.roundTrip(args)
	if !stop() && ctx.Err() != nil {
		return sandbox.Reply{}, context.Cause(ctx)
	}
	if err != nil {
		return sandbox.Reply{}, b.ended(err)
	}
	start, end, data, err := wire.SplitTimes(frame.Payload)
	if err != nil || frame.ID != b.calls || frame.Type != wire.Result && frame.Type != wire.UserError {
		return sandbox.Reply{}, &sandbox.Error{Kind: sandbox.Protocol, Message: fmt.Sprintf("it answered with a frame of type %d and id %d", frame.Type, frame.ID)}
	}
	elapsed := mono.Now() - began
	reply := sandbox.Reply{ExecStart: clamp(time.Duration(start)-began, 0, elapsed)}
	reply.ExecEnd = clamp(time.Duration(end)-began, reply.ExecStart, elapsed)
	if frame.Type == wire.UserError {
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: string(data)}
	}
	reply.Result = bytes.Clone(data)
	return reply, nil
}

func (b *box) roundTrip(args []byte) (wire.Frame, error) {
	if err := b.conn.Write(wire.Invoke, b.calls, args); err != nil {
		return wire.Frame{}, err
	}
	return b.conn.Read()
}

func clamp(d, low, high time.Duration) time.Duration { return min(max(d, low), high) }

// endWithin is how long a process may take to end after its socket did.
const endWithin = time.Second

// ended says why the stream ended: the process did, or it sent what is no frame.
func (b *box) ended(err error) *sandbox.Error {
	if errors.Is(err, wire.ErrMalformed) {
		return &sandbox.Error{Kind: sandbox.Protocol, Message: err.Error()}
	}
	if errors.Is(err, wire.ErrTooLarge) {
		return &sandbox.Error{Kind: sandbox.Protocol, Message: "it sent a frame over 16 MiB"}
	}
	select {
	case <-b.done:
	case <-time.After(endWithin):
		return &sandbox.Error{Kind: sandbox.Crashed, Message: "it closed its socket and went on" + b.lastWords()}
	}
	if b.overLimit.Load() || b.cgroup.OOMKills() > 0 {
		return &sandbox.Error{Kind: sandbox.OutOfMemory, Message: fmt.Sprintf("it went over its memory limit of %d MiB and was ended", b.config.Function.Memory/spec.MiB)}
	}
	return &sandbox.Error{Kind: sandbox.Crashed, Message: b.cmd.ProcessState.String() + b.lastWords()}
}

// lastWords is the end of standard error, on lines of its own.
func (b *box) lastWords() string {
	if tail := b.stderr.last(); tail != "" {
		return "\n" + tail
	}
	return ""
}

// Memory is what the cgroup or, without one, the process uses.
func (b *box) Memory() int64 {
	if b.isolation.cgroups.Has("memory") {
		return b.cgroup.Memory()
	}
	return resident(b.cmd.Process.Pid)
}

// Remove kills the process and all it has started, and removes what was made for it.
func (b *box) Remove() error {
	b.remove.Do(func() {
		var errs []error
		if b.cmd != nil && b.cmd.Process != nil {
			if err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, err)
			}
			<-b.done
		}
		if b.socket != nil {
			errs = append(errs, b.socket.Close())
		}
		errs = append(errs, b.cgroup.Remove(), os.RemoveAll(b.dir))
		if err := os.Remove(b.dir + recordSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		b.removeErr = errors.Join(errs...)
	})
	return b.removeErr
}

// tailSize is how much of standard error is kept for messages, in bytes.
const tailSize = 2 << 10

// sink passes on what a stream says and keeps its end.
type sink struct {
	to   func([]byte)
	mu   sync.Mutex
	tail []byte
}

func (s *sink) Write(p []byte) (int, error) {
	if s.to != nil {
		s.to(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, p[max(0, len(p)-tailSize):]...)
	if over := len(s.tail) - tailSize; over > 0 {
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
	return len(p), nil
}

func (s *sink) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(string(s.tail))
}

// watchEvery is how often the memory of busy sandboxes is looked at where no
// cgroup limits it.
const watchEvery = 20 * time.Millisecond

// watch ends sandboxes that use more memory than they may. It sleeps while none is busy.
type watch struct {
	mu    sync.Mutex
	busy  map[*box]bool
	wake  chan struct{} // of capacity 1; closed by close
	ended chan struct{} // closed when the goroutine has ended
}

func newWatch() *watch {
	w := &watch{busy: map[*box]bool{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.run()
	return w
}

// add watches b until the function it returns is called.
func (w *watch) add(b *box) (stop func()) {
	if b.isolation.cgroups.Has("memory") {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[b] = true
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.busy, b)
	}
}

func (w *watch) close() {
	close(w.wake)
	<-w.ended
}

func (w *watch) run() {
	defer close(w.ended)
	for range w.wake {
		for w.look() {
			time.Sleep(watchEvery)
		}
	}
}

// look checks each busy sandbox and reports whether there is any.
func (w *watch) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for b := range w.busy {
		if resident(b.cmd.Process.Pid) > int64(b.config.Function.Memory) {
			b.overLimit.Store(true)
			_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) // it fails only when it has ended
		}
	}
	return len(w.busy) > 0
}

// resident is the memory of a process in bytes, -1 when it has ended.
func resident(pid int) int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return -1
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return -1
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return -1
	}
	return pages * int64(os.Getpagesize())
}

// startTime is when a process started, in clock ticks since boot.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	const afterName = 19 // field 22 of proc(5), counted from the one after the name
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) <= afterName {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return strconv.ParseUint(fields[afterName], 10, 64)
}

// ours reports whether the process of the record is still there.
func (r record) ours() bool {
	start, err := startTime(r.PID)
	if err != nil || start != r.StartTime {
		return false
	}
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.PID), "environ"))
	return err == nil && bytes.Contains(env, []byte("AINUR_RUN="+r.RunID+"\x00"))
}
