// Package ssh reaches hosts over SSH.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
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

	mu       sync.Mutex
	bastions map[string]*bastion
	gates    map[string]chan struct{} // by address: places for those that are not authenticated yet
}

// gatePlaces is how many connect to one address at a time: servers turn away more
// than ten that have not authenticated.
const gatePlaces = 8

// bastion is a connection that others go through, made once.
type bastion struct {
	ready  chan struct{} // closed when client or err are there
	client *ssh.Client
	err    error
}

// New returns a Dialer, to be closed after the connections that it made.
func New(o Options) *Dialer {
	if o.Tell == nil {
		o.Tell = func(string, string) {}
	}
	return &Dialer{options: o, keys: keys{prompt: o.Prompt}, bastions: map[string]*bastion{}, gates: map[string]chan struct{}{}}
}

// Close ends the connections that others went through.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, b := range d.bastions {
		<-b.ready
		if b.client != nil {
			if err := b.client.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
				errs = append(errs, err)
			}
		}
	}
	d.bastions = map[string]*bastion{}
	return errors.Join(append(errs, d.keys.close())...)
}

// Dial connects to a host.
func (d *Dialer) Dial(ctx context.Context, h spec.Host, become spec.Become) (remote.Conn, error) {
	s, warnings, err := resolve(ctx, h.Address, h.SSH)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	for _, w := range warnings {
		d.options.Tell(h.Name, w)
	}
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
		if err == nil || attempt >= s.Retries || !errors.Is(err, remote.ErrUnreachable) || ctx.Err() != nil {
			return client, err
		}
		most := min(time.Second<<attempt, 30*time.Second)
		select {
		case <-time.After(rand.N(most)): //nolint:forbidigo // jitter, which nothing is decided by
		case <-ctx.Done():
			return nil, err
		}
	}
}

// deepest is how many hosts one may go through.
const deepest = 8

// connect makes a connection and authenticates. Via are the hosts gone through to
// get to this one, by address.
func (d *Dialer) connect(ctx context.Context, host string, s *settings, via []string) (*ssh.Client, error) {
	leave, err := d.enter(ctx, s.address())
	if err != nil {
		return nil, err
	}
	defer leave()
	raw, err := d.reach(ctx, host, s, via)
	if err != nil {
		return nil, err
	}
	client, err := d.handshake(ctx, host, s, raw)
	if err != nil {
		return nil, errors.Join(err, closed(raw.Close()))
	}
	go keepalive(client, s.Keepalive, s.KeepaliveMax)
	return client, nil
}

// closed is what closing said, nil where it was closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
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

// reach makes the connection that SSH is spoken over.
func (d *Dialer) reach(ctx context.Context, host string, s *settings, via []string) (net.Conn, error) {
	within, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %v", s.timeout))
	defer cancel()
	var conn net.Conn
	var err error
	switch {
	case len(s.jump) > 0:
		var client *ssh.Client
		if client, err = d.through(ctx, host, s, via); err != nil {
			return nil, err
		}
		conn, err = dialThrough(within, client, "tcp", s.address())
	case s.proxy != "":
		conn, err = dialCommand(s.proxy)
	default:
		conn, err = (&net.Dialer{KeepAlive: s.Keepalive}).DialContext(within, "tcp", s.address())
	}
	if err != nil {
		if within.Err() != nil {
			err = context.Cause(within)
		}
		return nil, fmt.Errorf("connect to %s: %w: %w; is it up, and does sshd listen there?", s.address(), remote.ErrUnreachable, err)
	}
	return conn, nil
}

// through is the connection to the last of the hosts to go through.
func (d *Dialer) through(ctx context.Context, host string, s *settings, via []string) (*ssh.Client, error) {
	last := s.jump[len(s.jump)-1]
	user, address, port, err := hop(last)
	if err != nil {
		return nil, err
	}
	block := s.SSH // its keys, its files, its patience
	block.User, block.Port = user, port
	block.ProxyJump = nil
	if len(s.jump) > 1 {
		block.ProxyJump = s.jump[:len(s.jump)-1]
	}
	if !s.explicit {
		block.Identity = nil // of its own configuration
	}
	next, warnings, err := resolve(ctx, address, block)
	if err != nil {
		return nil, fmt.Errorf("bastion %s: %w", last, err)
	}
	for _, w := range warnings {
		d.options.Tell(host, w)
	}
	key := next.User + "@" + next.address() + " " + strings.Join(next.jump, ",")
	if slices.Contains(via, key) {
		return nil, fmt.Errorf("bastion %s is behind itself: %s", last, strings.Join(append(via, key), ", "))
	}
	if via = append(via, key); len(via) > deepest {
		return nil, fmt.Errorf("more than %d bastions: %s", deepest, strings.Join(via, ", "))
	}
	d.mu.Lock()
	b := d.bastions[key]
	mine := b == nil
	if mine {
		b = &bastion{ready: make(chan struct{})}
		d.bastions[key] = b
	}
	d.mu.Unlock()
	if mine {
		if b.client, b.err = d.connect(ctx, "bastion "+last, next, via); b.err != nil {
			d.forget(key) // the next may try again
		} else {
			go func() {
				_ = b.client.Wait() // why it ended is told by what goes through it
				d.forget(key)
			}()
		}
		close(b.ready)
	}
	select {
	case <-b.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if b.err != nil {
		return nil, fmt.Errorf("bastion %s: %w", last, b.err)
	}
	return b.client, nil
}

func (d *Dialer) forget(bastion string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.bastions, bastion)
}

