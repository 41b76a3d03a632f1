package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/shell"
)

// conn is a connection to a host.
type conn struct {
	*shell.Host
	*transport
	name string
}

func newConn(d *Dialer, name string, client *ssh.Client, s *settings, become spec.Become) *conn {
	t := &transport{client: client, places: newPlaces(s.MaxSessions)}
	return &conn{Host: shell.New(name, t, s.CommandTimeout, become, d.secrets), transport: t, name: name}
}

// Dial connects to an address as the host sees it.
func (c *conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	got, err := dialThrough(ctx, c.client, network, address)
	if err != nil {
		return nil, fmt.Errorf("host %s: connect to %s there: %w", c.name, address, forwarding(err))
	}
	return got, nil
}

// forwarding says what to do where a server does not let connections through.
func forwarding(err error) error {
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused) && refused.Reason == ssh.Prohibited:
		return fmt.Errorf("%w: %w; does its sshd have AllowTcpForwarding and AllowStreamLocalForwarding?", remote.ErrRefused, err)
	case errors.As(err, &refused):
		return err
	case gone(err):
		return fmt.Errorf("%w: the connection is lost: %w", remote.ErrUnreachable, err)
	}
	return err
}

// transport starts commands in sessions of a connection.
type transport struct {
	client *ssh.Client
	places *places
}

// Close ends the connection and everything that runs through it.
func (t *transport) Close() error { return closed(t.client.Close()) }

// closed is what closing said, nil where it was closed already.
func closed(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// gone reports whether an error is that of a connection that has ended.
func gone(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
}

// Start executes a command in a session of its own.
func (t *transport) Start(ctx context.Context, command string, stdout, stderr io.Writer, urgent bool) (shell.Process, error) {
	for pause := 20 * time.Millisecond; ; pause *= 2 {
		leave := func() {}
		if !urgent {
			var err error
			if leave, err = t.places.enter(ctx); err != nil {
				return nil, err
			}
		}
		s, err := t.open(ctx)
		if err == nil {
			s.stdout, s.stderr, s.leave = shell.NewOutput(stdout), shell.NewOutput(stderr), leave
			go s.execute(command)
			return s, nil
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			leave()
			return nil, err
		}
		others := !urgent && t.places.fewer()
		leave()
		if others {
			continue // when one of those has ended
		}
		if pause > time.Second {
			return nil, fmt.Errorf("open a session: %w: does its sshd allow this user any (MaxSessions)?", err)
		}
		select {
		case <-time.After(pause): // it may not have noticed yet that the last has ended
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// open starts a session. What the library has no way to give up waiting for is
// closed when it comes.
func (t *transport) open(ctx context.Context) (*session, error) {
	type opened struct {
		s   *session
		err error
	}
	got := make(chan opened, 1)
	go func() {
		s, err := openSession(t.client)
		got <- opened{s, err}
	}()
	select {
	case o := <-got:
		return o.s, o.err
	case <-ctx.Done():
		go func() {
			if o := <-got; o.s != nil {
				go ssh.DiscardRequests(o.s.requests)
				_ = o.s.channel.Close() // the connection may be gone
			}
		}()
		return nil, context.Cause(ctx)
	}
}
