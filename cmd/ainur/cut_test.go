package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/loadgen/measure"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
)

// TestCut cuts a host off in the middle of a phase under load: what was measured is whole.
// The bastion is the only way from this machine to the others, whose absence fails calls.
func TestCut(t *testing.T) {
	for host, want := range map[string]int{"bastion": 0, "n1": exitAssertions, "n2": exitAssertions} {
		t.Run(host, func(t *testing.T) {
			if os.Getenv("AINUR_TEST_LOAD") == "" && host == "n1" {
				t.Skip("takes long: set AINUR_TEST_LOAD=60s")
			}
			load := long(t, 5*time.Second)
			s := threeNodes(t, labs.Options{Bastion: true}, load)
			s.edit(`arrival "poisson"`, `arrival "constant"`, `warmup    = "2s"`, "")
			s.ainur(0, "up", "--yes")
			const patient, hasty = `user   = "root"`, "user   = \"root\"\n    keepalive = \"500ms\"\n    keepalive_max = 2"
			s.edit(patient, hasty) // for the run alone: on a busy machine a host may be silent for so long
			run := s.command("run", "--repeat", "1", "--no-up")
			var said bytes.Buffer
			run.Stdout, run.Stderr = &said, &said
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			s.loaded(&said)
			time.Sleep(load / 10)
			s.link(host, labs.Fault{Down: true})
			time.Sleep(min(load/2, 10*time.Second))
			s.link(host, labs.Fault{})
			if err := run.Wait(); run.ProcessState.ExitCode() != want {
				t.Errorf("run: %v, want exit status %d\n%s", err, want, &said)
			}
			is := s.newest()
			calls, err := measure.ReadCalls(is.CallsPath(is.Steps[0]))
			if err != nil {
				t.Fatal(err)
			}
			if want := int(50 * load.Seconds()); len(calls) != want {
				t.Errorf("%d calls, want %d as is the schedule", len(calls), want)
			}
			s.edit(hasty, patient)
			s.outcomes("destroy", "--yes")
			s.unchanged()
		})
	}
}

// link gives the link of a host a fault instead of what it had.
func (s *onHosts) link(host string, f labs.Fault) {
	s.Helper()
	if err := s.lab.Link(host, f); err != nil {
		s.Fatal(err)
	}
}
