package facts_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// here runs commands on this machine, with a shell of its own choice.
type here struct{ shell []string }

func (h here) Run(ctx context.Context, c remote.Command) error {
	args := append(slices.Clone(h.shell), c.Args[1:]...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.WaitDelay = c.Stdout, time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { // it is not waited for: a command may end before its input
		_, _ = io.Copy(stdin, c.Stdin)
		_ = stdin.Close()
	}()
	return cmd.Wait()
}

// query is of a deployment that has a folder, a program and a manifest.
func query(t *testing.T) facts.Query {
	t.Helper()
	dir := t.TempDir()
	q := facts.Query{
		Deployment: filepath.Base(dir) + strings.ReplaceAll(t.Name(), "/", "-"), Program: filepath.Join(dir, "program"), Home: filepath.Join(dir, "home"),
		Programs: []string{"sh", "no-such-program"}, Exists: []string{dir, dir + "/nothing"},
		Files: []string{filepath.Join(dir, "text*"), filepath.Join(dir, "text1"), filepath.Join(dir, "none")},
	}
	for _, folder := range []string{q.Home, filepath.Join(q.Program, "bin")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{"text1": "a: b\n\n  c\\n\n", "text2": "no end of line", "program/bin/ainur": "program"} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// TestRead asks this machine through every shell that it has, and compares with what
// it says of itself.
func TestRead(t *testing.T) {
	for _, shell := range []string{"dash", "bash", "busybox"} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("needs %s: %v", shell, err)
			}
			args := []string{path}
			if shell == "busybox" {
				args = append(args, "sh")
			}
			q := query(t)
			got, err := facts.Read(t.Context(), here{args}, q)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(resource.HostFacts(), got.Facts, cmpopts.IgnoreFields(spec.Facts{}, "Load1")); diff != "" {
				t.Errorf("facts (-own +asked):\n%s", diff)
			}
			dir := filepath.Dir(q.Home)
			for path, want := range map[string]string{"text1": "a: b\n\n  c\\n\n", "text2": "no end of line\n", "none": ""} {
				if text := got.Files[filepath.Join(dir, path)]; text != want {
					t.Errorf("%s is %q, want %q", path, text, want)
				}
			}
			if !got.Has(dir) || got.Has(dir+"/nothing") || got.Programs["sh"] == "" || got.Programs["no-such-program"] != "" {
				t.Errorf("exists %v, programs %v", got.Exists, got.Programs)
			}
			if got.Binary == "" || got.Unchanged || len(got.FreeKiB) != 2 || got.FreeKiB[0] == 0 {
				t.Errorf("program %q, unchanged %v, free %v", got.Binary, got.Unchanged, got.FreeKiB)
			}
			if err := os.WriteFile(filepath.Join(q.Home, "manifest.json"), []byte(`{"stat":"`+got.Stat+`","x":1}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err = facts.Read(t.Context(), here{args}, q); err != nil || !got.Unchanged || got.Binary != "" {
				t.Errorf("with a manifest: program %q, unchanged %v, %v", got.Binary, got.Unchanged, err)
			}
		})
	}
}

// TestHold takes the lock twice: the second waits for the first, and is told who it is.
func TestHold(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skipf("needs flock: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: the lock is below /run")
	}
	q, sh := query(t), here{[]string{"sh"}}
	_, first, err := facts.Hold(t.Context(), sh, q, "one of us", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if offset, within, err := first.Clock(3); err != nil || offset.Abs() > 100*time.Millisecond || within <= 0 {
		t.Errorf("the clock is %v ahead of itself, within %v, %v", offset, within, err)
	}
	if _, _, err := facts.Hold(t.Context(), sh, q, "another", 50*time.Millisecond); !errors.Is(err, facts.ErrLocked) || !strings.Contains(err.Error(), "one of us") {
		t.Errorf("a second lock: %v, want ErrLocked by the first", err)
	}
	if h, err := facts.Read(t.Context(), sh, q); err != nil || !strings.HasPrefix(h.Holder, "one of us, heard of ") {
		t.Errorf("the holder is %q, %v", h.Holder, err)
	}
	time.AfterFunc(100*time.Millisecond, first.Release)
	_, second, err := facts.Hold(t.Context(), sh, q, "another", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
	for _, where := range []string{"/run/lock", "/run"} {
		if _, err := os.Stat(filepath.Join(where, "ainur-"+q.Deployment)); err == nil {
			t.Errorf("the lock is still in %s", where)
		}
	}
}

// A holder that is cut off without a word loses the lock; one that is heard of keeps it.
func TestHoldIsLost(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skipf("needs flock: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: the lock is below /run")
	}
	for _, shell := range []string{"dash", "bash", "busybox"} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("needs %s: %v", shell, err)
			}
			args := []string{path}
			if shell == "busybox" {
				args = append(args, "sh")
			}
			q := query(t)
			_, held, err := facts.Hold(t.Context(), here{args}, q, "one of us", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer held.Release()
			for range 3 {
				if err := held.Beat(60 * time.Second); err != nil {
					t.Fatal(err)
				}
				if _, _, err := held.Clock(1); err != nil { // it still answers
					t.Fatal(err)
				}
			}
			select {
			case <-held.Lost():
				t.Fatal("the lock is lost, and its holder is there")
			default:
			}
			if err := held.Beat(time.Second); err != nil {
				t.Fatal(err)
			}
			select {
			case <-held.Lost():
			case <-time.After(20 * time.Second):
				t.Fatal("the lock is held by nobody")
			}
			_, next, err := facts.Hold(t.Context(), here{args}, q, "another", 0)
			if err != nil {
				t.Fatal(err)
			}
			next.Release()
		})
	}
}

// endless is a host that says something for as long as it may.
type endless struct{}

func (endless) Run(ctx context.Context, c remote.Command) error {
	for ctx.Err() == nil {
		if _, err := c.Stdout.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// TestEndless: a host that does not stop to speak of itself is not listened to for ever.
func TestEndless(t *testing.T) {
	if _, err := facts.Read(t.Context(), endless{}, facts.Query{}); err == nil || !strings.Contains(err.Error(), "MiB of itself") {
		t.Errorf("read: %v", err)
	}
	if _, _, err := facts.Hold(t.Context(), endless{}, facts.Query{}, "me", 0); err == nil || !strings.Contains(err.Error(), "MiB of itself") {
		t.Errorf("hold: %v", err)
	}
}
