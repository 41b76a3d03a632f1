package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/quote"
)

// stopGrace is how long a command may take to end when it is asked to.
const stopGrace = 5 * time.Second

// conn is a connection to a host.
type conn struct {
	dialer *Dialer
	host   string
	client *ssh.Client
	places chan struct{} // for sessions: servers refuse more than ten at a time
	limit  time.Duration // of a command
	become spec.Become

	mu   sync.Mutex
	root *rootWay // nil until it is known
}

func newConn(d *Dialer, host string, client *ssh.Client, s *settings, become spec.Become) *conn {
	return &conn{dialer: d, host: host, client: client, places: make(chan struct{}, s.MaxSessions), limit: s.CommandTimeout, become: become}
}

// Close ends the connection and everything that runs through it.
func (c *conn) Close() error { return closed(c.client.Close()) }

// Dial connects to an address as the host sees it.
func (c *conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	got, err := dialThrough(ctx, c.client, network, address)
	if err != nil {
		return nil, fmt.Errorf("host %s: connect to %s there: %w", c.host, address, err)
	}
	return got, nil
}

// Run executes a command.
func (c *conn) Run(ctx context.Context, cmd remote.Command) error {
	if len(cmd.Args) == 0 {
		return errors.New("a command without a program")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("it took longer than command_timeout = %v", c.limit))
	defer cancel()
	way := &rootWay{}
	if cmd.Root {
		var err error
		if way, err = c.wayToRoot(ctx); err != nil {
			return fmt.Errorf("host %s: become root: %w", c.host, err)
		}
	}
	err := c.run(ctx, cmd, way)
	var bad *remote.ExitError
	if errors.As(err, &bad) {
		return err // of the command, which its caller knows
	}
	if err != nil {
		return fmt.Errorf("host %s: run %s: %w", c.host, cmd.Args[0], err)
	}
	return nil
}

// session opens a session when there is a place for one.
func (c *conn) session(ctx context.Context) (s *ssh.Session, leave func(), err error) {
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	type opened struct {
		s   *ssh.Session
		err error
	}
	got := make(chan opened, 1)
	go func() {
		s, err := c.client.NewSession()
		got <- opened{s, err}
	}()
	select {
	case o := <-got:
		if o.err != nil {
			<-c.places
			return nil, nil, fmt.Errorf("open a session: %w", c.lost(o.err))
		}
		return o.s, func() {
			_ = o.s.Close() // the other end may have closed it
			<-c.places
		}, nil
	case <-ctx.Done():
		go func() {
			if o := <-got; o.s != nil {
				_ = o.s.Close() // nobody wants it any more
			}
			<-c.places
		}()
		return nil, nil, context.Cause(ctx)
	}
}

// lost marks an error as that of a connection that is gone.
func (c *conn) lost(err error) error {
	var missing *ssh.ExitMissingError
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w; does sshd allow fewer sessions than max_sessions?", err)
	}
	if errors.As(err, &missing) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%w (%w)", remote.ErrUnknown, err)
	}
	return fmt.Errorf("%w (%w)", remote.ErrUnknown, err)
}

// run executes a command in a session of its own, in which a shell says its process
// group and gives way to the program.
func (c *conn) run(ctx context.Context, cmd remote.Command, way *rootWay) error {
	s, leave, err := c.session(ctx)
	if err != nil {
		return err
	}
	defer leave()
	started := newStart()
	tail := &tail{}
	stdout, stderr := cmd.Stdout, cmd.Stderr
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = tail
	}
	output := &afterStart{start: started, to: stdout}
	s.Stdout = output
	s.Stderr = way.hide(stderr)
	stdin, err := s.StdinPipe()
	if err != nil {
		return err
	}
	script := group + "echo " + started.mark + " $3; exec " + quote.Words(cmd.Args...)
	if err := s.Start(way.command(script)); err != nil {
		return fmt.Errorf("start: %w", c.lost(err))
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	fed := make(chan error, 1)
	go func() { fed <- feed(ctx, stdin, way, started, cmd.Stdin) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		return c.stop(ctx, started, way, ended)
	}
	started.never() // whoever still waits for it
	var bad *ssh.ExitError
	switch {
	case err == nil:
		return output.err
	case errors.As(err, &bad):
		if refusal := way.refused(bad.ExitStatus(), started, tail.String()); refusal != nil {
			return refusal
		}
		e := &remote.ExitError{Program: cmd.Args[0], Status: bad.ExitStatus(), Signal: bad.Signal(), Stderr: tail.String()}
		if e.Signal != "" {
			e.Status = -1
		}
		return e
	default:
		return c.lost(err)
	}
}

// group makes $3 the process group that the shell is in.
const group = "read -r stat </proc/$$/stat; set -- ${stat##*) }; "

// feed writes what a command reads, once it runs: before, a password may be read.
func feed(ctx context.Context, stdin io.WriteCloser, way *rootWay, started *start, from io.Reader) error {
	defer stdin.Close()
	if way.password != "" {
		if _, err := io.WriteString(stdin, way.password+"\n"); err != nil {
			return err
		}
	}
	if from == nil {
		return nil
	}
	select {
	case <-started.seen:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	_, err := io.Copy(stdin, from)
	return err
}

// stop ends a command whose time is over: it is asked to, then made to, then the
// connection is closed, which nothing survives waiting for.
func (c *conn) stop(ctx context.Context, started *start, way *rootWay, ended <-chan error) error {
	cause := context.Cause(ctx)
	for _, signal := range []string{"TERM", "KILL"} {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		err := c.signal(within, signal, started.group(), way)
		if err == nil {
			select {
			case <-ended:
				cancel()
				return fmt.Errorf("stopped: %w", cause)
			case <-within.Done():
			}
		}
		cancel()
	}
	return errors.Join(fmt.Errorf("%w; it could not be confirmed that it stopped, and the connection was closed: %w", cause, remote.ErrUnknown), c.Close())
}

// signal sends a signal to a process group.
func (c *conn) signal(ctx context.Context, signal, group string, way *rootWay) error {
	if group == "" {
		return errors.New("its process group is not known")
	}
	s, leave, err := c.session(ctx)
	if err != nil {
		return err
	}
	defer leave()
	stdin, err := s.StdinPipe()
	if err != nil {
		return err
	}
	if way.password != "" {
		go func() {
			_, _ = io.WriteString(stdin, way.password+"\n") // a command that did not read it has failed
			_ = stdin.Close()
		}()
	}
	done := make(chan error, 1)
	go func() {
		done <- s.Run(way.command("kill -s " + signal + " -- -" + group))
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
