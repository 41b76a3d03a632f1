package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/ssh"
)

// up is a lab for a test.
func up(t testing.TB, o lab.Options) *lab.Lab {
	t.Helper()
	testenv.Require(t, testenv.Root)
	if _, err := exec.LookPath("/usr/sbin/sshd"); err != nil {
		t.Skipf("no sshd: %v", err)
	}
	o.Dir = filepath.Join(t.TempDir(), "lab")
	l, err := lab.Up(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// block is the ssh block for the hosts of a lab.
func block(l *lab.Lab) spec.SSH {
	return spec.SSH{
		User: "root", Config: "none", Agent: "none", Identity: []string{l.Key}, KnownHosts: l.KnownHosts, HostKey: "strict",
		Connect: 5 * time.Second, Handshake: 10 * time.Second, Keepalive: 15 * time.Second, KeepaliveMax: 3,
		CommandTimeout: time.Minute, MaxSessions: 8,
	}
}

func dialer(t testing.TB) *ssh.Dialer {
	d := ssh.New(ssh.Options{Tell: func(host, message string) { t.Logf("%s: %s", host, message) }})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func dial(t testing.TB, d *ssh.Dialer, h spec.Host) remote.Conn {
	t.Helper()
	c, err := d.Dial(context.Background(), h, spec.Become{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func output(t testing.TB, c remote.Conn, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.Run(context.Background(), remote.Command{Args: args, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// Hosts behind a bastion share one connection to it.
func TestBastion(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3, Bastion: true})
	s := block(l)
	s.ProxyJump = []string{"root@" + l.Bastion.Address.String()}
	d := dialer(t)
	var all sync.WaitGroup
	for _, h := range l.Hosts {
		all.Go(func() {
			c, err := d.Dial(t.Context(), spec.Host{Name: h.Name, Address: h.Address.String(), SSH: s}, spec.Become{})
			if err != nil {
				t.Error(err)
				return
			}
			if got := output(t, c, "hostname"); got != h.Name {
				t.Errorf("host %s says it is %s", h.Name, got)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.ProxyJump = []string{"root@" + l.Bastion.Address.String() + ":1"}
	_, err := d.Dial(t.Context(), spec.Host{Name: "n1", Address: l.Hosts[0].Address.String(), SSH: s}, spec.Become{})
	if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "bastion") {
		t.Errorf("a bastion that does not listen: %v", err)
	}
}

func TestRefused(t *testing.T) {
	l := up(t, lab.Options{Hosts: 1})
	other := filepath.Join(t.TempDir(), "other")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(other + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Hosts[0].Address.String()
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, append([]byte(address+" "), public...), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	free, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	for name, tt := range map[string]struct {
		change func(*spec.Host)
		kind   error
		want   []string
	}{
		"unknown host key": {func(h *spec.Host) { h.SSH.KnownHosts = empty }, remote.ErrRefused, []string{"no key of it is on file", "ssh-keyscan", empty}},
		"other host key":   {func(h *spec.Host) { h.SSH.KnownHosts = wrong }, remote.ErrRefused, []string{wrong + ":1", "ssh-keygen -R"}},
		"not the pinned":   {func(h *spec.Host) { h.SSH.HostKey, h.SSH.HostKeys = "pinned", []string{string(public)} }, remote.ErrRefused, []string{"none of host_keys"}},
		"wrong key":        {func(h *spec.Host) { h.SSH.Identity = []string{other} }, remote.ErrRefused, []string{"authenticate as root", "1 keys"}},
		"no key":           {func(h *spec.Host) { h.SSH.Identity = []string{"/nowhere"} }, nil, []string{"/nowhere"}},
		"nobody listens":   {func(h *spec.Host) { h.SSH.Port = 1 }, remote.ErrUnreachable, []string{"connect to", "refused"}},
		"no answer": {func(h *spec.Host) {
			h.Address = "127.0.0.1"
			h.SSH.Port, h.SSH.Handshake = free.Addr().(*net.TCPAddr).Port, 200*time.Millisecond
		}, remote.ErrUnreachable, []string{"handshake", "200ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			host := spec.Host{Name: "n1", Address: address, SSH: block(l)}
			tt.change(&host)
			began := time.Now()
			_, err := dialer(t).Dial(t.Context(), host, spec.Become{})
			if err == nil || tt.kind != nil && !errors.Is(err, tt.kind) || time.Since(began) > 5*time.Second {
				t.Fatalf("got %v after %v, want %v", err, time.Since(began), tt.kind)
			}
			for _, want := range append(tt.want, "host n1") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
	host := spec.Host{Name: "n1", Address: address, SSH: block(l)}
	host.SSH.KnownHosts, host.SSH.HostKey = empty, "accept_new"
	for range 2 { // the second finds it on file
		dial(t, dialer(t), host)
		host.SSH.HostKey = "strict"
	}
}

// A connection that is cut is noticed, and nobody is told that the command went well.
func TestCut(t *testing.T) {
	l := up(t, lab.Options{Hosts: 1})
	host := spec.Host{Name: "n1", Address: l.Hosts[0].Address.String(), SSH: block(l)}
	host.SSH.Keepalive, host.SSH.KeepaliveMax = 200*time.Millisecond, 2
	c := dial(t, dialer(t), host)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context(), remote.Command{Args: []string{"sleep", "60"}}) }()
	time.Sleep(300 * time.Millisecond)
	if err := l.Link("n1", lab.Fault{Cut: "in"}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, remote.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a cut was not noticed")
	}
}
