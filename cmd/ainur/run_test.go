package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// template is an experiment of one builtin function on one worker.
const template = `
cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on     = cluster.c.host.h
  memory = "512MiB"
}

%s

function "f" {
  builtin = "sleep"
  args    = { ms = 20 }
  memory  = "64MiB"
  prewarm = 2
}

load "l" {
  target    = %s
  call      = function.f
  duration  = "%s"
  lag_limit = "5s"

  arrival "poisson" {
    rate = "50/s"
  }
}

experiment "e" {
  title   = "e"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  repeat  = 1
  seed    = 1
%s
}
`

// lab is a folder with an experiment and a state of its own.
type lab struct {
	*testing.T
	dir string
}

func newLab(t *testing.T, experiment string) *lab {
	t.Helper()
	l := &lab{t, t.TempDir()}
	if err := os.WriteFile(filepath.Join(l.dir, "e.ainur.hcl"), []byte(experiment), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.nothingLeft)
	return l
}

// ainur is the program, to be run in the lab.
func (l *lab) ainur(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ainur", args...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "AINUR_STATE_DIR="+l.state())
	return cmd
}

func (l *lab) state() string { return filepath.Join(l.dir, "state") }

// document runs ainur run -o json and returns its exit code and data.
func (l *lab) document() (int, result.Data, string) {
	l.Helper()
	var stdout, stderr bytes.Buffer
	cmd := l.ainur(l.Context(), "run", "-o", "json")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		l.Fatal(err)
	}
	var doc struct {
		Exit int
		Data result.Data
	}
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		l.Fatalf("%v: %s%s", err, stdout.Bytes(), stderr.Bytes())
	}
	if code := cmd.ProcessState.ExitCode(); code != doc.Exit {
		l.Errorf("exit code %d, the document says %d", code, doc.Exit)
	}
	return doc.Exit, doc.Data, stdout.String() + stderr.String()
}

// calls are those of the first repeat of a run.
func (l *lab) calls(data result.Data) []measure.Call {
	l.Helper()
	run, err := result.Open(filepath.Join(l.dir, data.ResultsDir), l.dir)
	if err != nil {
		l.Fatal(err)
	}
	calls, err := measure.ReadCalls(run.CallsPath(run.Steps[0]))
	if err != nil {
		l.Fatal(err)
	}
	return calls
}

// processes are those whose command line or environment names the lab's state.
func (l *lab) processes(words ...string) (pids []int) {
	l.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		l.Fatal(err)
	}
	for _, dir := range dirs {
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // it may have ended
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if !bytes.Contains(cmdline, []byte(l.state())) && !bytes.Contains(environ, []byte(l.state())) {
			continue
		}
		matches := true
		for _, word := range words {
			matches = matches && bytes.Contains(cmdline, []byte("\x00"+word+"\x00"))
		}
		if matches {
			var pid int
			if _, err := fmt.Sscan(filepath.Base(dir), &pid); err != nil {
				l.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// nothingLeft checks that no process, cgroup or folder of a run is there.
func (l *lab) nothingLeft() {
	if pids := l.processes(); len(pids) > 0 {
		l.Errorf("processes %v are left", pids)
	}
	runs, err := os.ReadDir(filepath.Join(l.state(), "runs"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.Error(err)
	}
	for _, run := range runs {
		l.Errorf("the state of run %s is left", run.Name())
	}
	results, _ := filepath.Glob(filepath.Join(l.dir, "results", "e", "0*"))
	for _, dir := range results {
		cgroups, _ := filepath.Glob("/sys/fs/cgroup/*/ainur/" + filepath.Base(dir))
		flat, _ := filepath.Glob("/sys/fs/cgroup/ainur/" + filepath.Base(dir))
		for _, cgroup := range append(cgroups, flat...) {
			l.Errorf("cgroup %s is left", cgroup)
		}
	}
}

// underLoad starts ainur run and returns once calls are being served.
func (l *lab) underLoad() (cmd *exec.Cmd, out *bytes.Buffer) {
	l.Helper()
	cmd, out = l.ainur(context.Background(), "run"), &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = cmd.Process.Kill() }) // when the test has failed
	for deadline := time.Now().Add(20 * time.Second); len(l.processes("load")) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("no load was started: %s", out)
		}
	}
	time.Sleep(500 * time.Millisecond) // of load
	return cmd, out
}

func (l *lab) kill(pid int, signal syscall.Signal) {
	l.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		l.Fatal(err)
	}
}

func single(duration string) string { return fmt.Sprintf(template, "", "worker.w", duration, "") }

