package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// bastion is a connection that others go through, made once.
type bastion struct {
	ready  chan struct{} // closed when client or err are there
	client *ssh.Client
	err    error
}

// deepest is how many hosts one may go through.
const deepest = 8

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
	d.warn(host, warnings)
	key := next.User + "@" + next.address() + " " + strings.Join(next.jump, ",")
	if slices.Contains(via, key) {
		return nil, fmt.Errorf("bastion %s is behind itself: %s", last, strings.Join(append(via, key), ", "))
	}
	if via = append(via, key); len(via) > deepest {
		return nil, fmt.Errorf("more than %d bastions: %s", deepest, strings.Join(via, ", "))
	}
	for {
		client, err := d.shared(ctx, "bastion "+last, key, next, via)
		if err == nil {
			return client, nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("bastion %s: %w", last, err)
		} // it was another's time that was over
	}
}

// shared is a connection that one makes and others wait for.
func (d *Dialer) shared(ctx context.Context, host, key string, s *settings, via []string) (*ssh.Client, error) {
	d.mu.Lock()
	b := d.bastions[key]
	mine := b == nil
	if mine {
		b = &bastion{ready: make(chan struct{})}
		d.bastions[key] = b
	}
	d.mu.Unlock()
	if mine {
		defer close(b.ready)
		if b.client, b.err = d.connect(ctx, host, s, via); b.err != nil {
			d.forget(key) // the next may try again
		} else {
			go func() {
				_ = b.client.Wait() // why it ended is told by what goes through it
				d.forget(key)
			}()
		}
		return b.client, b.err
	}
	select {
	case <-b.ready:
		return b.client, b.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (d *Dialer) forget(bastion string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.bastions, bastion)
}

// hop is user@host:port as ssh takes it for a host to go through.
func hop(text string) (user, host string, port int, err error) {
	text = strings.TrimPrefix(text, "ssh://")
	if i := strings.LastIndex(text, "@"); i >= 0 {
		user, text = text[:i], text[i+1:]
	}
	host = text
	if h, p, err := net.SplitHostPort(text); err == nil {
		host = h
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return "", "", 0, fmt.Errorf("proxy_jump %q: %q is no port", text, p)
		}
	}
	if host = strings.Trim(host, "[]"); host == "" {
		return "", "", 0, fmt.Errorf("proxy_jump %q names no host", text)
	}
	return user, host, port, nil
}
