package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/testenv"
	hosts "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

const labExperiment = `
worker "w" {
  for_each = cluster.lab.with_role["worker"]
  on       = each.value
  memory   = "1GiB"
}

balancer "lb" {
  on      = cluster.lab.host.n1
  workers = worker.w
  policy  = "round_robin"
}

function "f" {
  builtin = "sleep"
  args    = { ms = 5 }
  memory  = "64MiB"
}

load "l" {
  target    = balancer.lb
  call      = function.f
  duration  = "3s"
  lag_limit = "5s"

  arrival "poisson" {
    rate = "50/s"
  }
}

experiment "e" {
  title    = "Three hosts"
  cluster  = cluster.lab
  workers  = worker.w
  balancer = balancer.lb
  load     = load.l
  repeat   = 2
  seed     = 1
}
`

// farm is an experiment on the hosts of a lab.
type farm struct {
	*testing.T
	*hosts.Lab
	dir string
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	testenv.Require(t, testenv.Root)
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		t.Skip(err)
	}
	l, err := hosts.Up(context.Background(), hosts.Options{Dir: filepath.Join(t.TempDir(), "lab"), Bastion: true})
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{t, l, t.TempDir()}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	cluster, err := os.ReadFile(l.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	cluster = bytes.Replace(cluster, []byte(`cluster "`+filepath.Base(l.Dir)+`"`), []byte(`cluster "lab"`), 1)
	if err := os.WriteFile(filepath.Join(f.dir, "e.ainur.hcl"), append(cluster, labExperiment...), 0o644); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *farm) command(args ...string) *exec.Cmd {
	cmd := exec.Command("ainur", args...)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "AINUR_DATA_DIR="+filepath.Join(f.dir, "data"), "AINUR_STATE_DIR="+filepath.Join(f.dir, "state"))
	return cmd
}

// ainur runs a verb, which goes well.
func (f *farm) ainur(args ...string) string {
	f.Helper()
	out, err := f.command(args...).CombinedOutput()
	if err != nil {
		f.Fatalf("ainur %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// changes are those of each host's files, in which nothing but what any login writes is left out.
func (f *farm) changes() map[string]string {
	f.Helper()
	all := map[string]string{}
	for _, h := range f.Hosts {
		changes, err := f.Changes(h.Name)
		if err != nil {
			f.Fatal(err)
		}
		processes, err := f.Processes(h.Name)
		if err != nil {
			f.Fatal(err)
		}
		all[h.Name] = fmt.Sprint(changes, len(processes))
		if len(processes) > 1 {
			all[h.Name] += fmt.Sprint(processes)
		}
	}
	return all
}

// One file, some hosts, one command each: and back to how they were.
func TestLabRun(t *testing.T) {
	f := newFarm(t)
	before := f.changes()
	f.ainur("up", "--yes")
	if out := f.ainur("up"); !strings.Contains(out, "nothing to change") {
		t.Errorf("up again: %s", out)
	}
	out := f.ainur("run")
	if !strings.Contains(out, "VALID") || !strings.Contains(out, "(2 of 2)") {
		t.Errorf("run: %s", out)
	}
	run, err := result.Open("latest", filepath.Join(f.dir, "results"))
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Verify(run.Dir); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"env/clocks.jsonl", "env/n1.json", "env/n3.json"} {
		if _, err := os.Stat(filepath.Join(run.Dir, name)); err != nil {
			t.Error(err)
		}
	}
	f.ainur("report")
	f.ainur("destroy", "--yes")
	after := f.changes()
	for began := time.Now(); !maps.Equal(after, before) && time.Since(began) < 10*time.Second; after = f.changes() {
		time.Sleep(100 * time.Millisecond) // sshd takes its time to see that a connection was closed
	}
	for host := range after {
		if after[host] != before[host] {
			t.Errorf("host %s was\n%s\nand is\n%s", host, before[host], after[host])
		}
	}
}

// TestLabKilled kills what was started in the middle of it, again and again, and
// gives the same command: it goes on, and does nothing twice.
func TestLabKilled(t *testing.T) {
	f := newFarm(t)
	kill := func(after time.Duration, args ...string) (finished bool) {
		cmd := f.command(args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Signal(syscall.SIGKILL) }) // it may have ended
		err := cmd.Wait()
		if timer.Stop() {
			if err != nil {
				t.Fatalf("ainur %v: %v\n%s", args, err, out.String())
			}
			return true
		}
		return false
	}
	for after := 100 * time.Millisecond; !kill(after, "up", "--yes"); after += 150 * time.Millisecond {
	}
	if out := f.ainur("up"); !strings.Contains(out, "nothing to change") {
		t.Errorf("up again: %s", out)
	}
	for after := 200 * time.Millisecond; !kill(after, "run"); after += 700 * time.Millisecond {
	}
	runs, err := result.List(filepath.Join(f.dir, "results"))
	if err != nil {
		t.Fatal(err)
	}
	sealed := 0
	for _, run := range runs {
		if run.Manifest.State != result.Sealed {
			continue // it was killed before anything of it was on the hosts, or has been gone on with
		}
		sealed++
		entries, err := run.Ledger()
		if err != nil {
			t.Fatal(err)
		}
		began := map[int]int{}
		for _, e := range entries {
			if e.Event == "repeat" && e.State == result.Running {
				began[e.Repeat]++
			}
		}
		if began[1] != 1 || began[2] != 1 {
			t.Errorf("run %s: the repeats were begun %v times", run.Manifest.RunID, began)
		}
	}
	if sealed != 1 {
		t.Errorf("%d runs of %d are sealed, want 1", sealed, len(runs))
	}
	for after := 50 * time.Millisecond; !kill(after, "destroy", "--yes"); after += 80 * time.Millisecond {
	}
	for _, h := range f.Hosts {
		changes, err := f.Changes(h.Name)
		if err != nil || len(changes) > 0 {
			t.Errorf("left on %s: %v, %v", h.Name, changes, err)
		}
	}
}
