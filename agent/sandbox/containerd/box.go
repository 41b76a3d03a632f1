package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/sandbox/network"
	"github.com/ainur-faas/ainur/agent/sandbox/stem"
)

// box is one sandbox: a container with one task.
type box struct {
	isolation *Isolation
	config    sandbox.Config
	number    string // of the sandbox in the Isolation
	cell      bool   // it has no function yet
	counted   bool   // its memory is, among that of sandboxes
	cgroup    resource.Cgroup
	network   *network.Namespace   // nil: none of the pool
	listener  *link.Listener       // nil for an image of Ilúvatar
	snapshot  bool                 // it has one of its own
	container containerd.Container // nil until it is made
	task      containerd.Task      // nil until it is made
	stdout    link.Output
	stderr    link.Output
	seen      <-chan struct{} // closed by the marker of Ilúvatar's servers
	protocol  link.Protocol   // nil until it has connected
	state     string          // how it ended; read after done
	started   bool            // something will close done
	done      chan struct{}   // closed when the task has ended
	remove    sync.Once
	removeErr error
}

// key is the id of the container in the daemon.
func (b *box) key() string {
	return b.isolation.options.RunID + "." + b.isolation.name + "." + b.number
}

// home is the folder of the sandbox on this host.
func (b *box) home() string { return filepath.Join(b.isolation.homes(), b.number) }

// inCgroup tells the sandbox's cgroup from all others; "" where it has none.
func (b *box) inCgroup() string {
	if i := b.isolation; len(i.cgroups.JoinFiles("")) > 0 {
		return i.cgroupPath(b.number) + "/"
	}
	return ""
}

// socketFolder is what the sandbox sees of it.
func (b *box) socketFolder() string { return filepath.Join(b.home(), "run") }

// start makes the container and starts it. Whatever it has made, Remove removes,
// also after an error.
func (b *box) start(ctx context.Context) error {
	i, f := b.isolation, b.config.Function
	root, err := i.root(ctx, b.config)
	if err != nil {
		return err
	}
	if i.network() == "bridge" || f.Server == "http" && i.options.Container.Network == "" {
		pool, err := i.pool()
		if err != nil {
			return err
		}
		if b.network, err = pool.Get(ctx); err != nil {
			return err
		}
	}
	spec, err := i.spec(b, root)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.home(), 0o700); err != nil {
		return err
	}
	if f.Server == "" {
		if err := os.Mkdir(b.socketFolder(), 0o700); err != nil {
			return err
		}
		if b.listener, err = link.Listen(b.socketFolder()); err != nil {
			return err
		}
	}
	if b.cgroup, err = i.cgroups.Create(b.number, resource.Limits{Memory: int64(f.Memory), MilliCPU: f.MilliCPU, PIDs: container.PIDs}); err != nil {
		return err
	}
	if b.cell { // which no one waits for
		return b.create(ctx, spec, root)
	}
	if err := i.creations.acquire(ctx); err != nil {
		return link.StartFailed("%w", err)
	}
	began := time.Now()
	if err := b.create(ctx, spec, root); err != nil {
		i.creations.release(0)
		if ctx.Err() != nil {
			return link.StartFailed("%w", context.Cause(ctx))
		}
		return fmt.Errorf("start sandbox %s: %w", b.config.ID, err)
	}
	i.creations.release(time.Since(began))
	return nil
}

// create makes the container and starts it. No file of its image is a device then. There is
// no other rule on devices where crun makes no cgroup, and it takes none: a sandbox has no
// capability to make one, and its own /dev is the only filesystem that has any. It is not cut short: the daemon, or the
// runtime, would go on, and what they have made would be unknown.
func (b *box) create(ctx context.Context, spec *ociSpec, root *root) (err error) {
	i := b.isolation
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	runtime := containerd.WithRuntime(shimName, &options.Options{BinaryName: i.runtime.path})
	b.container, err = i.client.NewContainer(ctx, b.key(), containerd.WithSpec(spec), runtime, containerd.WithContainerLabels(i.labels(b.config.ID)))
	if err != nil {
		return err
	}
	b.stdout.To, b.stderr.To = b.config.Stdout, b.config.Stderr
	stdout, stderr := link.NewMarkers(&b.stdout, &b.stderr)
	b.seen = stdout.Seen
	output := cio.NewCreator(cio.WithStreams(nil, stdout, stderr), cio.WithFIFODir(b.home()))
	var options []containerd.NewTaskOpts
	mounts := root.mounts
	if root.writable {
		b.snapshot = true
		if mounts, err = i.client.SnapshotService(i.snapshotter).Prepare(ctx, b.key(), root.chain, snapshots.WithLabels(i.labels(b.config.ID))); err != nil {
			return err
		}
	}
	if mounts != nil {
		options = append(options, containerd.WithRootFS(mounts))
	}
	if b.task, err = b.container.NewTask(ctx, output, options...); err != nil {
		return err
	}
	ended, err := b.task.Wait(context.WithoutCancel(ctx)) // before it starts, so as to miss nothing
	if err != nil {
		return err
	}
	b.started = true
	go b.wait(ended)
	if mounts != nil { // both runtimes mount the root anew, without options that it had
		if err := i.binder.Bind(int(b.task.Pid()), stem.Binding{NoDevices: true}); err != nil {
			return err
		}
	}
	return b.task.Start(ctx)
}

