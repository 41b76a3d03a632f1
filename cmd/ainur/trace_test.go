package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// traces is the folder of the 300 s excerpt of the Azure trace, which is not
// part of the repository. AINUR_TRACES names it where it is not beside the checkout.
func traces(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("AINUR_TRACES")
	if dir == "" {
		dir = "../../../shared/data/traces/iluvatar"
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "paper-repro.trace.csv")); err != nil {
		t.Skipf("needs the trace: %v; set AINUR_TRACES to its folder", err)
	}
	return dir
}

// The Azure excerpt at ten times its speed: every call is a row with a status,
// none is lost, and the phases of every row sum to its latency.
func TestAzureTraceLive(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 30 s; -short was given")
	}
	t.Parallel()
	dir := traces(t)
	l := newLab(t, "")
	example, err := filepath.Abs("../../examples/azure-trace.ainur.hcl")
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.ainur(t.Context(), "run", example, "--var", "trace_dir="+dir, "-o", "json").Output()
	var doc struct{ Data result.Data }
	if jsonErr := json.Unmarshal(out, &doc); jsonErr != nil {
		t.Fatalf("%v: %v: %s", err, jsonErr, out)
	}
	calls := l.calls(doc.Data)
	const want = 11868
	if len(calls) != want {
		t.Fatalf("%d rows, want %d", len(calls), want)
	}
	statuses := map[string]int{}
	for _, c := range calls {
		statuses[c.Status]++
		var sum time.Duration
		for _, p := range measure.Phases(c) {
			if p.Duration < 0 {
				t.Fatalf("call %d: %s lasts %v", c.Seq, p.Name, p.Duration)
			}
			sum += p.Duration
		}
		if diff := sum - time.Duration(c.Latency()); diff.Abs() > 5*time.Microsecond {
			t.Fatalf("call %d: phases sum to %v, latency is %v", c.Seq, sum, time.Duration(c.Latency()))
		}
	}
	if statuses[measure.OK] != want {
		t.Errorf("statuses: %v", statuses)
	}
}

// The same file in virtual time decides the same twice.
func TestAzureTraceSimulated(t *testing.T) {
	t.Parallel()
	dir := traces(t)
	example, err := filepath.Abs("../../examples/azure-trace.ainur.hcl")
	if err != nil {
		t.Fatal(err)
	}
	var sums []string
	for range 2 {
		l := newLab(t, "")
		out, err := l.ainur(t.Context(), "simulate", example, "--var", "trace_dir="+dir, "-o", "json").Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var doc struct{ Data result.Data }
		if err := json.Unmarshal(out, &doc); err != nil {
			t.Fatal(err)
		}
		sums = append(sums, doc.Data.DecisionLogSHA256)
	}
	if sums[0] != sums[1] || len(sums[0]) != 64 {
		t.Errorf("decision logs %v", sums)
	}
}
