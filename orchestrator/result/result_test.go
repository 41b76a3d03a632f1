package result_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/result/resulttest"
)

var update = flag.Bool("update", false, "write the golden files")

// small is two points twice.
var small = resulttest.Options{Rates: []float64{20, 40}, Repeats: 2, Functions: 2, Length: time.Second}

func TestCreateWritesWhatIsKnown(t *testing.T) {
	root := t.TempDir()
	run := resulttest.Create(t, root, small)
	seeds := []any{}
	for _, s := range run.Steps {
		seeds = append(seeds, s.Seed)
	}
	for path, want := range map[string]string{
		"spec/knee.ainur.hcl":          "experiment \"knee\" {}\n",
		"spec/vars/site.ainurvars.hcl": "cores = 4\n",
		"spec/git.diff":                "diff --git a b\n",
		"matrix.csv": fmt.Sprintf("step,point,repeat,seed,folder,rate\n"+
			"1,5ca1ab1e,1,%d,points/5ca1ab1e-20_s/rep01,20/s\n2,5ca1ab1f,1,%d,points/5ca1ab1f-40_s/rep01,40/s\n"+
			"3,5ca1ab1e,2,%d,points/5ca1ab1e-20_s/rep02,20/s\n4,5ca1ab1f,2,%d,points/5ca1ab1f-40_s/rep02,40/s\n", seeds...),
	} {
		if diff := cmp.Diff(want, read(t, filepath.Join(run.Dir, path))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for link, want := range map[string]string{"latest": filepath.Join("knee", resulttest.RunID), "knee/latest": resulttest.RunID} {
		if got, err := os.Readlink(filepath.Join(root, link)); err != nil || got != want {
			t.Errorf("%s points to %q (%v), want %q", link, got, err, want)
		}
	}
	var m result.Manifest
	if err := json.Unmarshal([]byte(read(t, filepath.Join(run.Dir, "manifest.json"))), &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run.Manifest.Variables, m.Variables); diff != "" || m.State != result.Running || m.Hosts["here"].Kernel != "6.1.0" {
		t.Errorf("manifest %+v\n%s", m, diff)
	}
	if s := read(t, filepath.Join(run.Dir, "manifest.json")); strings.Contains(s, `"command": null`) || strings.Contains(s, `"assertions": null`) {
		t.Errorf("an array of the manifest is null:\n%s", s)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	root := t.TempDir()
	resulttest.Create(t, root, small)
	exp := resulttest.Experiment(small)
	if _, err := result.Create(root, exp, result.Manifest{RunID: resulttest.RunID}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second run with the id: %v, want that it exists", err)
	}
	next, err := result.Create(root, exp, result.Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if got, err := result.Open("latest", root); err != nil || got.Manifest.RunID != next.Manifest.RunID || len(next.Manifest.RunID) != 26 {
		t.Errorf("latest is %+v (%v), want %s", got, err, next.Manifest.RunID)
	}
}

// What Open reads is what was written.
func TestRoundTrip(t *testing.T) {
	root := t.TempDir()
	o := small
	o.Verdict = result.Verdict{Reasons: []string{"lag"}, Outputs: []spec.Output{{Name: "knee", Value: []byte(`{"rate":40}`)}}, DecisionLogSHA256: "ab"}
	run := resulttest.Complete(t, root, o)
	got, err := result.Open(run.Dir, root)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal([]any{run.Manifest, run.Steps, run.Repeats, run.Repeats[3].Metrics, run.SealSHA256, result.Document(run)})
	if err != nil {
		t.Fatal(err)
	}
	have, err := json.Marshal([]any{got.Manifest, got.Steps, got.Repeats, got.Repeats[3].Metrics, got.SealSHA256, result.Document(got)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), strings.ReplaceAll(string(have), got.Dir, run.Dir)); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
	if err := got.Log(result.Entry{Event: "late"}); err == nil {
		t.Error("a run that was opened can be written")
	}
	if err := run.Amend(func(*result.Manifest) {}); err == nil {
		t.Error("a sealed run can be written")
	}
}

func TestKilledRunIsReadable(t *testing.T) {
	root := t.TempDir()
	run := resulttest.Create(t, root, small)
	for i, state := range []result.State{result.Finished, result.Running} {
		if err := run.SetRepeat(result.Repeat{Step: run.Steps[i], State: state, Started: resulttest.Started}); err != nil {
			t.Fatal(err)
		}
	}
	alive, err := result.Open("latest", root)
	if err != nil {
		t.Fatal(err)
	}
	if _, reasons := alive.Verdict(); !alive.Active || reasons[0] != "the run has not finished" {
		t.Errorf("while it runs: active %t, %q", alive.Active, reasons)
	}
	if err := run.Close(); err != nil { // as a kill does
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(run.Dir, "ledger.jsonl"), `{"t":"2026-01`)

	killed, err := result.Open("latest", root)
	if err != nil {
		t.Fatal(err)
	}
	valid, reasons := killed.Verdict()
	if want := "the run was killed: it never finished, 1 of 4 repeats did"; killed.Active || valid || len(reasons) != 1 || reasons[0] != want {
		t.Errorf("active %t, valid %t, reasons %q, want %q", killed.Active, valid, reasons, want)
	}
	if len(killed.Repeats) != 2 {
		t.Errorf("repeats %+v, want the two begun", killed.Repeats)
	}
	entries, err := killed.Ledger()
	if err != nil || len(entries) != 3 || entries[2].Point != run.Steps[1].Point || entries[2].State != result.Running {
		t.Errorf("ledger %+v (%v), want three entries", entries, err)
	}
	if err := result.Verify(killed.Dir); !errors.Is(err, result.ErrNotSealed) {
		t.Errorf("verify: %v, want ErrNotSealed", err)
	}
	if err := run.Seal(); err == nil || !strings.Contains(err.Error(), "the run is running, not finished") {
		t.Errorf("seal: %v", err)
	}
}

func TestSeal(t *testing.T) {
	run := resulttest.Complete(t, t.TempDir(), small)
	if err := result.Verify(run.Dir); err != nil {
		t.Fatalf("a fresh seal: %v", err)
	}
	if err := filepath.WalkDir(run.Dir, func(path string, d fs.DirEntry, err error) error {
		if info, e := d.Info(); e != nil || !d.IsDir() && info.Mode().Perm() != 0o444 {
			t.Errorf("%s is %v (%v), want read-only", path, info.Mode(), e)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if tool, err := exec.LookPath("sha256sum"); err == nil {
		cmd := exec.CommandContext(t.Context(), tool, "--check", "--quiet", "MANIFEST.sha256")
		cmd.Dir = run.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sha256sum: %v\n%s", err, out)
		}
	}

	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(run.Dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("annotations.json", "{}")
	write("report/report.html", "<p>")
	if err := result.Verify(run.Dir); err != nil {
		t.Errorf("with notes and a report: %v", err)
	}
	write("plan.json", "{}")
	write("env/other.json", "{}")
	if err := os.Remove(filepath.Join(run.Dir, "matrix.csv")); err != nil {
		t.Fatal(err)
	}
	var broken *result.SealError
	if err := result.Verify(run.Dir); !errors.As(err, &broken) {
		t.Fatalf("verify: %v, want a SealError", err)
	}
	want := &result.SealError{Dir: run.Dir, Changed: []string{"plan.json"}, Missing: []string{"matrix.csv"}, Added: []string{"env/other.json"}}
	if diff := cmp.Diff(want, broken); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text := "the seal of " + run.Dir + " is broken: changed: plan.json; missing: matrix.csv; added: env/other.json"; broken.Error() != text {
		t.Errorf("got %q, want %q", broken, text)
	}
}

func TestSealRefusesWhatItCannotHash(t *testing.T) {
	run := resulttest.Create(t, t.TempDir(), small)
	dir, err := run.RepeatDir(run.Experiment.Points[0], 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "logs", "pipe"), 0o600), run.Finish(result.Verdict{})); err != nil {
		t.Fatal(err)
	}
	if err := run.Seal(); err == nil || !strings.Contains(err.Error(), "logs/pipe") {
		t.Errorf("got %v, want an error that names the pipe", err)
	}
}

func TestOpen(t *testing.T) {
	root := t.TempDir()
	exp := resulttest.Experiment(small)
	for _, id := range []string{"01AAAAAAAAAAAAAAAAAAAAAAAA", "01AAABBBBBBBBBBBBBBBBBBBBB", "01CCCCCCCCCCCCCCCCCCCCCCCC"} {
		run, err := result.Create(root, exp, result.Manifest{RunID: id})
		if err != nil {
			t.Fatal(err)
		}
		defer run.Close()
	}
	for name, tt := range map[string]struct{ ref, want, err string }{
		"id":                {ref: "01AAAAAAAAAAAAAAAAAAAAAAAA", want: "01AAAAAAAAAAAAAAAAAAAAAAAA"},
		"prefix":            {ref: "01C", want: "01CCCCCCCCCCCCCCCCCCCCCCCC"},
		"lower case":        {ref: "01aaab", want: "01AAABBBBBBBBBBBBBBBBBBBBB"},
		"latest":            {ref: "latest", want: "01CCCCCCCCCCCCCCCCCCCCCCCC"},
		"latest of one":     {ref: "knee/latest", want: "01CCCCCCCCCCCCCCCCCCCCCCCC"},
		"path":              {ref: filepath.Join(root, "knee", "01AAABBBBBBBBBBBBBBBBBBBBB"), want: "01AAABBBBBBBBBBBBBBBBBBBBB"},
		"ambiguous":         {ref: "01AAA", err: `"01AAA" names 2 runs, give more of the id: 01AAABBBBBBBBBBBBBBBBBBBBB, 01AAAAAAAAAAAAAAAAAAAAAAAA`},
		"unknown":           {ref: "nope", err: `no run "nope" in ROOT; the newest are 01CCCCCCCCCCCCCCCCCCCCCCCC, 01AAABBBBBBBBBBBBBBBBBBBBB, 01AAAAAAAAAAAAAAAAAAAAAAAA`},
		"empty":             {ref: "", err: `no run "" in ROOT; the newest are 01CCCCCCCCCCCCCCCCCCCCCCCC, 01AAABBBBBBBBBBBBBBBBBBBBB, 01AAAAAAAAAAAAAAAAAAAAAAAA`},
		"experiment folder": {ref: "knee", err: `no run "knee" in ROOT; the newest are 01CCCCCCCCCCCCCCCCCCCCCCCC, 01AAABBBBBBBBBBBBBBBBBBBBB, 01AAAAAAAAAAAAAAAAAAAAAAAA`},
	} {
		t.Run(name, func(t *testing.T) {
			run, err := result.Open(tt.ref, root)
			switch {
			case tt.err != "":
				if err == nil || strings.ReplaceAll(err.Error(), root, "ROOT") != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
			case err != nil:
				t.Error(err)
			case run.Manifest.RunID != tt.want || filepath.Base(run.Dir) != tt.want:
				t.Errorf("got %s in %s, want %s", run.Manifest.RunID, run.Dir, tt.want)
			}
		})
	}
	if _, err := result.Open("latest", filepath.Join(root, "none")); err == nil || !strings.HasSuffix(err.Error(), "none holds no runs") {
		t.Errorf("in a root that is not there: %v", err)
	}
}

// A damaged run is told and hides no other.
func TestList(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a [b] *")
	run := resulttest.Complete(t, root, small)
	exp := resulttest.Experiment(small)
	bad, err := result.Create(root, exp, result.Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if err := os.WriteFile(filepath.Join(bad.Dir, "plan.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	runs, err := result.List(root)
	if len(runs) != 1 || runs[0].Manifest.RunID != run.Manifest.RunID {
		t.Errorf("runs %v, want the one that is whole", runs)
	}
	if err == nil || !strings.Contains(err.Error(), filepath.Join(bad.Dir, "plan.json")) {
		t.Errorf("error %v, want the path of the damaged file", err)
	}
	if runs, err := result.List(filepath.Join(root, "none")); len(runs) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", runs, err)
	}
}

func TestDocument(t *testing.T) {
	complete := small
	complete.Verdict = result.Verdict{
		Reasons: []string{"load steady: lag p99 was 2 ms, over its limit of 1 ms"},
		Assertions: []spec.Assertion{
			{Name: "a", Severity: "error", Passed: true}, {Name: "b", Severity: "error"}, {Name: "c", Severity: "warning"},
		},
		Outputs: []spec.Output{{Name: "knee", Value: []byte("40")}}, DecisionLogSHA256: strings.Repeat("ef", 32),
	}
	for name, make := range map[string]func(root string) *result.Run{
		"complete": func(root string) *result.Run { return resulttest.Complete(t, root, complete) },
		"empty": func(root string) *result.Run { // two repeats: nothing measured, and nothing completed
			run := resulttest.Create(t, root, small)
			failed := result.Repeat{Step: run.Steps[0], State: result.Failed, Reason: "the agent did not start"}
			nothing := result.Repeat{Step: run.Steps[2], State: result.Finished, Metrics: spec.RepeatMetrics{
				"steady": {Group: spec.Group{Metrics: spec.Metrics{Offered: 3, Failed: 3, Lag: spec.Quantiles{Count: 3, P50: 1, P99: 2, Max: 2}}}},
			}}
			if err := errors.Join(run.SetRepeat(nothing), run.SetRepeat(failed), run.Close()); err != nil {
				t.Fatal(err)
			}
			return run
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			got, err := json.MarshalIndent(result.Document(make(root)), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(got), root, "results") + "\n"
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(read(t, path), text); diff != "" {
				t.Errorf("(-want +got), -update writes it:\n%s", diff)
			}
		})
	}
}

// The semantic hash changes with what is executed and with nothing else.
func TestHashes(t *testing.T) {
	hashes := func(change func(*spec.Experiment)) (semantic, text string) {
		exp := resulttest.Experiment(small)
		exp.Points[0].Functions[0].Source, exp.Points[0].Functions[0].SourceSHA256 = "/a/hello", "abcd"
		exp.Points[0].Loads[0].Phases[0].Arrival.Trace = &spec.Trace{Name: "azure", Path: "/a/trace.csv", SHA256: "ef"}
		change(exp)
		run, err := result.Create(t.TempDir(), exp, result.Manifest{})
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
		return run.Manifest.SemanticSHA256, run.Manifest.TextSHA256
	}
	semantic, text := hashes(func(*spec.Experiment) {})
	for name, tt := range map[string]struct {
		change         func(*spec.Experiment)
		semantic, text bool // whether it changes
	}{
		"nothing":      {change: func(*spec.Experiment) {}},
		"title":        {change: func(e *spec.Experiment) { e.Title = "x" }},
		"comment":      {change: func(e *spec.Experiment) { e.Sources[0].Bytes = []byte("# hi\n") }, text: true},
		"place":        {change: func(e *spec.Experiment) { e.Points[0].Functions[0].Source = "/b/hello" }},
		"trace place":  {change: func(e *spec.Experiment) { e.Points[0].Loads[0].Phases[0].Arrival.Trace.Path = "/b" }},
		"code":         {change: func(e *spec.Experiment) { e.Points[0].Functions[0].SourceSHA256 = "ffff" }, semantic: true},
		"trace":        {change: func(e *spec.Experiment) { e.Points[0].Loads[0].Phases[0].Arrival.Trace.SHA256 = "00" }, semantic: true},
		"seed":         {change: func(e *spec.Experiment) { e.Seed++ }, semantic: true},
		"rate":         {change: func(e *spec.Experiment) { e.Points[1].Loads[0].Phases[1].Arrival.RatePerSecond++ }, semantic: true},
		"another file": {change: func(e *spec.Experiment) { e.Sources = e.Sources[:1] }, text: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, x := hashes(tt.change)
			if (s != semantic) != tt.semantic || (x != text) != tt.text {
				t.Errorf("semantic changed %t, want %t; text changed %t, want %t", s != semantic, tt.semantic, x != text, tt.text)
			}
		})
	}
}

func TestReadGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: ", err)
	}
	dir := t.TempDir()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	if g := result.ReadGit(t.Context(), dir); g.Commit != "" || !strings.Contains(g.Problem, "not a git repository") {
		t.Errorf("outside a repository: %+v", g)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	file := filepath.Join(dir, "lab.ainur.hcl")
	git("init", "--quiet")
	appendTo(t, file, "a\n")
	git("add", ".")
	git("commit", "--quiet", "--message", "one")
	if g := result.ReadGit(t.Context(), dir); len(g.Commit) != 40 || len(g.Dirty) != 0 || len(g.Diff) != 0 || g.Problem != "" {
		t.Errorf("clean: %+v", g)
	}
	appendTo(t, file, "b\n")
	appendTo(t, filepath.Join(dir, "new"), "n\n")
	g := result.ReadGit(t.Context(), dir)
	if diff := cmp.Diff([]string{" M lab.ainur.hcl", "?? new"}, g.Dirty); diff != "" || !strings.Contains(string(g.Diff), "\n+b\n") {
		t.Errorf("dirty: %s\n%s", diff, g.Diff)
	}
}

func TestRunThatStoppedEarlyIsNotValid(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict result.Verdict
		want    []string
	}{
		"no":              {result.Verdict{}, []string{}},
		"interrupted":     {result.Verdict{Interrupted: true}, []string{"the run was interrupted"}},
		"error":           {result.Verdict{Error: "w1: disk full"}, []string{"the run stopped early: w1: disk full"}},
		"reason is given": {result.Verdict{Interrupted: true, Reasons: []string{"lag"}}, []string{"lag"}},
	} {
		t.Run(name, func(t *testing.T) {
			run := resulttest.Create(t, t.TempDir(), small)
			if err := run.Finish(tt.verdict); err != nil {
				t.Fatal(err)
			}
			valid, reasons := run.Verdict()
			if diff := cmp.Diff(tt.want, reasons); diff != "" || valid != (len(tt.want) == 0) {
				t.Errorf("valid %t, reasons -want +got:\n%s", valid, diff)
			}
		})
	}
}

// Errors of the disk carry the path.
func TestDiskErrors(t *testing.T) {
	exp := resulttest.Experiment(small)
	file := filepath.Join(t.TempDir(), "file")
	appendTo(t, file, "")
	if _, err := result.Create(file, exp, result.Manifest{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("create below a file: %v", err)
	}
	run := resulttest.Create(t, t.TempDir(), small)
	if err := os.RemoveAll(run.Dir); err != nil {
		t.Fatal(err)
	}
	if err := run.Amend(func(*result.Manifest) {}); err == nil || !strings.Contains(err.Error(), filepath.Join(run.Dir, "manifest.json")) {
		t.Errorf("amend: %v, want the path", err)
	}
	if err := run.SetRepeat(result.Repeat{Step: result.Step{Point: "nope"}}); err == nil || !strings.Contains(err.Error(), `no point "nope"`) {
		t.Errorf("unknown point: %v", err)
	}
}

// Lines of the ledger are whole whoever writes them.
func TestLedgerIsConcurrent(t *testing.T) {
	run := resulttest.Create(t, t.TempDir(), small)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				if err := run.Log(result.Entry{Event: "worker", Detail: fmt.Sprint(i, j)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if entries, err := run.Ledger(); err != nil || len(entries) != 41 {
		t.Errorf("%d entries (%v), want 41", len(entries), err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
