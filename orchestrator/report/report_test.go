package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/result/resulttest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// varying is what differs between two runs of a test.
var varying = regexp.MustCompile(`(?m)[0-9.]+ [KM]iB, seal sha256 \w+…|\b[0-9a-f]{64}\b|^  (ledger\.jsonl|MANIFEST\.sha256) .*$|[0-9.]+ [KM]iB, not sealed`)

// golden compares what write writes with a file in testdata.
func golden(t *testing.T, name string, dir string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	got := varying.ReplaceAllString(strings.ReplaceAll(b.String(), dir, "results"), "…")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update writes it:\n%s", name, diff)
	}
}

// sweep is two points twice, with an assertion of each kind.
var sweep = resulttest.Options{Rates: []float64{50, 100}, Repeats: 2, Functions: 2, Length: 4 * time.Second, Verdict: result.Verdict{
	Assertions: []spec.Assertion{
		{Name: "no_errors", Severity: "error", Passed: true, Source: "load.steady.failed == 0"},
		{Name: "fast <enough>", Severity: "error", Point: "5ca1ab1e", Repeat: 2, Message: "p99 is over 10 ms", Source: `load.steady.latency.p99 < "10ms"`, Values: "load.steady.latency.p99 = 38.3ms"},
		{Name: "few_cold", Severity: "warning", Message: "cold | starts", Source: "load.steady.cold < 1", Values: "load.steady.cold = 3"},
	},
	Outputs: []spec.Output{{Name: "knee", Description: "calls per second", Value: []byte("100")}},
}}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	run := resulttest.Complete(t, dir, sweep)
	for name, write := range map[string]func(io.Writer, *result.Run) error{
		"summary.txt": Summary, "tables.txt": Tables, "final.txt": Final, "show.txt": Show, "report.md": Markdown, "report.csv": CSV, "report.html": HTML,
		"runs.txt": func(w io.Writer, r *result.Run) error { return Runs(w, []*result.Run{r}) },
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, dir, func(w io.Writer) error { return write(w, run) })
		})
	}
}

func TestFinalLines(t *testing.T) {
	one := resulttest.Options{Rates: []float64{50}, Repeats: 1, Functions: 1, Length: time.Second}
	for name, verdict := range map[string]result.Verdict{
		"valid":       {},
		"invalid":     {Reasons: []string{"load steady: lag p99 was 12 ms, over its limit of 1 ms", "worker w1 restarted"}},
		"interrupted": {Reasons: []string{"interrupted after 3 of 10 repeats"}, Interrupted: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, o := t.TempDir(), one
			o.Verdict = verdict
			run := resulttest.Complete(t, dir, o)
			golden(t, "final_"+name+".txt", dir, func(w io.Writer) error { return Final(w, run) })
		})
	}
	t.Run("killed", func(t *testing.T) {
		dir := t.TempDir()
		run := resulttest.Create(t, dir, one)
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
		golden(t, "final_killed.txt", dir, func(w io.Writer) error {
			return errors.Join(Final(w, run), Runs(w, []*result.Run{run}), Summary(w, run))
		})
	})
}

// A page is self-contained and its size does not grow with the number of calls.
func TestPageOfManyCalls(t *testing.T) {
	run := resulttest.Complete(t, t.TempDir(), resulttest.Options{Rates: []float64{210}, Repeats: 1, Functions: 3, Length: 200 * time.Second})
	var b bytes.Buffer
	if err := HTML(&b, run); err != nil {
		t.Fatal(err)
	}
	if offered := run.Repeats[0].Metrics["steady"].Offered; offered < 40_000 {
		t.Fatalf("the run has only %d calls", offered)
	}
	page := b.String()
	if n := strings.Count(page, "h0"); n > 4000 {
		t.Errorf("the timeline has %d dots", n)
	}
	if b.Len() > 300_000 {
		t.Errorf("the page has %d bytes", b.Len())
	}
	if found := regexp.MustCompile(`<script|https?://|@import|url\(|<link|NaN|[-+]Inf`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
}

// What the user wrote is text, also in figures.
func TestPageIsWellFormed(t *testing.T) {
	run := resulttest.Complete(t, t.TempDir(), sweep)
	hostile := `</svg><script>alert("1")</script>&`
	run.Manifest.Title = hostile
	for i := range run.Experiment.Points {
		p := &run.Experiment.Points[i]
		p.Loads[0].Phases[0].Name = hostile
	}
	var b bytes.Buffer
	o, err := observe(run, &run.Experiment.Points[0])
	if err != nil {
		t.Fatal(err)
	}
	o.functions[0].name = hostile
	for _, f := range pointsFigures(run, o) {
		d := xml.NewDecoder(strings.NewReader(string(f.Drawing)))
		for {
			if token, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", f.Title, err)
			} else if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
				t.Errorf("%s has a script", f.Title)
			}
		}
	}
	if err := HTML(&b, run); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<script") {
		t.Error("the page has a script")
	}
}

func TestPageWithoutCalls(t *testing.T) {
	run := resulttest.Create(t, t.TempDir(), sweep)
	var b bytes.Buffer
	if err := HTML(&b, run); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"INVALID", "the run has not finished", "No repeat has recorded calls."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestTableOnTerminal(t *testing.T) {
	table := Table{
		Columns: []Column{{Name: "function"}, {Name: "p50", Unit: "ms", Number: true}, {Name: "reason"}},
		Rows:    [][]string{{"hello", "1.25", "a reason of many words that goes on"}, {"thumbnail", "312", ""}},
	}
	golden(t, "terminal.txt", "-", func(w io.Writer) error { return table.write(w, 44, true) })
}
