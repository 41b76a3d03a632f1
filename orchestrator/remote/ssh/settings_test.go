package ssh

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshconfig"
)

// What may go better is tried again, a name that is not known is not.
func TestAgain(t *testing.T) {
	lost := fmt.Errorf("%w: connection refused", remote.ErrUnreachable)
	unknown := fmt.Errorf("%w: %w", remote.ErrUnreachable, &net.DNSError{Err: "no such host", IsNotFound: true})
	unasked := fmt.Errorf("%w: %w", remote.ErrUnreachable, &net.DNSError{Err: "i/o timeout", IsTimeout: true})
	for _, tt := range []struct {
		err   error
		tries int
	}{{lost, 4}, {unknown, 1}, {unasked, 2}, {fmt.Errorf("%w: its key", remote.ErrRefused), 1}} {
		tries := 1
		for again(tt.err, tries-1, 3) {
			tries++
		}
		if tries != tt.tries {
			t.Errorf("%v: %d tries, want %d", tt.err, tries, tt.tries)
		}
	}
}

// A block says more than the configuration, and the configuration more than nothing.
func TestCombine(t *testing.T) {
	q := sshconfig.Query{Host: "w1", LocalUser: "me", Home: "/home/me"}
	config := sshconfig.Values{
		"hostname": {"10.0.0.1"}, "user": {"faas"}, "port": {"2222"}, "hostkeyalias": {"lab"}, "identityfile": {"~/.ssh/%r"}, "proxyjump": {"gate,inner"},
		"userknownhostsfile": {"%d/known"}, "globalknownhostsfile": {"none"}, "identityagent": {"~/agent"},
	}
	got := combine(q, spec.SSH{Agent: "auto"}, config)
	if got.address() != "10.0.0.1:2222" || got.User != "faas" || got.name() != "lab" || got.agent != "/home/me/agent" || *got.IdentitiesOnly || got.explicit {
		t.Errorf("by the configuration: %+v", got)
	}
	if diff := cmp.Diff([][]string{{"/home/me/.ssh/faas"}, {"/home/me/known"}, {"gate", "inner"}}, [][]string{got.Identity, got.knownHosts, got.jump}); diff != "" {
		t.Error(diff)
	}
	got = combine(q, spec.SSH{Agent: "none", User: "root", Port: 22, Identity: []string{"~/key"}, KnownHosts: "k", ProxyJump: []string{}}, config)
	if got.address() != "10.0.0.1:22" || got.User != "root" || got.agent != "" || !*got.IdentitiesOnly || !got.explicit || len(got.jump) > 0 {
		t.Errorf("by the block: %+v", got)
	}
	if diff := cmp.Diff([][]string{{"/home/me/key"}, {"k"}}, [][]string{got.Identity, got.knownHosts}); diff != "" {
		t.Error(diff)
	}
	got = combine(q, spec.SSH{Agent: "none"}, sshconfig.Values{"proxycommand": {"nc -x proxy %h %p # 100%%"}})
	if got.address() != "w1:22" || got.User != "me" || got.proxy != "nc -x proxy w1 22 # 100%" || len(got.knownHosts) != 4 {
		t.Errorf("by a proxy: %+v", got)
	}
}

func TestHop(t *testing.T) {
	for text, want := range map[string]struct {
		user, host string
		port       int
	}{
		"gate":              {"", "gate", 0},
		"me@gate:2222":      {"me", "gate", 2222},
		"ssh://me@gate:22":  {"me", "gate", 22},
		"a@b@gate":          {"a@b", "gate", 0},
		"[fe80::1]:2222":    {"", "fe80::1", 2222},
		"fe80::1":           {"", "fe80::1", 0},
		"root@10.0.0.1":     {"root", "10.0.0.1", 0},
		"me@[2001:db8::1]":  {"me", "2001:db8::1", 0},
		"":                  {},
		"me@":               {},
		"gate:0":            {},
		"gate:99999":        {},
		"me@gate:port":      {},
		"user@gate:22:22:x": {"user", "gate:22:22:x", 0}, // as ssh takes it: an address of version 6
	} {
		user, host, port, err := hop(text)
		if (err == nil) != (want.host != "") || err == nil && (user != want.user || host != want.host || port != want.port) {
			t.Errorf("%q is %q, %q, %d, %v; want %+v", text, user, host, port, err, want)
		}
	}
}

