package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
)

// box is one sandbox.
type box struct {
	isolation *Isolation
	config    sandbox.Config
	home      string // its working and temporary folder
	cgroup    resource.Cgroup
	cmd       *exec.Cmd // nil until it has started
	statm     *os.File  // of the process, where no cgroup tells its memory; nil when unknown
	socket    *net.UnixConn
	conn      *wire.Conn
	stderr    sink
	calls     uint64
	overLimit atomic.Bool   // ended by the watch, for its memory
	done      chan struct{} // closed when the process has ended
	remove    sync.Once
	removeErr error
}

// start starts the process. Whatever it has made, Remove removes, also after an error.
func (b *box) start() error {
	i, f := b.isolation, b.config.Function
	if err := os.Mkdir(b.home, 0o700); err != nil {
		return err
	}
	argv, env, err := shim.Command(f, b.config.Code, i.options.Dir)
	if err != nil {
		return err
	}
	b.cgroup, err = i.cgroups.Create(b.config.ID, resource.Limits{Memory: int64(f.Memory), MilliCPU: f.MilliCPU, PIDs: pidsLimit})
	if err != nil {
		return err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	b.socket, b.conn = ours, wire.NewConn(ours)
	b.stderr.to = b.config.Stderr

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = b.home
	cmd.Env = b.environment(env)
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	cmd.Stdout, cmd.Stderr = &sink{to: b.config.Stdout}, &b.stderr
	cmd.SysProcAttr = attributes(i.namespaces)
	cmd.WaitDelay = pipesWithin
	err = i.spawner.start(cmd, b.cgroup)
	if cmd.Process != nil {
		b.cmd = cmd
		if i.watch.needed {
			b.statm, _ = os.Open(fmt.Sprintf("/proc/%d/statm", cmd.Process.Pid)) // the memory is unknown then
		}
		go b.wait() // until Remove
	}
	switch err := errors.Join(err, theirs.Close()); {
	case err == nil:
		return nil
	case f.Runtime == "exec" && errors.Is(err, syscall.ENOEXEC):
		return startFailed("it is neither an executable for this kind of machine nor a script that begins with #!")
	case f.Runtime == "exec" && errors.Is(err, fs.ErrNotExist):
		return startFailed("the interpreter or loader that it names is not on this host")
	default:
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
}

// socketPair returns our end, and the process's.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "sandbox"), os.NewFile(uintptr(fds[1]), "agent")
	conn, err := net.FileConn(ours)
	if err := errors.Join(err, ours.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// environment is all that the process gets; nothing of the agent's but its PATH.
func (b *box) environment(shim []string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.home, "TMPDIR=" + b.home, "LANG=C.UTF-8"}
	for name, value := range b.config.Function.Env {
		env = append(env, name+"="+value)
	}
	env = append(env, shim...) // the last of a name counts
	return append(env, wire.FD+"=3", b.label())
}

// label marks the process and all it starts.
func (b *box) label() string { return b.isolation.label(b.isolation.name, b.config.ID) }

// pipesWithin is how long what the process started may hold its standard
// output and error after it has ended.
const pipesWithin = 200 * time.Millisecond

// wait ends what the process has started with the process itself. While it is
// not reaped, no other process group has its number.
func (b *box) wait() {
	defer close(b.done)
	for errors.Is(unix.Waitid(unix.P_PID, b.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) // it fails when nothing but the process was in the group
	_ = b.cgroup.Kill()                                   // Remove tries again and tells
	_ = b.cmd.Wait()                                      // how it ended is in ProcessState
	_ = b.socket.CloseRead()                              // what was sent can still be read, and a process that got away holds up nothing
}

// Done is closed when the process has ended.
func (b *box) Done() <-chan struct{} { return b.done }

// ready waits for the first frame.
func (b *box) ready(ctx context.Context) error {
	b.isolation.watch.add(b)
	defer b.isolation.watch.remove(b)
	stop := context.AfterFunc(ctx, b.interrupt)
	frame, err := b.conn.Read()
	switch {
	case !stop():
		return startFailed(context.Cause(ctx).Error() + b.lastWords())
	case err != nil:
		return startFailed("it ended before it was ready: " + b.ended(err).Message)
	case frame.Type == wire.StartError:
		return startFailed(text(frame.Payload))
	case frame.Type != wire.Ready:
		return startFailed(fmt.Sprintf("it sent a frame of type %d before it was ready", frame.Type))
	default:
		return nil
	}
}

func startFailed(text string) error {
	return &sandbox.Error{Kind: sandbox.StartFailed, Message: text}
}

// interrupt makes reads and writes under way return.
func (b *box) interrupt() { _ = b.socket.SetDeadline(time.Unix(1, 0)) } // it fails only on a closed socket, which is interrupted

// Invoke writes the arguments and reads the result in the calling goroutine.
func (b *box) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	if len(args) > sandbox.MaxPayload {
		return sandbox.Reply{}, &sandbox.Error{Kind: sandbox.TooLarge, Message: fmt.Sprintf("the arguments have %d bytes, over %d MiB", len(args), sandbox.MaxPayload>>20)}
	}
	b.isolation.watch.add(b)
	defer b.isolation.watch.remove(b)
	began := mono.Now()
	stop := context.AfterFunc(ctx, b.interrupt)
	b.calls++
	frame, err := b.roundTrip(args)
	if !stop() {
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
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: text(data)}
	}
	if !json.Valid(data) {
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: fmt.Sprintf("what the function returned is not JSON: %.100q", data)}
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

// maxText bounds the text of an error that a sandbox sends, in bytes.
const maxText = 16 << 10

// text makes what a sandbox sends fit for a message.
func text(b []byte) string { return strings.ToValidUTF8(string(b[:min(len(b), maxText)]), "\uFFFD") }

// endWithin is how long a process may take to end after its socket did.
const endWithin = pipesWithin + 500*time.Millisecond

// ended says why the stream ended: the process did, or it sent what is no frame.
func (b *box) ended(err error) *sandbox.Error {
	switch {
	case errors.Is(err, wire.ErrMalformed):
		return &sandbox.Error{Kind: sandbox.Protocol, Message: err.Error()}
	case errors.Is(err, wire.ErrTooLarge):
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
		return "\n" + text([]byte(tail))
	}
	return ""
}

// Memory is what the cgroup or, without one, the process uses.
func (b *box) Memory() int64 {
	if b.isolation.watch.needed {
		return resident(b.statm)
	}
	return b.cgroup.Memory()
}

// Remove ends the process and all it has started, and removes what was made for it.
func (b *box) Remove() error {
	b.remove.Do(func() {
		var errs []error
		if b.cmd != nil {
			if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				errs = append(errs, err)
			}
			<-b.done
			if !b.isolation.namespaces { // else the kernel has ended what it started
				_, err := killLabelled(b.label(), "")
				errs = append(errs, err)
			}
		}
		if b.socket != nil {
			errs = append(errs, b.socket.Close())
		}
		if b.statm != nil {
			errs = append(errs, b.statm.Close())
		}
		b.removeErr = errors.Join(append(errs, b.cgroup.Remove(), os.RemoveAll(b.home))...)
	})
	return b.removeErr
}
