package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/client"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator"
)

// newGenerators is a site on whose hosts all load is generated.
func newGenerators(t *testing.T, repeats int) *site {
	t.Helper()
	text := strings.NewReplacer(`call      = function.f`, "call      = function.f\n  from      = cluster.lab.hosts", `arrival "constant"`, `arrival "poisson"`).Replace(clusterTemplate)
	return newSiteOf(t, fmt.Sprintf(text, repeats))
}

// A load from three hosts is, arrival for arrival, that from one.
func TestClusterGenerators(t *testing.T) {
	s := newGenerators(t, 2)
	var last client.Progress
	s.options.Progress = func(p orchestrator.Progress) {
		if p.Stage == orchestrator.Loading {
			if err := json.Unmarshal(p.Load, &last); err != nil {
				t.Error(err)
			}
		}
	}
	run, diags, err := orchestrator.Remote(t.Context(), s.exp, s.cluster, oci.Open(t.TempDir()), s.options)
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	s.finished(run)
	load := s.exp.Points[0].Loads[0]
	for _, step := range run.Steps {
		schedule, err := arrival.New(load, load.Phases[0], step.Seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []arrival.Arrival
		for a, ok := schedule.Next(); ok; a, ok = schedule.Next() {
			want = append(want, a)
		}
		calls, err := measure.ReadCalls(run.CallsPath(step))
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]int{}
		for i, c := range calls {
			of[c.Generator]++
			got = append(got, arrival.Arrival{At: time.Duration(c.Intended), Function: c.Function})
			if c.Seq != int64(i) {
				t.Errorf("row %d has number %d of the schedule", i, c.Seq)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the schedule, and what was sent:\n%s", diff)
		}
		out, err := client.ReadOutcome(filepath.Dir(run.CallsPath(step)))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range out.Generators {
			if g.Calls == 0 || g.Calls != of[g.Host] || g.Within == 0 || g.Drift.Abs() > time.Second {
				t.Errorf("generator %+v, and %d rows", g, of[g.Host])
			}
			if g.Late > 0 {
				t.Errorf("generator %s was late by %v", g.Host, g.Late)
			}
		}
		if len(of) != 3 || len(out.Generators) != 3 {
			t.Errorf("rows of %v, generators %+v", of, out.Generators)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(run.CallsPath(step)), "generators")); !os.IsNotExist(err) {
			t.Errorf("what each measured is left beside the whole: %v", err)
		}
	}
	if last.Offered < 50 { // of 100; those of one generator are a third
		t.Errorf("the progress says that %d calls were offered", last.Offered)
	}
}

// A generator that is killed fails the repeat, and the others end.
func TestClusterGeneratorKilled(t *testing.T) {
	s := newGenerators(t, 1)
	under := s.loading(1)
	go func() {
		<-under
		description, err := s.client("w2").Describe(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		for _, d := range description.Runs[0].Daemons {
			if strings.Contains(d.Name, ".load-") {
				if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	run, _, err := orchestrator.Remote(t.Context(), s.exp, s.cluster, oci.Open(t.TempDir()), s.options)
	if err != nil {
		t.Fatal(err)
	}
	if valid, reasons := run.Verdict(); valid || !strings.Contains(strings.Join(reasons, " "), "load l on host w2") {
		t.Errorf("valid %v: %v", valid, reasons)
	}
	for host := range s.sockets {
		description, err := s.client(host).Describe(t.Context())
		if err != nil || len(description.Runs) > 0 {
			t.Errorf("left on %s: %+v, %v", host, description.Runs, err)
		}
	}
}
