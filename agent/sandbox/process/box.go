package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/sandbox/network"
	"github.com/ainur-faas/ainur/agent/sandbox/stem"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// box is one sandbox.
type box struct {
	isolation *Isolation
	config    sandbox.Config
	cell      bool   // it has no function yet
	counted   bool   // its memory is, among that of sandboxes
	home      string // its working and temporary folder
	cgroup    resource.Cgroup
	process   *os.Process    // nil until it has started
	zygote    *zygote        // whose child it is, nil when it is one of this process
	pidfd     *os.File       // of a child of the zygote
	state     string         // how it ended; read after done
	pipes     []*os.File     // our ends of its standard output and error
	reading   sync.WaitGroup // what reads them
	statm     *os.File       // of the process, where no cgroup tells its memory; nil when unknown
	socket    *net.UnixConn
	frames    *link.Frames
	stdout    link.Output
	stderr    link.Output
	network   *network.Namespace // nil: none of the pool
	netns     *os.File
	frozen    atomic.Bool   // by its cgroup
	overLimit atomic.Bool   // ended by the watch, for its memory
	done      chan struct{} // closed when the process has ended
	remove    sync.Once
	removeErr error
}

func newBox(i *Isolation, c sandbox.Config) *box {
	return &box{isolation: i, config: c, home: filepath.Join(i.homes(), c.ID), done: make(chan struct{})}
}

// start starts the process. Whatever it has made, Remove removes, also after an error.
func (b *box) start(ctx context.Context) (err error) {
	i, f := b.isolation, b.config.Function
	b.cgroup, err = i.cgroups.Create(b.config.ID, resource.Limits{Memory: int64(f.Memory), MilliCPU: f.MilliCPU, PIDs: pidsLimit})
	if err != nil {
		return err
	}
	ours, theirs, err := socketPair(syscall.SOCK_STREAM)
	if err != nil {
		return err
	}
	b.socket, b.frames = ours, link.NewFrames(ours, b.ended)
	files, err := b.openOutput()
	if err == nil {
		b.process, err = b.launch(ctx, append(files, theirs))
	}
	for _, f := range append(files, theirs) {
		err = errors.Join(err, f.Close())
	}
	if b.process != nil {
		if i.watch.needed {
			b.statm, _ = os.Open(fmt.Sprintf("/proc/%d/statm", b.process.Pid)) // the memory is unknown then
		}
		go b.wait() // until Remove
	}
	switch {
	case err == nil:
		return nil
	case f.Runtime == "exec" && (errors.Is(err, syscall.ENOEXEC) || errors.Is(err, fs.ErrNotExist)):
		return link.StartFailed("%w", shim.ExecError(err))
	default:
		return fmt.Errorf("start sandbox %s: %w", b.config.ID, err)
	}
}

// launch starts the process with these files as its descriptors from 1 on.
func (b *box) launch(ctx context.Context, files []*os.File) (*os.Process, error) {
	i, f := b.isolation, b.config.Function
	if i.forks(b.config) {
		z, err := i.zygotes.of(ctx, i, b.config)
		if err != nil {
			return nil, err
		}
		if z == nil && b.cell {
			return nil, stem.ErrNone
		}
		if z != nil {
			b.zygote = z
			var process *os.Process
			if process, b.pidfd, err = z.fork(b.cgroup, files, b.cell); err != nil {
				err = fmt.Errorf("fork: %w", err)
			}
			return process, err
		}
	}
	if i.native != nil {
		root, err := i.roots.of(ctx, i, b.config)
		if err != nil {
			return nil, err
		}
		netns, err := b.openNetwork(ctx)
		if err != nil {
			return nil, err
		}
		return i.native.start(launch{root: root, cgroup: b.cgroup, network: netns, env: i.environment(f, b.config.ID), files: files, temporary: max(f.Memory, spec.MiB)})
	}
	if b.config.Image != "" {
		return nil, errors.New("an image takes a root filesystem of its own, which takes user 0")
	}
	if err := os.Mkdir(b.home, 0o700); err != nil {
		return nil, err
	}
	argv, env, err := shim.Command(f, b.config.Code, i.options.Dir)
	if err != nil {
		return nil, err
	}
	env = container.Merge([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.home, "TMPDIR=" + b.home, "LANG=C.UTF-8"}, env, i.environment(f, b.config.ID))
	if i.confined != nil {
		reads, err := shim.Reads(f, b.config.Code, i.options.Dir)
		if err != nil {
			return nil, err
		}
		return i.confined.start(command{argv: argv, env: env, reads: reads, own: b.home, files: files, cgroup: b.cgroup})
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = b.home, env
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = files[0], files[1], files[2:]
	cmd.SysProcAttr = attributes(i.namespaces)
	err = i.spawner.do(func() error { return b.cgroup.Start(cmd.SysProcAttr, cmd.Start) })
	return cmd.Process, err
}

// openNetwork is the namespace that the process gets: that of the host, one of the
// pool, or nil for one of its own.
func (b *box) openNetwork(ctx context.Context) (netns *os.File, err error) {
	i := b.isolation
	if i.networks == nil {
		return i.network(), nil
	}
	if b.network, err = i.networks.Get(ctx); err != nil {
		return nil, err
	}
	b.netns, err = os.Open(b.network.Path())
	return b.netns, err
}

// openOutput makes the pipes of standard output and error, and returns the ends of the process.
func (b *box) openOutput() (ends []*os.File, err error) {
	b.stdout.To, b.stderr.To = b.config.Stdout, b.config.Stderr
	for _, to := range []*link.Output{&b.stdout, &b.stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return ends, err
		}
		ends, b.pipes = append(ends, w), append(b.pipes, r)
		b.reading.Go(func() { _, _ = io.Copy(to, r) }) // until the end, or the deadline that wait sets
	}
	return ends, nil
}

