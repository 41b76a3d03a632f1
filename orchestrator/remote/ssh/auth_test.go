package ssh_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cryptossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/ssh"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshtest"
)

// serveAgent is the socket of an agent with keys: that of a server, after others.
func serveAgent(t *testing.T, s *sshtest.Server, others int) string {
	t.Helper()
	ring := agent.NewKeyring()
	for range others {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err == nil {
			err = ring.Add(agent.AddedKey{PrivateKey: private})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := cryptossh.ParseRawPrivateKey(content)
	if err == nil {
		err = ring.Add(agent.AddedKey{PrivateKey: private})
	}
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, func(conn net.Conn) { _ = agent.ServeAgent(ring, conn) }) // until the client goes
}

// listen serves connections at a socket.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // a short name: sockets have no long ones
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it was closed
			}
			serving.Go(func() {
				serve(conn)
				_ = conn.Close() // its client may have closed it
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it is open
		serving.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return socket
}

func TestAuthenticate(t *testing.T) {
	prompts := 0
	prompt := func(_ context.Context, question string) (string, error) {
		prompts++
		if !strings.Contains(question, "Passphrase of /") {
			t.Errorf("asked %q", question)
		}
		return "pass phrase", nil
	}
	for name, tt := range map[string]struct {
		faults sshtest.Faults
		change func(*testing.T, *sshtest.Server, *spec.Host)
		want   []string // in the error; nil: there is none
	}{
		"agent": {change: func(t *testing.T, s *sshtest.Server, h *spec.Host) {
			h.SSH.Agent, h.SSH.Identity = serveAgent(t, s, 2), nil
		}},
		"agent with too many keys": {change: func(t *testing.T, s *sshtest.Server, h *spec.Host) {
			h.SSH.Agent, h.SSH.Identity, h.SSH.Retries = serveAgent(t, s, 9), nil, 3
		}, want: []string{"authenticate as root", "identity", "too many"}},
		"agent with too many keys, and the one that is meant": {change: func(t *testing.T, s *sshtest.Server, h *spec.Host) {
			public(t, s)
			h.SSH.Agent, h.SSH.Identity = serveAgent(t, s, 9), []string{s.Key}
			moved(t, s.Key)
		}},
		"agent that is not there": {change: func(_ *testing.T, _ *sshtest.Server, h *spec.Host) {
			h.SSH.Agent, h.SSH.Identity = "/nowhere", nil
		}, want: []string{"ask the agent", "/nowhere"}},
		"passphrase": {change: func(t *testing.T, s *sshtest.Server, _ *spec.Host) { encrypt(t, s.Key, "pass phrase") }},
		"another passphrase": {
			change: func(t *testing.T, s *sshtest.Server, _ *spec.Host) { encrypt(t, s.Key, "another") },
			want:   []string{"authenticate as root", "key /"},
		},
		"no such key": {
			change: func(_ *testing.T, _ *sshtest.Server, h *spec.Host) { h.SSH.Identity = []string{"/nowhere"} },
			want:   []string{"authenticate as root", "/nowhere"},
		},
		"proxy command": {change: func(t *testing.T, s *sshtest.Server, h *spec.Host) {
			config(t, h, fmt.Sprintf("Host w1\n HostName 127.0.0.1\n Port %d\n ProxyCommand %s\n HostKeyAlias [127.0.0.1]:%d\n", s.Port, relay, s.Port))
		}},
		"proxy command that fails": {change: func(t *testing.T, _ *sshtest.Server, h *spec.Host) {
			config(t, h, "Host w1\n ProxyCommand sh -c 'echo no way to %h >&2; exit 1'\n")
		}, want: []string{"handshake", "the proxy command says: no way to w1"}},
		"given host key": {change: func(_ *testing.T, s *sshtest.Server, h *spec.Host) {
			h.SSH.HostKey, h.SSH.HostKeys, h.SSH.KnownHosts = "pinned", []string{string(cryptossh.MarshalAuthorizedKey(s.Keys[0]))}, "/nowhere"
		}},
		"given host key, not the first": {faults: sshtest.Faults{TwoKeys: true}, change: func(_ *testing.T, s *sshtest.Server, h *spec.Host) {
			h.SSH.HostKey, h.SSH.HostKeys = "pinned", []string{"SHA256:other", cryptossh.FingerprintSHA256(s.Keys[1])}
		}},
		"another host key": {faults: sshtest.Faults{TwoKeys: true}, change: func(_ *testing.T, _ *sshtest.Server, h *spec.Host) {
			h.SSH.HostKey, h.SSH.HostKeys = "pinned", []string{"SHA256:other"}
		}, want: []string{"host key of", "none of host_keys"}},
		"key of another kind on file": {faults: sshtest.Faults{TwoKeys: true}, change: func(t *testing.T, s *sshtest.Server, h *spec.Host) {
			line := fmt.Sprintf("[%s]:%d %s", s.Host, s.Port, cryptossh.MarshalAuthorizedKey(s.Keys[1]))
			if err := os.WriteFile(h.SSH.KnownHosts, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"nothing kept of it": {change: func(_ *testing.T, _ *sshtest.Server, h *spec.Host) {
			h.SSH.HostKey, h.SSH.KnownHosts = "accept_new", "/dev/null"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Start(t, tt.faults)
			h := hostOf(s)
			tt.change(t, s, &h)
			d := ssh.New(ssh.Options{Prompt: prompt, Tell: func(host, message string) { t.Logf("%s: %s", host, message) }})
			began := time.Now()
			for range 2 { // the second knows
				c, err := d.Dial(t.Context(), h, spec.Become{})
				if err == nil {
					err = errors.Join(c.Run(t.Context(), remote.Command{Args: []string{"true"}}), c.Close())
				}
				if (err == nil) != (tt.want == nil) || errors.Is(err, remote.ErrUnreachable) && !strings.Contains(name, "proxy") {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				for _, want := range append(tt.want, "host h") {
					if err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
			}
			if n := s.Connections.Load(); time.Since(began) > 10*time.Second || n > 6 {
				t.Errorf("it took %v and %d connections", time.Since(began), n)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if prompts != 2 { // once for each key
		t.Errorf("asked %d times", prompts)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
		t.Fatalf("/dev/null is %v, %v", info, err)
	}
}

// relay is a proxy command that every shell of this machine can be: bash has sockets.
const relay = `bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3'`

func config(t *testing.T, h *spec.Host, text string) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	h.Address, h.SSH.Port, h.SSH.Config = "w1", 0, filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(h.SSH.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// public puts the public key beside the private one.
func public(t *testing.T, s *sshtest.Server) {
	t.Helper()
	content, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cryptossh.ParsePrivateKey(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Key+".pub", cryptossh.MarshalAuthorizedKey(signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func moved(t *testing.T, path string) {
	t.Helper()
	if err := os.Rename(path, path+".elsewhere"); err != nil {
		t.Fatal(err)
	}
}

// encrypt gives a private key a passphrase.
func encrypt(t *testing.T, path, passphrase string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	private, err := cryptossh.ParseRawPrivateKey(content)
	if err != nil {
		t.Fatal(err)
	}
	block, err := cryptossh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
}