// outputWithin is how long what was printed may take to arrive when the sandbox has ended.
const outputWithin = 500 * time.Millisecond

// wait is told how the task has ended, or that it was removed.
func (b *box) wait(ended <-chan containerd.ExitStatus) {
	defer close(b.done)
	status := <-ended
	code, _, err := status.Result()
	switch {
	case err != nil:
		b.state = "it was removed: " + err.Error()
	case code > 128:
		b.state = fmt.Sprintf("signal %d", code-128)
	default:
		b.state = fmt.Sprintf("exit status %d", code)
	}
	read := make(chan struct{})
	go func() {
		b.task.IO().Wait()
		close(read)
	}()
	select {
	case <-read:
	case <-time.After(outputWithin):
	}
}

// ready waits until the sandbox has connected and user code is loaded.
func (b *box) ready(ctx context.Context) error {
	var err error
	switch b.config.Function.Server {
	case "unix":
		b.protocol = link.NewUnix(fmt.Sprintf("/proc/%d/root", b.task.Pid()), b.inCgroup(), b.seen, b.done, b.ended)
	case "http":
		b.protocol = link.NewHTTP(net.JoinHostPort(b.network.Address().String(), strconv.Itoa(container.IluvatarPort)), b.seen, b.done, b.ended)
	default:
		if b.protocol == nil {
			_, err = b.connected(ctx)
		}
	}
	if err == nil {
		err = b.protocol.Ready(ctx)
	}
	var e *sandbox.Error
	if ctx.Err() != nil && errors.As(err, &e) {
		e.Message += b.stderr.LastWords()
	}
	return err
}

// connected waits until the sandbox has connected.
func (b *box) connected(ctx context.Context) (*link.Frames, error) {
	conn, err := b.listener.Accept(ctx, b.inCgroup(), b.done, b.ended)
	if err != nil {
		return nil, err
	}
	frames := link.NewFrames(conn, b.ended)
	b.protocol = frames
	return frames, nil
}

// Invoke runs args in the calling goroutine.
func (b *box) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	return b.protocol.Invoke(ctx, args)
}

// endWithin is how long a sandbox may take to end after its socket did.
const endWithin = 2 * time.Second

// ended says why the sandbox has ended.
func (b *box) ended() *sandbox.Error {
	select {
	case <-b.done:
	case <-time.After(endWithin):
		return &sandbox.Error{Kind: sandbox.Crashed, Message: "it closed its socket and went on" + b.stderr.LastWords()}
	}
	if b.cgroup.OOMKills() > 0 {
		return link.OutOfMemory(b.config.Function)
	}
	return &sandbox.Error{Kind: sandbox.Crashed, Message: b.state + b.stderr.LastWords()}
}

// Memory is what the cgroup uses.
func (b *box) Memory() int64 { return b.cgroup.Memory() }

// CPU is what the cgroup has used.
func (b *box) CPU() time.Duration { return b.cgroup.CPU() }

// Freeze stops all that runs in the cgroup: a file of it, not a call of the
// daemon, which takes 7 ms.
func (b *box) Freeze() error { return b.cgroup.Freeze() }

// Thaw lets it go on.
func (b *box) Thaw() error { return b.cgroup.Thaw() }

// Done is closed when the task has ended.
func (b *box) Done() <-chan struct{} { return b.done }

// Remove ends the sandbox and removes all that was made for it.
func (b *box) Remove() error {
	b.remove.Do(func() {
		i := b.isolation
		i.removals <- struct{}{}
		defer func() { <-i.removals }()
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		var errs []error
		if b.listener != nil {
			errs = append(errs, b.listener.Close())
		}
		errs = append(errs, b.cgroup.Kill())
		if b.task != nil {
			errs = append(errs, b.removeTask(ctx))
		}
		if b.container != nil {
			errs = append(errs, ignoreNotFound(b.container.Delete(ctx)))
		}
		if b.protocol != nil {
			errs = append(errs, b.protocol.Close())
		}
		if b.snapshot {
			errs = append(errs, ignoreNotFound(i.client.SnapshotService(i.snapshotter).Remove(ctx, b.key())))
		}
		if b.network != nil {
			b.network.Release()
		}
		if b.counted {
			i.cells.Ended(b.config.Function.Memory)
		}
		b.removeErr = errors.Join(append(errs, b.cgroup.Remove(), os.RemoveAll(b.home()))...)
	})
	return b.removeErr
}

func (b *box) removeTask(ctx context.Context) error {
	_, err := b.task.Delete(ctx, containerd.WithProcessKill)
	if b.started {
		<-b.done
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
