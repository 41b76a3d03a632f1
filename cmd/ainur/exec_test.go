package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

func onThis(t *testing.T, script string) said {
	t.Helper()
	d := (&cli{}).dialer()
	defer d.Close()
	return execOn(t.Context(), d, spec.Host{Name: "here", Connection: "local"}, spec.Become{}, remote.Command{Args: []string{"sh", "-c", script}})
}

// TestExec: what a command prints on both of its outputs is all there; one that never ends to
// print is ended; and no terminal does what a host prints.
func TestExec(t *testing.T) {
	const lines = 20000
	s := onThis(t, `i=0; while [ $i -lt 20000 ]; do echo out; echo err >&2; i=$((i+1)); done`)
	if out, err := strings.Count(s.Output, "out\n"), strings.Count(s.Output, "err\n"); s.Exit != 0 || out != lines || err != lines {
		t.Errorf("exit %d, %s; %d and %d lines, want %d of each", s.Exit, s.Error, out, err, lines)
	}
	if s = onThis(t, "yes"); !strings.Contains(s.Error, "MiB") || len(s.Output) != mostPrinted {
		t.Errorf("yes: %d bytes, %s", len(s.Output), s.Error)
	}
	var shown bytes.Buffer
	(&cli{stdout: &shown, stderr: &shown}).showSaid([]said{{Host: "a", Output: "x\x1b]0;evil\a"}, {Host: "b", Exit: -1, Error: "bad \x1b[2J"}})
	if got := shown.String(); strings.ContainsAny(got, "\x1b\a") || !strings.HasSuffix(got, "\n") || strings.Count(got, "\n") != 3 {
		t.Errorf("shown as %q", got)
	}
}

// TestCopyFrom: a file of a host is there as a whole or as it was, and for its owner alone.
func TestCopyFrom(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	from, copied := filepath.Join(dir, "secret"), filepath.Join(to, "here-secret")
	if err := os.WriteFile(from, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := (&cli{}).dialer()
	defer d.Close()
	conn, err := d.Dial(t.Context(), spec.Host{Name: "here", Connection: "local"}, spec.Become{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	copyOver := func(ctx context.Context) error {
		return copies(ctx, conn, "here", false, []string{":" + from, to})
	}
	if err := copyOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: want one for its owner alone", info, err)
	}
	if err := os.Remove(from); err != nil {
		t.Fatal(err)
	}
	if err := copyOver(t.Context()); err == nil || !strings.Contains(err.Error(), "host here") {
		t.Errorf("a file that is not there: %v", err)
	}
	if text, err := os.ReadFile(copied); err != nil || string(text) != "first" {
		t.Errorf("after that the copy has %q, %v", text, err)
	}
}

// TestStanzas: no value of an experiment is another line of OpenSSH's configuration, or an
// option of ssh.
func TestStanzas(t *testing.T) {
	h := spec.Host{Name: "a", Address: "fe80::1%eth0", SSH: spec.SSH{User: "me", Config: "/my files/config", Identity: []string{"/my files/id"}, ProxyJump: []string{"me@gate:22", "b"}}}
	if config, err := jumping(h); err != nil || !strings.Contains(config, `Include "/my files/config"`) || !strings.Contains(config, "Host gate\n") {
		t.Errorf("%v\n%s", err, config)
	}
	for name, spoil := range map[string]func(h *spec.Host){
		"HostName":     func(h *spec.Host) { h.Address = "a\n  ProxyCommand evil" },
		"User":         func(h *spec.Host) { h.SSH.User = "a b" },
		"IdentityFile": func(h *spec.Host) { h.SSH.Identity = []string{`/k" evil "`} },
		"ProxyJump":    func(h *spec.Host) { h.SSH.ProxyJump = []string{"-oProxyCommand=evil"} },
		"Include":      func(h *spec.Host) { h.SSH.Config = "/f\n  ProxyCommand evil" },
	} {
		bad := h
		spoil(&bad)
		if config, err := stanzas([]spec.Host{bad}); err == nil || !strings.Contains(err.Error(), "host a: "+name) {
			t.Errorf("%s: %v\n%s", name, err, config)
		}
	}
}
