// Package ssh reaches hosts over SSH.
package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/shell"
)

// Options of a Dialer. All may be left zero.
type Options struct {
	// Prompt asks the user something that is not shown as it is typed; nil: there is nobody to ask.
	Prompt func(ctx context.Context, question string) (string, error)
	// Password is that with which a user becomes root; nil: none is known.
	Password func(ctx context.Context, s *spec.Secret) (string, error)
	// Tell gets what a user should know of a host; nil drops it.
	Tell func(host, message string)
}

// Dialer connects to hosts and keeps what they share: keys, and connections to the
// hosts that others are behind.
type Dialer struct {
	options Options
	keys    keys
	secrets *shell.Secrets

	mu       sync.Mutex
	bastions map[string]*bastion
	gates    map[string]chan struct{} // by address: places for those that are not authenticated yet
	warned   map[string]bool
}

// gatePlaces is how many connect to one address at a time: servers turn away more
// than ten that have not authenticated.
const gatePlaces = 8

// New returns a Dialer, to be closed after the connections that it made.
func New(o Options) *Dialer {
	if o.Tell == nil {
		o.Tell = func(string, string) {}
	}
	d := &Dialer{options: o, keys: keys{prompt: o.Prompt}, bastions: map[string]*bastion{}, gates: map[string]chan struct{}{}, warned: map[string]bool{}}
	if o.Password != nil {
		d.secrets = shell.NewSecrets(o.Password)
	}
	return d
}

// Secrets are the passwords that were asked for.
func (d *Dialer) Secrets() *shell.Secrets { return d.secrets }

// Close ends the connections that others went through.
func (d *Dialer) Close() error {
	d.mu.Lock()
	bastions := d.bastions
	d.bastions = map[string]*bastion{}
	d.mu.Unlock()
	var errs []error
	for _, b := range bastions {
		<-b.ready
		if b.client != nil {
			errs = append(errs, closed(b.client.Close()))
		}
	}
	return errors.Join(append(errs, d.keys.close())...)
}

// warn tells of files that are read for every host, once.
func (d *Dialer) warn(host string, warnings []string) {
	for _, w := range warnings {
		d.mu.Lock()
		again := d.warned[w]
		d.warned[w] = true
		d.mu.Unlock()
		if !again {
			d.options.Tell(host, w)
		}
	}
}

// Dial connects to a host.
func (d *Dialer) Dial(ctx context.Context, h spec.Host, become spec.Become) (remote.Conn, error) {
	s, warnings, err := resolve(ctx, h.Address, h.SSH)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	d.warn(h.Name, warnings)
	if s.Compress {
		d.options.Tell(h.Name, "compress is not done: the library has none")
	}
	client, err := d.retry(ctx, h.Name, s)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	return newConn(d, h.Name, client, s, become), nil
}

// retry connects, again where that may help: after failures to connect and to agree,
// never after the host or its key was refused, which could lock somebody out.
func (d *Dialer) retry(ctx context.Context, host string, s *settings) (*ssh.Client, error) {
	for attempt := 0; ; attempt++ {
		client, err := d.connect(ctx, host, s, nil)
		if err == nil || !again(err, attempt, s.Retries) {
			return client, err
		}
		most := min(time.Second<<min(attempt, 5), 30*time.Second)
		select {
		case <-time.After(rand.N(most)): //nolint:forbidigo // jitter, which nothing is decided by
		case <-ctx.Done():
			return nil, err
		}
	}
}

// again reports whether an attempt, from 0, that failed may go better. A name that is
// not known stays so, and one that nobody says anything of is asked for once more.
func again(err error, attempt, retries int) bool {
	var name *net.DNSError
	switch {
	case !errors.Is(err, remote.ErrUnreachable):
		return false
	case !errors.As(err, &name):
	case name.IsNotFound:
		return false
	default:
		retries = min(retries, 1)
	}
	return attempt < retries
}

// connect makes a connection and authenticates. Via are the hosts gone through to
// get to this one. Every hop has its own time.
func (d *Dialer) connect(ctx context.Context, host string, s *settings, via []string) (*ssh.Client, error) {
	var bastion *ssh.Client
	if len(s.jump) > 0 {
		var err error
		if bastion, err = d.through(ctx, host, s, via); err != nil {
			return nil, err
		}
	}
	leave, err := d.enter(ctx, s.address())
	if err != nil {
		return nil, err
	}
	defer leave()
	var first error
	var without []string // types of host keys
	for {
		client, err := d.once(ctx, host, s, bastion, without)
		var wrong *unpinnedError
		var differ *ssh.AlgorithmNegotiationError
		switch {
		case errors.As(err, &wrong) && len(without) < maxKeyTypes && !slices.Contains(without, wrong.key.Type()):
			without = append(without, wrong.key.Type()) // it may have another that is given by its fingerprint
			first = cmp.Or(first, err)
		case first != nil && errors.As(err, &differ):
			return nil, first
		default:
			return client, err
		}
	}
}

// maxKeyTypes is how many types of host keys there are.
const maxKeyTypes = 5

func (d *Dialer) once(ctx context.Context, host string, s *settings, bastion *ssh.Client, without []string) (*ssh.Client, error) {
	raw, err := reach(ctx, s, bastion)
	if err != nil {
		return nil, err
	}
	client, err := d.handshake(ctx, host, s, raw, without)
	if err != nil {
		return nil, errors.Join(blame(raw, err), closed(raw.Close()))
	}
	return client, nil
}

// reach makes the connection that SSH is spoken over.
func reach(ctx context.Context, s *settings, bastion *ssh.Client) (net.Conn, error) {
	within, cancel := context.WithTimeoutCause(ctx, s.Connect, fmt.Errorf("no answer within %v", s.Connect))
	defer cancel()
	var conn net.Conn
	var err error
	switch {
	case bastion != nil:
		if conn, err = dialThrough(within, bastion, "tcp", s.address()); err != nil {
			err = forwarding(err)
		}
	case s.proxy != "":
		conn, err = dialCommand(s.proxy)
	default:
		conn, err = dialTCP(within, s)
	}
	if err == nil {
		return conn, nil
	}
	if within.Err() != nil {
		var name *net.DNSError
		if cause := context.Cause(within); errors.As(err, &name) {
			err = fmt.Errorf("%w: %w", cause, name)
		} else {
			err = cause
		}
	}
	if errors.Is(err, remote.ErrRefused) {
		return nil, fmt.Errorf("connect to %s: %w", s.address(), err)
	}
	return nil, fmt.Errorf("connect to %s: %w: %w; is it up, and does sshd listen there?", s.address(), remote.ErrUnreachable, err)
}

// dialTCP connects. The kernel gives the connection up when what was sent is not
// confirmed for as long as probes may be without an answer.
func dialTCP(ctx context.Context, s *settings) (net.Conn, error) {
	dialer := &net.Dialer{KeepAlive: s.Keepalive, Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		patience := s.Keepalive * time.Duration(s.KeepaliveMax)
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(patience.Milliseconds()))
		}), err)
	}}
	return dialer.DialContext(ctx, "tcp", s.address())
}

// enter waits for a place at an address.
func (d *Dialer) enter(ctx context.Context, address string) (leave func(), err error) {
	d.mu.Lock()
	gate := d.gates[address]
	if gate == nil {
		gate = make(chan struct{}, gatePlaces)
		d.gates[address] = gate
	}
	d.mu.Unlock()
	select {
	case gate <- struct{}{}:
		return func() { <-gate }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
