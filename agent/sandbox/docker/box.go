package docker

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

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	common "github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
)

// box is one sandbox.
type box struct {
	isolation *Isolation
	config    sandbox.Config
	home      string // folder of its own on this host
	asked     bool   // the daemon was asked to make the container
	id        string // of the container, "" while it is not known
	listener  *link.Listener
	protocol  link.Protocol
	stdout    link.Output
	stderr    link.Output
	attached  *client.HijackedResponse // what the container prints; nil before it is
	seen      <-chan struct{}          // closed by the marker of Ilúvatar's servers
	printed   chan struct{}            // closed when it prints no more
	cgroup    resource.Cgroup
	opened    bool // the cgroup was
	pid       int  // once findProcess has been called
	counted   bool // its memory is, among that of sandboxes
	life      sync.WaitGroup
	stop      context.CancelFunc // stops waiting for the end of the container
	status    int64              // of its end, set before done is closed
	oom       bool               // it was ended for its memory, set before done is closed
	done      chan struct{}      // closed when the container has ended
	removing  chan struct{}      // closed by Remove
	remove    sync.Once
	removeErr error
}

func newBox(i *Isolation, c sandbox.Config) *box {
	return &box{
		isolation: i, config: c, home: filepath.Join(i.homes(), c.ID), stop: func() {},
		printed: make(chan struct{}), done: make(chan struct{}), removing: make(chan struct{}),
	}
}

// start starts the container. Whatever it has made, Remove removes, also after an error.
func (b *box) start(ctx context.Context) error {
	i := b.isolation
	image, err := i.images.load(ctx, b.config.Image, b.config.Function.Image != "")
	if err != nil {
		return err
	}
	run := filepath.Join(b.home, "run")
	switch b.config.Function.Server {
	case "unix":
		if os.Getuid() != 0 {
			return fmt.Errorf("function %s: server = \"unix\" takes an agent that runs as root, which reaches the socket in the container: use server = \"http\"", b.config.Function.Name)
		}
	case "":
		if err := os.MkdirAll(run, 0o755); err != nil {
			return err
		}
		if b.listener, err = link.Listen(run); err != nil {
			return err
		}
	}
	request, err := i.request(b.config, image, run)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	b.asked = true
	made, err := i.client.ContainerCreate(ctx, request)
	if err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	b.id = made.ID
	if err := b.attach(ctx); err != nil {
		return err
	}
	b.watch(ctx)
	if _, err := i.client.ContainerStart(ctx, b.id, client.ContainerStartOptions{}); errdefs.IsInvalidArgument(err) {
		return link.StartFailed("%w", err) // docker says so of what it cannot execute
	} else if err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	if i.parent != "" {
		b.cgroup, b.opened = i.cgroups.Open(b.id), true
	}
	return nil
}

// attach passes on what the container will print, until it ends or Remove closes it.
func (b *box) attach(ctx context.Context) error {
	attached, err := b.isolation.client.ContainerAttach(ctx, b.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("attach to container: %w", err)
	}
	b.attached = &attached.HijackedResponse
	b.stdout.To, b.stderr.To = b.config.Stdout, b.config.Stderr
	stdout, stderr := link.NewMarkers(&b.stdout, &b.stderr)
	b.seen = stdout.Seen
	b.life.Go(func() {
		_, _ = stdcopy.StdCopy(stdout, stderr, attached.Reader) // how the stream ended tells nothing
		close(b.printed)
	})
	return nil
}

// printsWithin is how long the output may go on after the container has ended.
const printsWithin = 500 * time.Millisecond

