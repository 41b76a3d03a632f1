package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/loadgen/measure"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// long is how long tests put hosts under load, and cut them off: a few seconds, or
// what AINUR_TEST_LOAD says.
func long(t *testing.T, few time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("AINUR_TEST_LOAD")
	if text == "" {
		return few
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// threeNodes has the example of three hosts in a lab of them.
func threeNodes(t *testing.T, o labs.Options, load time.Duration) *onHosts {
	t.Helper()
	s := newHosts(t, o)
	text, err := os.ReadFile("../../examples/three-node.ainur.hcl")
	if err != nil {
		t.Fatal(err)
	}
	s.write("main.ainur.hcl", string(text))
	s.edit(`lag_limit = "100ms"`, `on_saturation = "record"`) // other tests want the processors too
	if err := os.Remove(filepath.Join(s.dir, "cluster.ainur.hcl")); err != nil {
		t.Fatal(err)
	}
	s.flags = []string{"--var", "ssh_config=" + s.lab.Config, "--var", "duration=" + load.String()}
	return s
}

// newest is the last run, which is whole and valid.
func (s *onHosts) newest() *result.Run {
	s.Helper()
	run, err := result.Open("latest", os.Getenv("AINUR_RESULTS"))
	if err != nil {
		s.Fatal(err)
	}
	if err := result.Verify(run.Dir); err != nil {
		s.Error(err)
	}
	if valid, reasons := run.Verdict(); !valid {
		s.Errorf("the run is not valid: %v", reasons)
	}
	return run
}

// TestThreeNodes goes from a list of hosts to results, and back to how the hosts were:
// with containers, behind a bastion, and whoever started the run gone for a while.
func TestThreeNodes(t *testing.T) {
	testenv.Require(t, testenv.Containerd, testenv.Crun)
	s := threeNodes(t, labs.Options{Bastion: true, Containerd: true}, long(t, 3*time.Second))
	s.flags = append(s.flags, "--var", "isolation=containerd")
	s.ainur(exitChanges, "plan", "--detailed-exitcode")
	s.unchanged()
	s.outcomes("up", "--yes")
	is := map[string]state{}
	for _, h := range s.lab.Hosts {
		is[h.Name] = s.state(h)
	}
	s.ainur(0, "plan", "--detailed-exitcode")
	for _, o := range s.outcomes("up") {
		if len(o.Changes) > 0 {
			t.Errorf("again on %s: %+v", o.Host, o.Changes)
		}
	}
	for _, h := range s.lab.Hosts {
		if diff := cmp.Diff(is[h.Name], s.state(h)); diff != "" { // no process is another, nor any file
			t.Errorf("up again on %s (-was +is):\n%s", h.Name, diff)
		}
	}
	s.left()
	if out, err := exec.Command("ainur", append([]string{"collect", "--file", s.dir}, s.flags...)...).CombinedOutput(); err != nil {
		t.Errorf("collect: %v\n%s", err, out)
	}
	s.ainur(0, "run", "--repeat", "1")
	run := s.newest()
	calls, err := measure.ReadCalls(run.CallsPath(run.Steps[0]))
	if err != nil || len(calls) < 50 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
	for _, name := range []string{"env/clocks.jsonl", "env/n1.json", "env/n3.json"} {
		if _, err := os.Stat(filepath.Join(run.Dir, name)); err != nil {
			t.Error(err)
		}
	}
	if out, err := exec.Command("ainur", "report", run.Manifest.RunID).CombinedOutput(); err != nil {
		t.Errorf("report: %v\n%s", err, out)
	}
	s.outcomes("destroy", "--yes")
	s.unchanged()
}

// left starts a run, and is gone when there is load.
func (s *onHosts) left() {
	s.Helper()
	run := s.command("run", "--repeat", "1")
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		s.Fatal(err)
	}
	s.loaded(&said)
	if err := run.Process.Kill(); err != nil {
		s.Error(err)
	}
	_ = run.Wait() // it was killed
}

// loaded waits until the first host generates load.
func (s *onHosts) loaded(said *bytes.Buffer) {
	s.Helper()
	for began := time.Now(); !slices.Contains(slices.Collect(maps.Values(s.running(s.lab.Hosts[0]))), "load"); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 60*time.Second {
			s.Fatalf("there is no load\n%s", said)
		}
	}
}