func TestRunJSON(t *testing.T) {
	t.Parallel()
	l := newLab(t, single("1s"))
	exit, data, text := l.document()
	if exit != 0 || !data.Valid || len(data.Points) != 1 || len(data.Points[0].Repeats) != 1 {
		t.Fatalf("exit %d: %s", exit, text)
	}
	load := data.Points[0].Repeats[0].Loads["l"]
	if load.Offered == 0 || load.Offered != load.Completed || load.Latency.P50 == nil || *load.Latency.P50 < 20*time.Millisecond {
		t.Errorf("%+v", load)
	}

	// What it measured is a model of the function, which has no profile.
	out, err := l.ainur(t.Context(), "simulate", "--from", data.RunID, "-o", "json").Output()
	var doc struct{ Data result.Data }
	if jsonErr := json.Unmarshal(out, &doc); err != nil || jsonErr != nil {
		t.Fatalf("%v, %v: %s", err, jsonErr, out)
	}
	simulated := doc.Data.Points[0].Repeats[0].Loads["l"]
	if simulated.Offered != load.Offered || simulated.Latency.P50 == nil || *simulated.Latency.P50 < 20*time.Millisecond {
		t.Errorf("live %+v, simulated %+v", load, simulated)
	}
}

// Each row's phases are measured on their own clocks and sum to its latency.
func TestPhasesSumToLatency(t *testing.T) {
	t.Parallel()
	l := newLab(t, single("1s"))
	_, data, text := l.document()
	calls := l.calls(data)
	if len(calls) == 0 {
		t.Error(text)
	}
	for _, c := range calls {
		var sum time.Duration
		for _, p := range measure.Phases(c) {
			if p.Duration < 0 {
				t.Errorf("call %d: %s lasts %v", c.Seq, p.Name, p.Duration)
			}
			sum += p.Duration
		}
		if sum != time.Duration(c.Latency()) {
			t.Errorf("call %d: phases sum to %v, latency is %v", c.Seq, sum, c.Latency())
		}
		if exec := time.Duration(c.Exec()); exec < 20*time.Millisecond {
			t.Errorf("call %d slept 20ms in %v", c.Seq, exec)
		}
	}
}

// Two workers on one host, each with sandboxes of the same function.
func TestThroughBalancer(t *testing.T) {
	t.Parallel()
	l := newLab(t, strings.Replace(fmt.Sprintf(template, `
worker "w2" {
  on     = cluster.c.host.h
  memory = "512MiB"
}

balancer "b" {
  on      = cluster.c.host.h
  workers = [worker.w, worker.w2]
  policy  = "round_robin"
}
`, "balancer.b", "1s", "  balancer = balancer.b"), "worker  = worker.w", "workers = [worker.w, worker.w2]", 1))
	exit, data, text := l.document()
	if exit != 0 || !data.Valid {
		t.Fatalf("exit %d: %s", exit, text)
	}
	if load := data.Points[0].Repeats[0].Loads["l"]; load.Failed != 0 || load.Completed == 0 {
		t.Errorf("%+v", load)
	}
	served := map[string]int{}
	for _, c := range l.calls(data) {
		served[c.Host]++
	}
	if d := served["w"] - served["w2"]; len(served) != 2 || d < -1 || d > 1 {
		t.Errorf("round robin sent %v", served)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l := newLab(t, fmt.Sprintf(template, fmt.Sprintf(`
balancer "b" {
  on      = cluster.c.host.h
  workers = worker.w
  port    = %d
}
`, taken.Addr().(*net.TCPAddr).Port), "balancer.b", "1s", "  balancer = balancer.b"))
	exit, data, text := l.document()
	if exit != exitInvalid || data.Valid || !strings.Contains(text, "address already in use") {
		t.Errorf("exit %d: %s", exit, text)
	}
}

// An interruption at any moment keeps what was measured, says so, and leaves nothing.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	l := newLab(t, single("60s"))
	cmd, out := l.underLoad()
	l.kill(cmd.Process.Pid, syscall.SIGINT)
	_ = cmd.Wait() // its code is checked
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, out)
	}
	if !strings.Contains(out.String(), "INVALID") || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("%s", out)
	}
	run, err := result.Open("latest", filepath.Join(l.dir, "results"))
	if err != nil {
		t.Fatal(err)
	}
	calls, err := measure.ReadCalls(run.CallsPath(run.Steps[0]))
	if err != nil || len(calls) == 0 {
		t.Errorf("%d calls were kept: %v", len(calls), err)
	}
}