// watch waits for the end of the container, until Remove.
func (b *box) watch(ctx context.Context) {
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	end := b.isolation.client.ContainerWait(ctx, b.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	b.life.Go(func() {
		defer close(b.done)
		select {
		case result := <-end.Result:
			b.status = result.StatusCode
			b.oom = b.wasOutOfMemory(ctx)
		case <-end.Error: // the daemon has ended, or Remove has had enough
			b.status = -1
		}
		select {
		case <-b.printed:
		case <-time.After(printsWithin):
		}
	})
}

// killed is the status of a container that was ended by SIGKILL, by the kernel
// where it was out of memory.
const killed = 128 + 9

// Docker hears that a container was out of memory by another way than that it has
// ended, and may hear it later.
const (
	oomWithin = 300 * time.Millisecond
	oomEvery  = 20 * time.Millisecond
)

func (b *box) wasOutOfMemory(ctx context.Context) bool {
	for deadline := time.Now().Add(oomWithin); ; {
		result, err := b.isolation.client.ContainerInspect(ctx, b.id, client.ContainerInspectOptions{})
		switch {
		case err != nil || result.Container.State == nil:
			return false
		case result.Container.State.OOMKilled:
			return true
		case b.status != killed || time.Now().After(deadline):
			return false
		}
		select {
		case <-b.removing:
			return false
		case <-time.After(oomEvery):
		}
	}
}

// ready waits until the container has connected and user code is loaded.
func (b *box) ready(ctx context.Context) error {
	var err error
	switch b.config.Function.Server {
	case "unix":
		if err = b.findProcess(ctx); errors.Is(err, errNoProcess) {
			err = link.StartFailed("it ended before it was ready: %s", b.ended().Message)
		}
		b.protocol = link.NewUnix(fmt.Sprintf("/proc/%d/root", b.pid), b.inCgroup(), b.seen, b.done, b.ended)
	case "http":
		var address string
		if address, err = b.address(ctx); err == nil {
			b.protocol = link.NewHTTP(net.JoinHostPort(address, strconv.Itoa(common.IluvatarPort)), b.seen, b.done, b.ended)
		}
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

// connected waits until the container has connected.
func (b *box) connected(ctx context.Context) (*link.Frames, error) {
	conn, err := b.listener.Accept(ctx, b.inCgroup(), b.done, b.ended)
	if err != nil {
		return nil, err
	}
	frames := link.NewFrames(conn, b.ended)
	b.protocol = frames
	return frames, nil
}

// inCgroup tells the container's cgroup from all others; "" where it has none.
func (b *box) inCgroup() string {
	if b.isolation.hasCgroups {
		return b.id
	}
	return ""
}

// address is where the container is reached in the daemon's network.
func (b *box) address(ctx context.Context) (string, error) {
	result, err := b.isolation.client.ContainerInspect(ctx, b.id, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	for _, n := range result.Container.NetworkSettings.Networks {
		if n.IPAddress.IsValid() {
			return n.IPAddress.String(), nil
		}
	}
	return "", fmt.Errorf("container %s has no address", b.id)
}

// endWithin is how long a container may take to end after its socket did.
const endWithin = 2*time.Second + printsWithin

// ended says why the container has ended.
func (b *box) ended() *sandbox.Error {
	select {
	case <-b.done:
	case <-time.After(endWithin):
		return &sandbox.Error{Kind: sandbox.Crashed, Message: "it closed its socket and went on" + b.stderr.LastWords()}
	}
	switch {
	case b.oom:
		return link.OutOfMemory(b.config.Function)
	case b.status < 0:
		return &sandbox.Error{Kind: sandbox.Crashed, Message: "the docker daemon does not know how it ended" + b.stderr.LastWords()}
	default:
		return &sandbox.Error{Kind: sandbox.Crashed, Message: fmt.Sprintf("exit status %d%s", b.status, b.stderr.LastWords())}
	}
}

// Invoke runs args in the calling goroutine.
func (b *box) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	return b.protocol.Invoke(ctx, args)
}

// Memory is what the cgroup of the container uses.
func (b *box) Memory() int64 { return b.cgroup.Memory() }

// CPU is what the cgroup of the container has used.
func (b *box) CPU() time.Duration { return b.cgroup.CPU() }

// freezes reports whether the cgroup does what docker takes 10 ms for.
func (b *box) freezes() bool { return b.opened && b.isolation.cgroups.Has("freezer") }

// Freeze stops the container.
func (b *box) Freeze() error {
	if b.freezes() {
		return b.cgroup.Freeze()
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := b.isolation.client.ContainerPause(ctx, b.id, client.ContainerPauseOptions{})
	return err
}

// Thaw lets it go on.
func (b *box) Thaw() error {
	if b.freezes() {
		return b.cgroup.Thaw()
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := b.isolation.client.ContainerUnpause(ctx, b.id, client.ContainerUnpauseOptions{})
	return err
}

// Done is closed when the container has ended.
func (b *box) Done() <-chan struct{} { return b.done }

// Remove removes the container and what was made for it.
func (b *box) Remove() error {
	b.remove.Do(func() {
		close(b.removing)
		errs := []error{b.removeContainer()}
		b.stop()
		if b.attached != nil {
			b.attached.Close()
		}
		b.life.Wait()
		if b.protocol != nil {
			errs = append(errs, b.protocol.Close())
		}
		if b.listener != nil {
			errs = append(errs, b.listener.Close())
		}
		if b.opened {
			errs = append(errs, b.cgroup.Remove())
		}
		if b.counted {
			b.isolation.cells.Ended(b.config.Function.Memory)
		}
		b.removeErr = errors.Join(append(errs, os.RemoveAll(b.home))...)
	})
	return b.removeErr
}

// removeContainer also removes one of which the daemon has not told the id.
func (b *box) removeContainer() error {
	switch {
	case b.id != "":
		return b.isolation.removeContainer(b.id)
	case b.asked:
		_, err := b.isolation.removeContainers(func(map[string]string) bool { return true },
			labelIsolation+"="+b.isolation.name, labelSandbox+"="+b.config.ID)
		return err
	default:
		return nil
	}
}