func key(t testing.TB) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKnown(t *testing.T) {
	ours, theirs := key(t), key(t)
	line := func(hosts string, k ssh.PublicKey) string {
		return hosts + " " + string(ssh.MarshalAuthorizedKey(k))
	}
	hidden, err := hash("w1")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file, name, want string // want: "ok", or words of the error
		warnings         int
	}{
		"there":                    {line("w1", ours), "w1", "ok", 0},
		"with a port":              {line("[w1]:2222", ours), "[w1]:2222", "ok", 0},
		"of another port":          {line("[w1]:2222", ours), "w1", "no key", 0},
		"one of several names":     {line("gate,w1,10.0.0.1", ours), "w1", "ok", 0},
		"a pattern":                {line("w*", ours), "w1", "ok", 0},
		"a pattern but this":       {line("w*,!w1", ours), "w1", "no key", 0},
		"in capitals":              {line("W1", ours), "w1", "ok", 0},
		"hidden":                   {line(hidden, ours), "w1", "ok", 0},
		"hidden, another":          {line(hidden, ours), "w2", "no key", 0},
		"another key":              {line("w1", theirs), "w1", ":1 has another", 0},
		"one of several keys":      {line("w1", theirs) + line("w1", ours), "w1", "ok", 0},
		"revoked":                  {"@revoked " + line("*", ours) + line("w1", ours), "w1", "revoked at", 0},
		"a line that is no line":   {"w1 ssh-ed25519 nonsense\n" + line("w1", ours), "w1", "ok", 1},
		"an authority is no key":   {"@cert-authority " + line("*", ours), "w1", "no key", 0},
		"comments and empty lines": {"# hello\n\n" + line("w1", ours), "w1", "ok", 0},
	} {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := readKnown([]string{file, "/nowhere"}, tt.name, "")
		if err != nil {
			t.Fatal(err)
		}
		err = k.check(tt.name, ours)
		if (err == nil) != (tt.want == "ok") || err != nil && !strings.Contains(err.Error(), tt.want) || len(k.warnings) != tt.warnings {
			t.Errorf("%s: %v, %q; want %s", name, err, k.warnings, tt.want)
		}
	}
}

// A host with a key on file is asked for that one first, and never for a signature by SHA-1.
func TestAlgorithms(t *testing.T) {
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ssh.NewPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		known   known
		without []string
		first   string
		none    []string
	}{
		"nothing on file": {known{}, nil, ssh.KeyAlgoED25519, []string{ssh.KeyAlgoRSA, ssh.CertAlgoED25519v01}},
		"an RSA key":      {known{keys: []knownKey{{PublicKey: old}}}, nil, ssh.KeyAlgoRSASHA512, []string{ssh.KeyAlgoRSA}},
		"an authority":    {known{authorities: []knownKey{{PublicKey: old}}}, nil, ssh.CertAlgoED25519v01, []string{ssh.KeyAlgoRSA}},
		"not that one":    {known{}, []string{ssh.KeyAlgoED25519}, ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoED25519}},
	} {
		got := tt.known.algorithms(nil, tt.without)
		if got[0] != tt.first || slices.ContainsFunc(tt.none, func(a string) bool { return slices.Contains(got, a) }) {
			t.Errorf("%s: %v, want %s first and none of %v", name, got, tt.first, tt.none)
		}
	}
}

// Several learn of hosts at the same time: none is lost, and the file is hidden where it was.
func TestLearn(t *testing.T) {
	for _, hiding := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "new", "known_hosts")
		if hiding {
			name, err := hash("first")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(name+" "+string(ssh.MarshalAuthorizedKey(key(t)))), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		keys := map[string]ssh.PublicKey{}
		var all sync.WaitGroup
		for _, name := range []string{"a", "b", "c", "[d]:2222", "e", "f"} {
			k := key(t)
			keys[name] = k
			all.Go(func() {
				if kept, err := learn(file, name, k); err != nil || !kept {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for name, k := range keys {
			onFile, err := readKnown([]string{file}, name, "")
			if err != nil || onFile.check(name, k) != nil {
				t.Errorf("%s: %v, %v", name, err, onFile.check(name, k))
			}
		}
		content, err := os.ReadFile(file)
		if err != nil || hiding == bytes.Contains(content, []byte("[d]:2222")) {
			t.Errorf("the names of hosts in a file that hides them (%v): %s", hiding, content)
		}
	}
}

func FuzzKnown(f *testing.F) {
	k := key(f)
	f.Add("w1 " + string(ssh.MarshalAuthorizedKey(k)))
	f.Add("@revoked * " + string(ssh.MarshalAuthorizedKey(k)))
	f.Add("|1|x|y ssh-ed25519 AAAA")
	f.Add("!,,[: ssh-rsa")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		known, err := readKnown([]string{file}, "[w1]:2222", "w1")
		if err == nil {
			_ = known.check("w1", k)
			_ = known.algorithms(nil, nil)
		}
	})
}
