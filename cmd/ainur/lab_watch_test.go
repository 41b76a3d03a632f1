package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/loadgen/client"
	"github.com/ainur-faas/ainur/loadgen/measure"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
)

// A run whose load comes from two hosts is watched from elsewhere while it goes on.
func TestLabWatch(t *testing.T) {
	s := threeNodes(t, labs.Options{Bastion: true}, 8*time.Second)
	s.edit(`warmup    = "2s"`, "from      = [cluster.lab.host.n1, cluster.lab.host.n2]", `repeat   = 5`, `repeat   = 1`)
	s.ainur(0, "up", "--yes")
	run := s.command("run")
	var said, logs bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	status := func() (is runStatus) {
		out, err := s.command("status", "-o", "json").Output()
		var document struct {
			Data struct{ Runs []runStatus }
		}
		if err == nil {
			err = json.Unmarshal(out, &document)
		}
		if err != nil {
			t.Fatalf("status: %v\n%s", err, out)
		}
		if len(document.Data.Runs) > 0 {
			is = document.Data.Runs[0]
		}
		return is
	}
	var load client.Progress
	for began := time.Now(); load.Offered == 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 60*time.Second {
			t.Fatalf("nothing is known of the load\n%s", said.String())
		}
		is := status()
		if is.Standing == nil || is.Load == nil {
			continue
		}
		if err := json.Unmarshal(is.Load, &load); err != nil {
			t.Fatal(err)
		}
		if is.Step != 1 || is.Steps != 1 || is.Left <= 0 || is.Host != "n1" && is.Host != "n2" && is.Host != "n3" {
			t.Errorf("status says %+v", is)
		}
	}
	if out, err := s.command("lock").CombinedOutput(); err == nil || !strings.Contains(string(out), "heard of") {
		t.Errorf("lock: %v, want that somebody holds it and was heard of\n%s", err, out)
	}
	follow := exec.Command("ainur", append([]string{"logs", "-f"}, s.flags...)...)
	follow.Dir = s.dir
	follow.Stdout, follow.Stderr = &logs, &logs
	if err := follow.Run(); err != nil {
		t.Errorf("logs -f: %v", err)
	}
	if err := run.Wait(); err != nil {
		t.Fatalf("run: %v\n%s", err, said.String())
	}
	if strings.Count(logs.String(), "member joined") != 2 || !strings.Contains(logs.String(), "n1       balancer") {
		t.Errorf("logs -f said, want two members joined:\n%s", logs.String())
	}
	done := s.newest()
	calls, err := measure.ReadCalls(done.CallsPath(done.Steps[0]))
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]int{}
	for i, c := range calls {
		of[c.Generator]++
		if c.Seq != int64(i) {
			t.Fatalf("row %d has number %d of the schedule", i, c.Seq)
		}
	}
	if len(of) != 2 || of["n1"]-of["n2"] > 1 || of["n1"]-of["n2"] < 0 {
		t.Errorf("calls of generators: %v", of)
	}
	out, err := client.ReadOutcome(filepath.Dir(done.CallsPath(done.Steps[0])))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range out.Generators {
		if g.Late > 0 || g.Within > 10*time.Millisecond || g.Drift.Abs() > 10*time.Millisecond { // their clock is one
			t.Errorf("generator %+v", g)
		}
	}
	s.outcomes("destroy", "--yes")
	s.unchanged()
}
