package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/loadgen/measure"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
)

// This machine is one of the hosts: it is set up, works with the others, and is as it was afterwards.
func TestLabWithThisMachine(t *testing.T) {
	s := newHosts(t, labs.Options{Hosts: 2})
	here := s.lab.Subnet.Masked().Addr().As4()
	here[3] = 254 // the address of the machine on the lab's network
	own := filepath.Join(t.TempDir(), "own")
	cluster, err := os.ReadFile(s.lab.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cluster.ainur.hcl", strings.NewReplacer(
		`via = "process"`, fmt.Sprintf("via       = \"process\"\n    prefix    = %q\n    state_dir = %q", own+"/opt", own+"/var"),
		`host "n1" {`, fmt.Sprintf(`host "me" {
    address          = "localhost"
    connection       = "local"
    internal_address = "%d.%d.%d.%d"
  }

  host "n1" {`, here[0], here[1], here[2], here[3])).Replace(string(cluster)))
	_, rest, _ := strings.Cut(clusterTemplate, `worker "w"`)
	s.write("main.ainur.hcl", strings.NewReplacer(
		"{ a = cluster.lab.host.w1, b = cluster.lab.host.w2 }", "{ a = cluster.lab.host.me, b = cluster.lab.host.n2 }",
		"cluster.lab.host.ctl", "cluster.lab.host.n1", "%d", "1").Replace(`worker "w"`+rest))
	s.ainur(0, "up", "--yes")
	if stdout, stderr := s.ainur(0, "up"); !strings.Contains(stdout+stderr, "nothing to change") {
		t.Errorf("up again: %s%s", stdout, stderr)
	}
	if out, err := exec.Command("ainur", "exec", "--file", s.dir, "--limit", "me:n2", "--", "echo", "there").CombinedOutput(); err != nil || !strings.Contains(string(out), "me n2") {
		t.Errorf("exec: %v\n%s", err, out)
	}
	s.ainur(0, "run")
	run := s.newest()
	calls, err := measure.ReadCalls(run.CallsPath(run.Steps[0]))
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]int{}
	for _, c := range calls {
		of[c.Host]++
	}
	if of[`w["a"]`] == 0 || of[`w["b"]`] == 0 || len(of) != 2 {
		t.Errorf("calls of workers: %v", of)
	}
	s.ainur(0, "destroy", "--yes")
	if left, err := os.ReadDir(own); err != nil && !os.IsNotExist(err) || len(left) > 0 {
		t.Errorf("left on this machine: %v, %v", left, err)
	}
	if _, err := os.Stat("/run/lock/ainur-lab"); !os.IsNotExist(err) {
		t.Errorf("the lock is left on this machine: %v", err)
	}
}

// What no version can do with hosts is refused before anybody connects to one.
func TestHostsRefused(t *testing.T) {
	for edit, want := range map[[2]string]string{
		{`{ address = "127.0.0.3" }`, "{\n address = \"h\"\n connection = \"local\"\n internal_address = \"127.0.0.1\"\n }"}: "internal_address",
		{`{ address = "127.0.0.3" }`, "{\n address = \"h\"\n connection = \"netns\"\n }"}:                                    "netns",
		{`cluster "lab" {`, "cluster \"lab\" {\n  install { run_as = \"somebody\" }"}:                                        "run_as",
	} {
		dir := t.TempDir()
		text := strings.Replace(fmt.Sprintf(clusterTemplate, 1), edit[0], edit[1], 1)
		text = strings.NewReplacer("127.0.0.2", "no-such-host.invalid", "127.0.0.4", "no-such-host.invalid").Replace(text)
		if err := os.WriteFile(filepath.Join(dir, "e.ainur.hcl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, verb := range [][]string{{"run"}, {"up", "--yes"}, {"plan"}} {
			cmd := exec.Command("ainur", append(verb, dir)...)
			cmd.Env = append(os.Environ(), "AINUR_DATA_DIR="+t.TempDir(), "AINUR_RESULTS="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "cannot be reached") {
				t.Errorf("%v with %q: %v\n%s", verb, edit[1], err, out)
			}
		}
	}
}
