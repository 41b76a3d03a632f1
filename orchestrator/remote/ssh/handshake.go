package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/orchestrator/remote"
)

// attempt is a handshake, with what it has come to.
type attempt struct {
	d       *Dialer
	host    string
	s       *settings
	onFile  known
	given   []ssh.PublicKey // instead of those on file
	signers []ssh.Signer
	trusted bool                   // the host's key is
	refusal error                  // of the host's key
	wants   *ssh.ClientAuthContext // what the host asked for last, nil before it did
}

// handshake agrees on keys and authenticates. It ends with its time, whatever the
// other end does, because the connection is closed then.
func (d *Dialer) handshake(ctx context.Context, host string, s *settings, raw net.Conn, without []string) (*ssh.Client, error) {
	a := &attempt{d: d, host: host, s: s}
	var err error
	if s.HostKey == "pinned" {
		a.given = whole(s.HostKeys)
	} else if a.onFile, err = readKnown(s.knownHosts, s.name(), s.bare()); err != nil {
		return nil, fmt.Errorf("host key of %s: %w", s.name(), err)
	}
	d.warn(host, a.onFile.warnings)
	if a.signers, err = d.keys.signers(ctx, s); err != nil {
		return nil, fmt.Errorf("authenticate as %s: %w", s.User, err)
	}
	config := &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(a.signers...)}, AuthCallback: a.asked,
		HostKeyAlgorithms: a.onFile.algorithms(a.given, without), HostKeyCallback: a.trust,
	}
	within, cancel := context.WithTimeoutCause(ctx, s.Handshake, fmt.Errorf("no agreement within %v", s.Handshake))
	defer cancel()
	stop := context.AfterFunc(within, func() { _ = raw.Close() }) // ends what waits for it
	heard := &ear{Conn: raw}
	conn, channels, requests, err := ssh.NewClientConn(heard, s.address(), config)
	if !stop() && err == nil {
		err = errors.Join(context.Cause(within), closed(conn.Close()))
	}
	if err != nil {
		if within.Err() != nil {
			err = context.Cause(within)
		}
		return nil, a.explain(err, within.Err() != nil)
	}
	client := ssh.NewClient(conn, channels, requests)
	go keepalive(client, heard, s.Keepalive, s.KeepaliveMax)
	return client, nil
}

// asked notes what the host wants, and leaves the answer to the list of methods.
func (a *attempt) asked(wants *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	a.wants = wants
	return nil, nil
}

// explain says in which step a handshake failed, and what to do.
func (a *attempt) explain(err error, late bool) error {
	var differ *ssh.AlgorithmNegotiationError
	switch {
	case a.refusal != nil:
		return fmt.Errorf("host key of %s: %w: %w", a.s.name(), remote.ErrRefused, a.refusal)
	case errors.As(err, &differ):
		return fmt.Errorf("handshake with %s: %w: %w; its sshd is too old, or too new, for ainur", a.s.address(), remote.ErrRefused, err)
	case !a.trusted || late:
		return fmt.Errorf("%s %s: %w: %w", map[bool]string{false: "handshake with", true: "authenticate at"}[a.trusted], a.s.address(), remote.ErrUnreachable, err)
	case a.wants != nil && len(a.wants.PartialSuccessMethods) > 0:
		return fmt.Errorf("authenticate as %s: %w: it took the key, and wants %s too, which ainur has no way to give", a.s.User, remote.ErrRefused, strings.Join(a.wants.AllowedMethods, " or "))
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("authenticate as %s: %w: it took none of %d keys; give one with identity, or add it to the agent", a.s.User, remote.ErrRefused, len(a.signers))
	}
	return fmt.Errorf("authenticate as %s: %w: %w, after some of %d keys; give the right one with identity", a.s.User, remote.ErrRefused, err, len(a.signers))
}

// trust says why the key of the host is not to be trusted, and keeps a new one where
// that is wanted.
func (a *attempt) trust(_ string, _ net.Addr, key ssh.PublicKey) error {
	a.refusal = a.judge(key)
	a.trusted = a.refusal == nil
	return a.refusal
}

func (a *attempt) judge(key ssh.PublicKey) error {
	if a.s.HostKey == "pinned" {
		return pinned(a.s.HostKeys, key)
	}
	err := a.onFile.check(a.s.name(), key)
	if !errors.Is(err, errUnknownKey) {
		return err
	}
	file := a.s.knownHosts[0]
	if a.s.HostKey != "accept_new" {
		return fmt.Errorf("%w in %s; it shows %s %s: compare it with the host's and run: ssh-keyscan -p %d %s >> %s",
			err, file, key.Type(), ssh.FingerprintSHA256(key), a.s.Port, a.s.host, file)
	}
	kept, err := learn(file, a.s.name(), key)
	if err != nil {
		return fmt.Errorf("keep the key: %w", err)
	}
	what := "was added to " + file
	if !kept {
		what = "is not kept: " + file + " is no file"
	}
	a.d.options.Tell(a.host, fmt.Sprintf("its key %s is new and %s", ssh.FingerprintSHA256(key), what))
	return nil
}

// ear is a connection that knows when it heard something last.
type ear struct {
	net.Conn
	last atomic.Int64 // in ns since 1970
}

func (e *ear) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	e.last.Store(time.Now().UnixNano())
	return n, err
}

// keepalive asks the other end whether it is there when it is silent, and closes the
// connection when it stays so. One question is open at a time: the library holds a
// lock for it.
func keepalive(client *ssh.Client, heard *ear, every time.Duration, most int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = client.Wait() // why it ended is told by what goes through it
	}()
	answered := make(chan struct{}, 1)
	answered <- struct{}{}
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
		}
		silent := time.Since(time.Unix(0, heard.last.Load()))
		if silent >= every*time.Duration(most) {
			_ = client.Close() // which lets the question go
			continue
		}
		if silent < every {
			continue
		}
		select {
		case <-answered:
			go func() {
				_, _, _ = client.SendRequest("keepalive@openssh.com", true, nil) // any answer will do
				answered <- struct{}{}
			}()
		default:
		}
	}
}
