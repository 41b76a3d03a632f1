package ssh_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshtest"
)

// behind is the last of some hosts, reached through the others in order.
func behind(t *testing.T, servers ...*sshtest.Server) spec.Host {
	t.Helper()
	last := servers[len(servers)-1]
	h := hostOf(last)
	h.SSH.Identity = nil
	var known []byte
	for _, s := range servers {
		content, err := os.ReadFile(s.KnownHosts)
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, content...)
		h.SSH.Identity = append(h.SSH.Identity, s.Key)
		if s != last {
			h.SSH.ProxyJump = append(h.SSH.ProxyJump, address(s))
		}
	}
	h.SSH.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(h.SSH.KnownHosts, known, 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func address(s *sshtest.Server) string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// What is wrong with a host to go through, or behind it, is told of that one, in time.
func TestBehind(t *testing.T) {
	refuse := func(string) (net.Conn, error) { return nil, errors.New("no route to host") }
	for name, tt := range map[string]struct {
		hop, target sshtest.Faults
		change      func(hop *sshtest.Server, h *spec.Host)
		kind        error
		want        []string // in the error; nil: there is none
	}{
		"reached":              {},
		"target down":          {hop: sshtest.Faults{TCP: refuse}, kind: remote.ErrUnreachable, want: []string{"connect to", "no route"}},
		"target silent":        {target: sshtest.Faults{Silent: true}, kind: remote.ErrUnreachable, want: []string{"handshake with", "2s"}},
		"target takes no key":  {target: sshtest.Faults{Partial: true}, kind: remote.ErrRefused, want: []string{"authenticate as root", "keyboard-interactive"}},
		"hop forwards nothing": {hop: sshtest.Faults{NoForwarding: true}, kind: remote.ErrRefused, want: []string{"connect to", "AllowTcpForwarding"}},
		"hop takes no key":     {hop: sshtest.Faults{Partial: true}, kind: remote.ErrRefused, want: []string{"bastion 127.0.0.1", "authenticate as"}},
		"hop silent":           {hop: sshtest.Faults{Silent: true}, kind: remote.ErrUnreachable, want: []string{"bastion 127.0.0.1", "handshake with", "2s"}},
		"hop down": {
			change: func(_ *sshtest.Server, h *spec.Host) { h.SSH.ProxyJump = []string{"127.0.0.1:1"} },
			kind:   remote.ErrUnreachable, want: []string{"bastion 127.0.0.1:1", "refused"},
		},
		"hop with another key": {change: func(hop *sshtest.Server, h *spec.Host) {
			known, err := os.ReadFile(h.SSH.KnownHosts)
			if err != nil {
				t.Error(err)
			}
			port := "]:" + strconv.Itoa(hop.Port) + " "
			other := strings.Replace(string(known), port, "]:1 ", 1)
			other = strings.Replace(other, "]:"+strconv.Itoa(h.SSH.Port)+" ", port, 1) // has the key of the target
			if err := os.WriteFile(h.SSH.KnownHosts, []byte(other), 0o600); err != nil {
				t.Error(err)
			}
		}, kind: remote.ErrRefused, want: []string{"bastion 127.0.0.1", "host key of", "ssh-keygen -R"}},
		"hop is itself behind another": {change: func(hop *sshtest.Server, h *spec.Host) {
			h.SSH.ProxyJump = []string{"root@" + address(hop), address(hop)}
		}},
		"too many": {change: func(hop *sshtest.Server, h *spec.Host) {
			h.SSH.ProxyJump = nil
			for i := range 9 {
				h.SSH.ProxyJump = append(h.SSH.ProxyJump, fmt.Sprintf("u%d@%s", i, address(hop)))
			}
		}, want: []string{"more than 8 bastions"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hop, target := sshtest.Start(t, tt.hop), sshtest.Start(t, tt.target)
			h := behind(t, hop, target)
			if tt.change != nil {
				tt.change(hop, &h)
			}
			began := time.Now()
			c, err := dialer(t).Dial(t.Context(), h, spec.Become{})
			if err == nil {
				err = errors.Join(c.Run(t.Context(), remote.Command{Args: []string{"true"}}), c.Close())
			}
			if (err == nil) != (tt.want == nil) || tt.kind != nil && !errors.Is(err, tt.kind) || time.Since(began) > 6*time.Second {
				t.Fatalf("got %v after %v, want %v %q", err, time.Since(began), tt.kind, tt.want)
			}
			for _, want := range append(tt.want, "host h") {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// Two that go through the same host share a connection to it, also after one gave up.
func TestShared(t *testing.T) {
	hop, target := sshtest.Start(t, sshtest.Faults{}), sshtest.Start(t, sshtest.Faults{})
	d, h := dialer(t), behind(t, hop, target)
	for range 3 {
		c, err := d.Dial(t.Context(), h, spec.Become{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := hop.Connections.Load(); n != 1 {
		t.Errorf("%d connections to the bastion, want 1", n)
	}
}

// A host that freezes after it let us through does not hold us.
func TestFrozenBastion(t *testing.T) {
	hop, target := sshtest.Start(t, sshtest.Faults{Freeze: 700 * time.Millisecond}), sshtest.Start(t, sshtest.Faults{SlowBanner: time.Second})
	h := behind(t, hop, target)
	h.SSH.Keepalive = 15 * time.Second
	began := time.Now()
	_, err := dialer(t).Dial(t.Context(), h, spec.Become{})
	if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "handshake with") || time.Since(began) > 4*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}