// socketPair returns our end, and the process's.
func socketPair(kind int) (*net.UnixConn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, kind|syscall.SOCK_CLOEXEC, 0)
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

// environment is what the process of a sandbox gets on top of what all of its
// function have; nothing of the agent's but its PATH. The last of a name counts.
func (i *Isolation) environment(f spec.Function, id string) []string {
	var env []string
	for name, value := range f.Env {
		env = append(env, name+"="+value)
	}
	return append(env, wire.FD+"=3", i.label(i.name, id))
}

// pipesWithin is how long what the process started may hold its standard
// output and error after it has ended.
const pipesWithin = 200 * time.Millisecond

// wait ends what the process has started with the process itself. While it is
// not reaped, no other process group has its number.
func (b *box) wait() {
	defer close(b.done)
	if b.pidfd != nil {
		b.state = b.zygote.reap(b.pidfd) // with it the kernel ends what it has started
	} else {
		b.reap()
	}
	for _, r := range b.pipes {
		_ = r.SetReadDeadline(time.Now().Add(pipesWithin)) // a pipe takes one
	}
	b.reading.Wait()
	_ = b.socket.CloseRead() // what was sent can still be read, and a process that got away holds up nothing
}

// reap waits for a child of this process, and ends its group.
func (b *box) reap() {
	awaitChild(b.process.Pid)
	_ = syscall.Kill(-b.process.Pid, syscall.SIGKILL) // it fails when nothing but the process was in the group
	_ = b.cgroup.Kill()                               // Remove tries again and tells
	state, _ := b.process.Wait()
	b.state = state.String()
}

// awaitChild returns when a child of this process has ended, which it leaves to be reaped.
// No thread waits with it, but where there is no descriptor left.
func awaitChild(pid int) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK) // which os.NewFile gives to the poller
	if err == nil {
		pidfd := os.NewFile(uintptr(fd), "pidfd")
		err = errors.Join(awaitEnd(pidfd), pidfd.Close())
	}
	for err != nil {
		if err = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Done is closed when the process has ended.
func (b *box) Done() <-chan struct{} { return b.done }

// ready waits until user code is loaded.
func (b *box) ready(ctx context.Context) error {
	b.isolation.watch.add(b)
	defer b.isolation.watch.remove(b)
	err := b.frames.Ready(ctx)
	var e *sandbox.Error
	if ctx.Err() != nil && errors.As(err, &e) {
		e.Message += b.stderr.LastWords()
	}
	return err
}

// Invoke runs args in the calling goroutine.
func (b *box) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	b.isolation.watch.add(b)
	defer b.isolation.watch.remove(b)
	return b.frames.Invoke(ctx, args)
}

// endWithin is how long a process may take to end after its socket did.
const endWithin = pipesWithin + 500*time.Millisecond

// ended says why the process has ended.
func (b *box) ended() *sandbox.Error {
	select {
	case <-b.done:
	case <-time.After(endWithin):
		return &sandbox.Error{Kind: sandbox.Crashed, Message: "it closed its socket and went on" + b.stderr.LastWords()}
	}
	if b.overLimit.Load() || b.cgroup.OOMKills() > 0 {
		return link.OutOfMemory(b.config.Function)
	}
	return &sandbox.Error{Kind: sandbox.Crashed, Message: b.state + b.stderr.LastWords()}
}

// Memory is what the cgroup or, without one, the process uses.
func (b *box) Memory() int64 {
	if b.isolation.watch.needed {
		return resident(b.statm)
	}
	return b.cgroup.Memory()
}

// CPU is what the cgroup has used.
func (b *box) CPU() time.Duration { return b.cgroup.CPU() }

// Freeze stops the process and, where there is a cgroup, all it has started.
func (b *box) Freeze() error {
	if !b.isolation.cgroups.Has("freezer") {
		return syscall.Kill(-b.process.Pid, syscall.SIGSTOP)
	}
	b.frozen.Store(true)
	return b.cgroup.Freeze()
}

// Thaw lets it go on.
func (b *box) Thaw() error {
	if !b.isolation.cgroups.Has("freezer") {
		return syscall.Kill(-b.process.Pid, syscall.SIGCONT)
	}
	b.frozen.Store(false)
	return b.cgroup.Thaw()
}

// Remove ends the process and all it has started, and removes what was made for it.
func (b *box) Remove() error {
	b.remove.Do(func() {
		var errs []error
		if b.process != nil {
			if err := b.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				errs = append(errs, err)
			}
			if b.frozen.Load() { // else it does not end
				errs = append(errs, b.cgroup.Thaw())
			}
			<-b.done
			if !b.isolation.namespaces { // else the kernel has ended what it started
				_, err := killLabelled(b.isolation.label(b.isolation.name, b.config.ID), "")
				errs = append(errs, err)
			}
		}
		for _, r := range b.pipes {
			_ = r.SetReadDeadline(time.Unix(1, 0)) // a pipe takes one
		}
		b.reading.Wait()
		for _, r := range b.pipes {
			errs = append(errs, r.Close())
		}
		if b.frames != nil {
			errs = append(errs, b.frames.Close())
		}
		if b.pidfd != nil {
			errs = append(errs, b.pidfd.Close())
		}
		if b.netns != nil {
			errs = append(errs, b.netns.Close())
		}
		if b.network != nil {
			b.network.Release()
		}
		if b.statm != nil {
			errs = append(errs, b.statm.Close())
		}
		if b.counted {
			b.isolation.cells.Ended(b.config.Function.Memory)
		}
		b.removeErr = errors.Join(append(errs, b.cgroup.Remove(), removeHome(b.home))...)
	})
	return b.removeErr
}
