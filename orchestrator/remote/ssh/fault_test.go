package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshtest"
)

// hostOf is a host that is a server of a test.
func hostOf(s *sshtest.Server) spec.Host {
	return spec.Host{Name: "h", Address: s.Host, SSH: spec.SSH{
		User: "root", Port: s.Port, Config: "none", Agent: "none", Identity: []string{s.Key}, KnownHosts: s.KnownHosts, HostKey: "strict",
		Connect: 2 * time.Second, Handshake: 2 * time.Second, Keepalive: time.Second, KeepaliveMax: 3, CommandTimeout: 10 * time.Second, MaxSessions: 8,
	}}
}

// tools is a PATH with the system's programs but some, and with others instead.
func tools(t *testing.T, without []string, instead map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sh", "dirname", "cut", "mkdir", "mktemp", "rm", "cat", "chmod", "sync", "mv", "sha256sum", "openssl", "sleep", "true", "id", "env"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range without {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range instead {
		_ = os.Remove(filepath.Join(dir, name)) // it may not be there
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestFaults: whatever goes wrong, the right error comes in time, and names the host,
// the step and what to do; nothing is left.
func TestFaults(t *testing.T) {
	run := func(args ...string) func(*testing.T, remote.Conn) error {
		return func(t *testing.T, c remote.Conn) error { return c.Run(t.Context(), remote.Command{Args: args}) }
	}
	for name, tt := range map[string]struct {
		faults sshtest.Faults
		do     func(*testing.T, remote.Conn) error // nil: connecting is enough
		kind   error
		want   []string // in the error; nil: there is none
	}{
		"nothing":               {sshtest.Faults{}, push, nil, nil},
		"slow banner":           {sshtest.Faults{SlowBanner: 300 * time.Millisecond}, run("true"), nil, nil},
		"too slow a banner":     {sshtest.Faults{SlowBanner: 2500 * time.Millisecond}, nil, remote.ErrUnreachable, []string{"handshake", "2s"}},
		"no banner":             {sshtest.Faults{Silent: true}, nil, remote.ErrUnreachable, []string{"handshake", "2s"}},
		"stall in key exchange": {sshtest.Faults{StallAfter: 200}, nil, remote.ErrUnreachable, []string{"handshake", "2s"}},
		"partial success":       {sshtest.Faults{Partial: true}, nil, remote.ErrRefused, []string{"authenticate as root"}},
		"one session":           {sshtest.Faults{MaxSessions: 1}, both, nil, nil},
		"no session":            {sshtest.Faults{MaxSessions: -1}, run("true"), nil, []string{"open a session", "MaxSessions"}},
		"drop in an upload":     {sshtest.Faults{DropAfter: 100_000}, push, remote.ErrUnknown, []string{"push /"}},
		"corrupt byte":          {sshtest.Faults{Corrupt: true}, push, nil, []string{"push /", "SHA-256"}},
		"slow window":           {sshtest.Faults{SlowInput: 5 * time.Millisecond}, push, nil, nil},
		"hang on close":         {sshtest.Faults{HangOnClose: true}, brief, remote.ErrUnknown, []string{"run true"}},
		"no exit status":        {sshtest.Faults{NoExitStatus: true}, run("true"), remote.ErrUnknown, []string{"run true"}},
		"greeting":              {sshtest.Faults{Motd: strings.Repeat("Welcome! ainur-FAKE 1\n", 10_000)}, say, nil, nil},
		"full disk":             {sshtest.Faults{Path: tools(t, nil, map[string]string{"cat": "echo 'cat: write error: No space left on device' >&2; exit 1"})}, push, nil, []string{"No space left", "make room"}},
		"read-only":             {sshtest.Faults{Path: tools(t, nil, map[string]string{"mktemp": "echo 'mktemp: Read-only file system' >&2; exit 1"})}, push, nil, []string{"push /", "Read-only"}},
		"no sha256sum":          {sshtest.Faults{Path: tools(t, []string{"sha256sum"}, nil)}, push, nil, nil},
		"nothing that sums":     {sshtest.Faults{Path: tools(t, []string{"sha256sum", "openssl"}, nil)}, push, nil, []string{"sha256sum"}},
		"takes the keys badly":  {sshtest.Faults{Tries: 1}, run("true"), nil, nil},
		"shell of its own":      {sshtest.Faults{Force: "echo welcome"}, run("true"), remote.ErrRefused, []string{"run true", "ForceCommand"}},
		"no shell":              {sshtest.Faults{Force: "echo 'This account is not available.'; exit 1"}, run("true"), remote.ErrRefused, []string{"run true", "shell"}},
		"SFTP alone":            {sshtest.Faults{Force: "exec sleep 60"}, run("true"), remote.ErrUnreachable, []string{"run true", "5s", "SFTP"}}, // which waits for what it understands
		"freezes":               {sshtest.Faults{Freeze: 500 * time.Millisecond}, run("sleep", "60"), remote.ErrUnknown, []string{"run sleep"}},
		"no such program":       {sshtest.Faults{}, run("no-such-program"), nil, []string{"no-such-program", "127"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshtest.Start(t, tt.faults)
			began := time.Now()
			c, err := dialer(t).Dial(t.Context(), hostOf(s), spec.Become{})
			if err == nil && tt.do != nil {
				err = tt.do(t, c)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			if c != nil {
				if err := c.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
			if (err == nil) != (tt.want == nil) || tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("got %v, want %v %q", err, tt.kind, tt.want)
			}
			for _, want := range tt.want {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			var bad *remote.ExitError // of a command, which its caller knows
			if err != nil && !errors.As(err, &bad) && !strings.Contains(err.Error(), "host h") {
				t.Errorf("%q does not name the host", err)
			}
		})
	}
}

// push makes a file, and looks for what is left of it.
func push(t *testing.T, c remote.Conn) error {
	target := filepath.Join(t.TempDir(), "folder", "file")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	_, err := c.Push(t.Context(), remote.File{Path: target, Mode: 0o644, Content: bytes.NewReader(content)})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // the host may not know yet that the connection is lost
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(target), ".ainur-*"))
		if len(left) == 0 {
			return err
		}
		if time.Since(began) > 5*time.Second {
			t.Errorf("left: %v", left)
			return err
		}
	}
}

// both runs two commands at a time.
func both(t *testing.T, c remote.Conn) error {
	errs := make([]error, 2)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = c.Run(t.Context(), remote.Command{Args: []string{"sleep", "0.3"}}) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// brief does not wait long.
func brief(t *testing.T, c remote.Conn) error {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return c.Run(ctx, remote.Command{Args: []string{"true"}})
}

// say checks that what a command says comes without what a host says.
func say(t *testing.T, c remote.Conn) error {
	var out bytes.Buffer
	err := c.Run(t.Context(), remote.Command{Args: []string{"echo", "hello"}, Stdout: &out})
	if out.String() != "hello\n" {
		t.Errorf("it said %q", out.String())
	}
	return err
}