func TestInterruptAtAnyMoment(t *testing.T) {
	t.Parallel()
	for after := time.Duration(0); after < 500*time.Millisecond; after += 90 * time.Millisecond {
		l := newLab(t, single("60s"))
		cmd := l.ainur(context.Background(), "run")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20*time.Millisecond + after)
		l.kill(cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait() // its code is checked
		if code := cmd.ProcessState.ExitCode(); code != exitInterrupted && !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Errorf("after %v: exit code %d: %s", after, code, out.String())
		}
		l.nothingLeft()
	}
}

// An agent that is killed makes the run invalid, for that reason, and soon.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	l := newLab(t, single("60s"))
	cmd, out := l.underLoad()
	began := time.Now()
	for _, pid := range l.processes("agent") {
		l.kill(pid, syscall.SIGKILL)
	}
	_ = cmd.Wait() // its code is checked
	if code := cmd.ProcessState.ExitCode(); code != exitInvalid {
		t.Errorf("exit code %d: %s", code, out)
	}
	if !strings.Contains(out.String(), "INVALID") || !strings.Contains(out.String(), "worker w ended in the middle of the run (signal: killed)") {
		t.Errorf("%s", out)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v to end", took)
	}
	again := l.ainur(t.Context(), "simulate")
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "no profile") {
		t.Errorf("%v: %s", err, out)
	}
}

// Whatever a killed run leaves, the next one reclaims.
func TestEverythingKilled(t *testing.T) {
	t.Parallel()
	l := newLab(t, single("1s"))
	cmd, _ := l.underLoad()
	agents := l.processes("agent")
	l.kill(cmd.Process.Pid, syscall.SIGSTOP) // so that it does not see them go
	for _, pid := range agents {
		l.kill(pid, syscall.SIGKILL)
	}
	l.kill(cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait() // killed
	run, err := result.Open("latest", filepath.Join(l.dir, "results"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(l.state(), "runs", run.Manifest.RunID)); err != nil {
		t.Fatalf("nothing to reclaim: %v", err)
	}
	out, err := l.ainur(t.Context(), "run").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "run "+run.Manifest.RunID+" was killed; reclaimed") {
		t.Errorf("%v: %s", err, out)
	}
	if show, err := l.ainur(t.Context(), "show", run.Manifest.RunID).CombinedOutput(); err != nil || !strings.Contains(string(show), "killed") {
		t.Errorf("%v: %s", err, show)
	}
}

// What a killed run left with a daemon that is gone is in nobody's way.
func TestLeftoversOfADaemon(t *testing.T) {
	t.Parallel()
	l := newLab(t, single("1s"))
	dir := filepath.Join(l.state(), "runs", "01AAAA")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	workers := `[{"name": "w", "isolation": "containerd", "container": {"socket": "/nowhere/containerd.sock"}}]`
	if err := os.WriteFile(filepath.Join(dir, "workers.json"), []byte(workers), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := l.ainur(t.Context(), "run").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "/nowhere/containerd.sock") || !strings.Contains(string(out), dir) {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// A run that was killed goes on with what is left of it, and one that is complete does not.
func TestResume(t *testing.T) {
	t.Parallel()
	l := newLab(t, strings.Replace(single("1s"), "repeat  = 1", "repeat  = 3", 1))
	cmd, _ := l.underLoad()
	first := filepath.Join(l.dir, "results", "latest")
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		run, err := result.Open(first, "")
		if err == nil && len(run.Left()) == 2 {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("no repeat has finished: %v", err)
		}
	}
	l.kill(cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait() // killed
	out, err := l.ainur(t.Context(), "run", "--resume", "latest").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "(2 of 3)") || strings.Contains(string(out), "(1 of 3)") {
		t.Errorf("%v: %s", err, out)
	}
	run, err := result.Open(first, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Verify(run.Dir); err != nil || len(run.Left()) != 0 {
		t.Errorf("%d repeats are left, %v", len(run.Left()), err)
	}
	for want, args := range map[string][]string{
		"every repeat of the run has finished": {"run", "--resume", "latest"},
		"no run":                               {"run", "--resume", "01AAAA"},
	} {
		cmd := l.ainur(t.Context(), args...)
		if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), want) {
			t.Errorf("%v: exit code %d: %s", args, cmd.ProcessState.ExitCode(), out)
		}
	}
}

// One run at a time uses a host.
func TestLocked(t *testing.T) {
	t.Parallel()
	l := newLab(t, single("2s"))
	cmd, out := l.underLoad()
	second := l.ainur(t.Context(), "run")
	text, _ := second.CombinedOutput() // its code is checked
	if code := second.ProcessState.ExitCode(); code != exitLocked || !strings.Contains(string(text), fmt.Sprintf("pid %d", cmd.Process.Pid)) {
		t.Errorf("exit code %d: %s", code, text)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the first run was harmed: %v: %s", err, out)
	}
}