// dialThrough opens a channel; the library has no way to give up waiting for one, so
// one that comes too late is closed when it comes.
func dialThrough(ctx context.Context, client *ssh.Client, network, address string) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	got := make(chan dialed, 1)
	go func() {
		conn, err := client.Dial(network, address)
		got <- dialed{conn, err}
	}()
	select {
	case d := <-got:
		return d.conn, d.err
	case <-ctx.Done():
		go func() {
			if d := <-got; d.conn != nil {
				_ = d.conn.Close() // nobody wants it any more
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// handshake agrees on keys and authenticates. It ends with its time, whatever the
// other end does, because the connection is closed then.
func (d *Dialer) handshake(ctx context.Context, host string, s *settings, raw net.Conn) (*ssh.Client, error) {
	onFile, err := readKnown(s.knownHosts, s.name())
	if err != nil {
		return nil, err
	}
	for _, w := range onFile.warnings {
		d.options.Tell(host, w)
	}
	signers, err := d.keys.signers(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	var refusal error // of the host's key
	config := &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)}, HostKeyAlgorithms: onFile.algorithms(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			refusal = d.trust(host, s, onFile, key)
			return refusal
		},
	}
	within, cancel := context.WithTimeoutCause(ctx, s.Handshake, fmt.Errorf("no agreement within %v", s.Handshake))
	defer cancel()
	stop := context.AfterFunc(within, func() { _ = raw.Close() }) // ends what waits for it
	conn, channels, requests, err := ssh.NewClientConn(raw, s.address(), config)
	if !stop() && err == nil {
		err = errors.Join(context.Cause(within), closed(conn.Close()))
	}
	switch {
	case err == nil:
		return ssh.NewClient(conn, channels, requests), nil
	case refusal != nil:
		return nil, fmt.Errorf("host key of %s: %w: %w", s.name(), remote.ErrRefused, refusal)
	case within.Err() != nil:
		return nil, fmt.Errorf("handshake with %s: %w: %w", s.address(), remote.ErrUnreachable, context.Cause(within))
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, fmt.Errorf("authenticate as %s: %w: it took none of %d keys; give one with identity, or add it to the agent", s.User, remote.ErrRefused, len(signers))
	default:
		return nil, fmt.Errorf("handshake with %s: %w: %w", s.address(), remote.ErrUnreachable, err)
	}
}

// trust says why the key of a host is not to be trusted, and keeps a new one where
// that is wanted.
func (d *Dialer) trust(host string, s *settings, onFile known, key ssh.PublicKey) error {
	if s.HostKey == "pinned" {
		return pinned(s.HostKeys, key)
	}
	err := onFile.check(s.name(), key)
	if !errors.Is(err, errUnknownKey) {
		return err
	}
	file := s.knownHosts[0]
	if s.HostKey != "accept_new" {
		return fmt.Errorf("%w in %s; it shows %s %s: compare it with the host's and run: ssh-keyscan -p %d %s >> %s", err, file, key.Type(), ssh.FingerprintSHA256(key), s.Port, s.host, file)
	}
	if err := learn(file, s.name(), key); err != nil {
		return fmt.Errorf("keep the key: %w", err)
	}
	d.options.Tell(host, fmt.Sprintf("its key %s is new and was added to %s", ssh.FingerprintSHA256(key), file))
	return nil
}

// keepalive asks the other end whether it is there, and closes the connection when
// it does not say so. Any answer is a sign of life. One question is open at a time.
func keepalive(client *ssh.Client, every time.Duration, most int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = client.Wait() // why it ended is told by what goes through it
	}()
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
		}
		answered := make(chan error, 1)
		go func() {
			_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		select {
		case <-answered:
		case <-time.After(every * time.Duration(most)):
			_ = client.Close() // which lets the question go
		}
	}
}

// commandConn is the standard input and output of a command.
type commandConn struct {
	io.Reader
	io.WriteCloser
	cmd *exec.Cmd
}

func dialCommand(command string) (net.Conn, error) {
	cmd := exec.Command("/bin/sh", "-c", "exec "+command)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("proxy command %s: %w", command, err)
	}
	return &commandConn{out, in, cmd}, nil
}

// Close ends the command.
func (c *commandConn) Close() error {
	_ = c.WriteCloser.Close() // it may have closed it
	_ = c.cmd.Process.Kill()  // it may have ended
	_ = c.cmd.Wait()          // it was killed
	return nil
}

func (*commandConn) LocalAddr() net.Addr { return &net.UnixAddr{Name: "proxy command", Net: "unix"} }

func (*commandConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "proxy command", Net: "unix"} }
func (*commandConn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (*commandConn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (*commandConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
