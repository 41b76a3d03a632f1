// Package local is this machine as a host, and its network namespaces as more hosts.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/shell"
)

// namespaces is where ip-netns(8) has those with a name.
const namespaces = "/run/netns"

// Dial returns the host itself, or for connection netns the network namespace of the
// host's name, which takes root. Secrets may be nil.
func Dial(h spec.Host, become spec.Become, secrets *shell.Secrets) (remote.Conn, error) {
	c := &conn{transport: &transport{processes: map[*process]bool{}}, name: h.Name}
	if h.Connection == "netns" {
		c.namespace = filepath.Join(namespaces, filepath.Base(h.Name))
		if err := within(c.namespace, func() error { return nil }); err != nil {
			return nil, fmt.Errorf("host %s: %w: %w; make it with: ip netns add %s", h.Name, remote.ErrUnreachable, err, h.Name)
		}
	}
	c.Host = shell.New(h.Name, c.transport, h.SSH.CommandTimeout, become, secrets)
	return c, nil
}

type conn struct {
	*shell.Host
	*transport
	name string
}

// Dial connects to an address as the host sees it.
func (c *conn) Dial(ctx context.Context, network, address string) (got net.Conn, err error) {
	dial := func() error { // in one goroutine, which is where the namespace is
		got, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
		return err
	}
	if c.namespace == "" {
		err = dial()
	} else {
		err = within(c.namespace, dial)
	}
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", c.name, err)
	}
	return got, nil
}

// transport starts commands on this machine.
type transport struct {
	namespace string // file of it, "" is ours

	mu        sync.Mutex
	closed    bool
	processes map[*process]bool
}

// Close kills what runs.
func (t *transport) Close() error {
	t.mu.Lock()
	t.closed = true
	for p := range t.processes {
		p.Signal("KILL")
	}
	t.mu.Unlock()
	return nil
}

// Start starts a command in a session of its own.
func (t *transport) Start(_ context.Context, command string, stdout, stderr io.Writer, _ bool) (shell.Process, error) {
	args := []string{"/bin/sh", "-c", command}
	if t.namespace != "" {
		args = append([]string{"nsenter", "--net=" + t.namespace}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("%w: %w", remote.ErrUnreachable, net.ErrClosed)
	}
	p := &process{cmd: cmd, given: make(chan struct{}), done: make(chan struct{})}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, p.stdin.Close())
	}
	defer theirOut.Close()
	complaints, theirErr, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, p.stdin.Close(), out.Close())
	}
	defer theirErr.Close()
	cmd.Stdout, cmd.Stderr = theirOut, theirErr
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, p.stdin.Close(), out.Close(), complaints.Close())
	}
	t.processes[p] = true
	go func() {
		p.wait(out, complaints, shell.NewOutput(stdout), shell.NewOutput(stderr))
		t.mu.Lock()
		delete(t.processes, p)
		t.mu.Unlock()
		close(p.done)
	}()
	return p, nil
}

type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	once  sync.Once
	given chan struct{} // closed when it was given up
	done  chan struct{}
	err   error // once done is closed
}

// wait reads the output until the command has ended.
func (p *process) wait(out, complaints *os.File, stdout, stderr *shell.Output) {
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(stdout, out) }) // a pipe ends when its writers have
	reading.Go(func() { _, _ = io.Copy(stderr, complaints) })
	read := make(chan struct{})
	go func() {
		reading.Wait()
		close(read)
	}()
	p.err = ended(p.cmd.Wait())
	shell.Linger(read, p.given, stdout, stderr)
	_ = out.Close()        // what is still read is nobody's
	_ = complaints.Close() // as above
}

// ended is the end of a command as a host tells it.
func ended(err error) error {
	var bad *exec.ExitError
	if !errors.As(err, &bad) {
		return err
	}
	if status, ok := bad.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &remote.ExitError{Status: -1, Signal: name(status.Signal())}
	}
	return &remote.ExitError{Status: bad.ExitCode()}
}

func (p *process) Stdin() io.WriteCloser { return p.stdin }
func (p *process) Done() <-chan struct{} { return p.done }
func (p *process) Err() error            { return p.err }

// Signal is for the whole session, as far as it has not moved away.
func (p *process) Signal(signal string) {
	_ = syscall.Kill(-p.cmd.Process.Pid, unix.SignalNum("SIG"+signal)) // it may have ended
}

// Close kills what has not ended. It may be another user's, who is not waited for.
func (p *process) Close() {
	p.once.Do(func() { close(p.given) })
	select {
	case <-p.done:
		return
	default:
		p.Signal("KILL")
	}
	select {
	case <-p.done:
	case <-time.After(time.Second):
	}
}

func name(s syscall.Signal) string { return strings.TrimPrefix(unix.SignalName(s), "SIG") }
