package process_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/hcl/spec"
)

var opened atomic.Int64

// open is an isolation of which nothing may be left at the end of the test.
func open(t *testing.T) sandbox.Isolation {
	t.Helper()
	return openIn(t, t.TempDir(), fmt.Sprintf("test-%d-%d", os.Getpid(), opened.Add(1)))
}

func openIn(t *testing.T, dir, runID string) *process.Isolation {
	t.Helper()
	i, err := process.New(process.Options{Dir: dir, RunID: runID, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t, dir, runID)
	})
	return i
}

func nothingLeft(t *testing.T, dir, runID string) {
	t.Helper()
	if pids := labelled(t, runID); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/ainur/", "/sys/fs/cgroup/*/ainur/"} {
		if left, _ := filepath.Glob(pattern + runID); len(left) > 0 {
			t.Errorf("cgroups %v are left", left)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "sandboxes")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of sandboxes is left: %v", err)
	}
}

// labelled are the processes that carry the run's label.
func labelled(t *testing.T, runID string) (pids []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		env, _ := os.ReadFile(filepath.Join(dir, "environ")) // it may have ended
		if strings.Contains("\x00"+string(env), "\x00AINUR_SANDBOX="+runID+"/") {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

func TestConformance(t *testing.T) {
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	sandboxtest.Run(t, open)
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("use", func(t *testing.T) {
		i := openIn(t, t.TempDir(), fmt.Sprintf("leak-%d", os.Getpid()))
		b, err := i.Create(t.Context(), hello("hello-1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Invoke(t.Context(), []byte("{}")); err != nil {
			t.Error(err)
		}
		if err := b.Remove(); err != nil {
			t.Error(err)
		}
	})
	goleak.VerifyNone(t, before)
}

func hello(id string) sandbox.Config {
	return sandbox.Config{ID: id, Function: spec.Function{Name: "hello", Builtin: "hello", Memory: 64 * spec.MiB, MilliCPU: 500}}
}

// crashEnv makes this binary an agent that is killed with a sandbox at hand.
const crashEnv = "AINUR_TEST_CRASH"

func crash() {
	dir, runID, _ := strings.Cut(os.Getenv(crashEnv), " ")
	i, err := process.New(process.Options{Dir: dir, RunID: runID, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	if _, err := i.Create(context.Background(), hello("hello-1")); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
}

// What an agent that was killed leaves goes by itself or with Reclaim.
func TestReclaim(t *testing.T) {
	dir, runID := t.TempDir(), fmt.Sprintf("crash-%d", os.Getpid())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+dir+" "+runID)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	if len(labelled(t, runID)) == 0 {
		t.Error("no sandbox carries the label")
	}
	// A sandbox of a run whose id begins with the same text is none of ours.
	stranger := exec.Command("sleep", "60")
	stranger.Env = append(os.Environ(), "AINUR_SANDBOX="+runID+"0/x/hello-1/")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	}()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	i := openIn(t, dir, runID)
	removed, err := i.Reclaim()
	if err != nil {
		t.Error(err)
	}
	if cgroups, problems := resource.FindCgroups("/sys/fs/cgroup", "ainur/probe"); len(problems) == 0 {
		if err := cgroups.Remove(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(strings.Join(removed, " "), "cgroup") {
			t.Errorf("reclaimed %v, no cgroup", removed)
		}
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger was harmed: %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); len(labelled(t, runID)) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its sandboxes are still there")
		}
	}
}

// Without root there is less isolation, and it is said.
func TestLimitations(t *testing.T) {
	i := openIn(t, t.TempDir(), fmt.Sprintf("limits-%d", os.Getpid()))
	all := strings.Join(i.Limitations(), "\n")
	if os.Getuid() != 0 && !strings.Contains(all, "memory") {
		t.Errorf("user %d has every limit: %s", os.Getuid(), all)
	}
	if !strings.Contains(all, "share the network") {
		t.Errorf("sandboxes share the network and it is not said: %s", all)
	}
}
