package result_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/result/resulttest"
)

// A run that was killed, or interrupted and sealed, goes on with what is left; one
// that is complete does not.
func TestReopen(t *testing.T) {
	exp := resulttest.Experiment(resulttest.Options{Rates: []float64{10, 20}, Repeats: 2, Functions: 1})
	run, err := result.Create(t.TempDir(), exp, result.Manifest{Mode: result.Live})
	if err != nil {
		t.Fatal(err)
	}
	all := len(run.Steps)
	finish := func(run *result.Run, s result.Step) {
		t.Helper()
		dir, err := run.ResetRepeat(*run.Point(s.Point), s.Repeat)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "old")); err == nil {
			t.Error("a file of an attempt before is there")
		}
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "old"), nil, 0o644), run.SetRepeat(result.Repeat{Step: s, State: result.Finished})); err != nil {
			t.Fatal(err)
		}
	}
	finish(run, run.Steps[0])
	if _, err := result.Reopen(run.Dir); !errors.Is(err, result.ErrActive) {
		t.Errorf("a run that is written: %v, want ErrActive", err)
	}
	if err := run.Close(); err != nil { // it was killed
		t.Fatal(err)
	}
	torn, err := os.OpenFile(filepath.Join(run.Dir, "ledger.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.WriteString(`{"t":"2026`); err != nil {
		t.Fatal(err)
	}
	if err := torn.Close(); err != nil {
		t.Fatal(err)
	}

	run, err = result.Reopen(run.Dir)
	if err != nil || len(run.Left()) != all-1 {
		t.Fatalf("after a kill %d of %d steps are left, %v", len(run.Left()), all, err)
	}
	if _, err := run.Ledger(); err != nil {
		t.Errorf("the ledger: %v", err)
	}
	finish(run, run.Left()[0])
	if err := errors.Join(run.Finish(result.Verdict{Interrupted: true}), run.Seal()); err != nil {
		t.Fatal(err)
	}

	run, err = result.Reopen(run.Dir)
	if err != nil || run.SealSHA256 != "" || run.Manifest.Interrupted || run.Manifest.Validity != nil {
		t.Fatalf("after an interruption: %+v, %v", run.Manifest, err)
	}
	for _, s := range run.Left() {
		finish(run, s)
	}
	if err := errors.Join(run.Finish(result.Verdict{}), run.Seal(), result.Verify(run.Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := result.Reopen(run.Dir); !errors.Is(err, result.ErrComplete) {
		t.Errorf("a run that is complete: %v, want ErrComplete", err)
	}
}
