// Package shell runs commands and makes files on a host, by whatever way a shell can
// be started there.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/quote"
)

// Transport starts commands on a host.
type Transport interface {
	// Start has the user's shell execute a command. Urgent is for one that ends
	// another and must not wait for it.
	Start(ctx context.Context, command string, stdout, stderr io.Writer, urgent bool) (Process, error)
	// Close ends what can be ended in no other way.
	Close() error
}

// Process is a command under way. Its output is read whatever its reader does.
type Process interface {
	// Stdin is what it reads. Closing it is the end of that.
	Stdin() io.WriteCloser
	// Done is closed when the command has ended and its output is written.
	Done() <-chan struct{}
	// Err is how it ended, after Done: a *remote.ExitError without a program, or
	// another error where that is not known.
	Err() error
	// Signal may do nothing.
	Signal(name string)
	// Close gives the command up, and with it what waits for it.
	Close()
}

// Host runs commands and makes files.
type Host struct {
	name      string
	transport Transport
	limit     time.Duration // of a command
	root      *root
}

// New returns a host. Secrets are those of all hosts, nil where there are none.
func New(name string, t Transport, limit time.Duration, become spec.Become, secrets *Secrets) *Host {
	return &Host{name: name, transport: t, limit: limit, root: newRoot(become, secrets)}
}

// Run executes a command.
func (h *Host) Run(ctx context.Context, c remote.Command) error {
	err := h.do(ctx, c)
	var bad *remote.ExitError
	if err == nil || errors.As(err, &bad) && !errors.Is(err, remote.ErrRefused) {
		return err // of the command, which its caller knows
	}
	return fmt.Errorf("host %s: run %s: %w", h.name, program(c), err)
}

func program(c remote.Command) string {
	if len(c.Args) == 0 {
		return "nothing"
	}
	return c.Args[0]
}

func (h *Host) do(ctx context.Context, c remote.Command) error {
	if len(c.Args) == 0 {
		return errors.New("there is no program")
	}
	if h.limit > 0 && !c.Lasts {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, h.limit, fmt.Errorf("it took longer than command_timeout = %v", h.limit))
		defer cancel()
	}
	if c.Root && h.root.now().method != "" {
		return h.asRoot(ctx, c)
	}
	return h.run(ctx, c, way{})
}

// beginsWithin is how long a host may take to begin with a command, unless its limit is shorter.
const beginsWithin = 30 * time.Second

// stopGrace is how long a command may take to end when it is asked to.
const stopGrace = 5 * time.Second

// group makes $3 the process group that the shell is in.
const group = "read -r stat </proc/$$/stat; set -- ${stat##*) }; "

// running is a command that was started.
type running struct {
	Process
	command remote.Command
	way     way
	begun   *start
	stdout  *filter
	stderr  *filter
	passed  *sink // what the caller reads
	end     *tail
}

// start has a shell say that it begins, and its process group, and give way to the
// program. The caller closes what is running.
func (h *Host) start(ctx context.Context, c remote.Command, w way, urgent bool) (*running, error) {
	r := &running{command: c, way: w, begun: newStart(), end: &tail{}, passed: &sink{to: c.Stdout}}
	asked := newPrompt(w)
	r.stdout = asked.hide(r.passed)
	complaints := &held{to: &sink{to: c.Stderr}}
	r.begun.then = complaints.release
	r.stderr = asked.hide(io.MultiWriter(r.end, complaints))
	script := group + "echo " + r.begun.mark + " $3; exec " + quote.Words(c.Args...)
	var err error
	if r.Process, err = h.transport.Start(ctx, w.command(script, asked.mark), &afterStart{start: r.begun, to: r.stdout}, r.stderr, urgent); err != nil {
		return nil, err
	}
	go feed(r.Process, asked, r.begun, c.Stdin) // ends with the command, but for a reader that never returns
	return r, nil
}

// result is how it ended, after Done.
func (r *running) result() error {
	r.begun.never() // whoever still waits for it
	r.stdout.flush()
	r.stderr.flush()
	err := r.Err()
	var bad *remote.ExitError
	switch {
	case errors.As(err, &bad):
	case err == nil && r.begun.group() == "":
		return fmt.Errorf("%w: it executed something else than what it was told: is there a ForceCommand?", remote.ErrRefused)
	default:
		return errors.Join(err, r.passed.err)
	}
	bad.Program = r.command.Args[0]
	if r.command.Stderr == nil || r.begun.group() == "" {
		bad.Stderr = r.end.String()
	}
	if r.begun.group() == "" {
		return r.way.refused(bad)
	}
	return bad
}

// run executes a command.
func (h *Host) run(ctx context.Context, c remote.Command, w way) error {
	r, err := h.start(ctx, c, w, false)
	if err != nil {
		return err
	}
	defer r.Close()
	late := time.NewTimer(h.patience())
	defer late.Stop()
	select {
	case <-r.begun.seen:
	case <-r.Done():
	case <-ctx.Done():
	case <-late.C:
		err := fmt.Errorf("%w: it did not begin within %v: does its sshd allow this user SFTP alone (ForceCommand internal-sftp)?", remote.ErrUnreachable, h.patience())
		return errors.Join(err, h.transport.Close())
	}
	select {
	case <-r.Done():
		return r.result()
	case <-ctx.Done():
		return h.stop(ctx, r)
	}
}

// patience is how long a host may take to begin with a command.
func (h *Host) patience() time.Duration {
	if h.limit > 0 {
		return min(beginsWithin, h.limit/2)
	}
	return beginsWithin
}

// feed writes what a command reads, once it runs: before, a password may be read.
func feed(p Process, asked *prompt, begun *start, from io.Reader) {
	stdin := p.Stdin()
	defer stdin.Close()
	select {
	case <-begun.seen:
	case <-p.Done():
		return
	case <-asked.seen:
		if _, err := io.WriteString(stdin, asked.password+"\n"); err != nil {
			return // it has ended
		}
		select {
		case <-begun.seen:
		case <-p.Done():
			return
		case <-asked.again: // there is no other to try
			return
		}
	}
	if from != nil {
		_, _ = io.Copy(stdin, from) // a command need not read all; one that misses some says so
	}
}

// stop ends a command whose time is over: it is asked to, then made to, then the
// connection is closed, which nothing survives waiting for.
func (h *Host) stop(ctx context.Context, r *running) error {
	cause := context.Cause(ctx)
	for _, signal := range []string{"TERM", "KILL"} {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		ended := h.signal(within, signal, r)
		cancel()
		if ended {
			return fmt.Errorf("stopped: %w", cause)
		}
	}
	err := fmt.Errorf("%w; it could not be confirmed that it stopped, and the connection was closed: %w", cause, remote.ErrUnknown)
	return errors.Join(err, h.transport.Close())
}

// signal sends a signal to the process group of a command, and reports whether the
// command ends.
func (h *Host) signal(ctx context.Context, signal string, r *running) bool {
	select {
	case <-r.begun.seen:
	case <-r.Done():
		return true
	case <-ctx.Done(): // it may still wait for a password
		r.Signal(signal)
		return false
	}
	kill, err := h.start(ctx, remote.Command{Args: []string{"sh", "-c", "kill -s " + signal + " -- -" + r.begun.group()}}, r.way, true)
	if err != nil {
		r.Signal(signal)
	} else {
		defer kill.Close()
	}
	select {
	case <-r.Done():
		return true
	case <-ctx.Done():
		return false
	}
}
