package result

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// ErrComplete reports a run of which every repeat has finished.
var ErrComplete = errors.New("every repeat of the run has finished")

// ErrActive reports a run that another process writes.
var ErrActive = errors.New("another process works on the run")

// Reopen opens a run for writing again: one that was killed, or that was interrupted
// or failed in part and is sealed, which is checked and taken away. The repeats that
// Left names are to be done.
func Reopen(dir string) (*Run, error) {
	r, err := read(dir)
	if err != nil {
		return nil, err
	}
	if r.Manifest.State == Sealed {
		if len(r.Left()) == 0 {
			return nil, fmt.Errorf("reopen run %s: %w", r.Manifest.RunID, ErrComplete)
		}
		if err := r.unseal(); err != nil {
			return nil, fmt.Errorf("reopen run: %w", err)
		}
	}
	if err := r.reopen(); err != nil {
		return nil, errors.Join(fmt.Errorf("reopen run: %w", err), r.Close())
	}
	return r, nil
}

// Left are the steps whose repeats have not finished, in the order they run.
func (r *Run) Left() []Step {
	return slices.DeleteFunc(slices.Clone(r.Steps), func(s Step) bool {
		return slices.ContainsFunc(r.Repeats, func(rep Repeat) bool { return rep.Step == s && rep.State == Finished })
	})
}

func (r *Run) unseal() error {
	if err := Verify(r.Dir); err != nil {
		return err
	}
	paths, err := files(r.Dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.Chmod(r.path(path), 0o644); err != nil {
			return err
		}
	}
	r.SealSHA256 = ""
	return os.Remove(r.path(sealFile))
}

func (r *Run) reopen() error {
	ledger, err := os.OpenFile(r.path("ledger.jsonl"), os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	r.ledger = ledger
	if err := unix.Flock(int(ledger.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w: %s", ErrActive, r.Dir)
	}
	content, err := io.ReadAll(ledger)
	if err != nil {
		return err
	}
	if err := ledger.Truncate(int64(bytes.LastIndexByte(content, '\n') + 1)); err != nil { // the last line may be torn
		return err
	}
	r.Active = true
	if err := r.Log(Entry{Event: "run", State: Running, Detail: "reopened"}); err != nil {
		return err
	}
	return r.Amend(func(m *Manifest) {
		m.State, m.Validity, m.Interrupted, m.Error = Running, nil, false, ""
		m.Assertions, m.Outputs = []spec.Assertion{}, []Output{}
	})
}

// Reload reads what another process wrote of a run that is open for writing: what
// was collected from the host that executed it.
func (r *Run) Reload() error {
	now, err := read(r.Dir)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Manifest, r.Repeats = now.Manifest, now.Repeats
	return nil
}

// ResetRepeat makes the folder of a repeat anew, with logs/ in it.
func (r *Run) ResetRepeat(point spec.Point, n int) (string, error) {
	if err := os.RemoveAll(r.path(repeatFolder(point, n))); err != nil {
		return "", fmt.Errorf("reset folder of repeat %d: %w", n, err)
	}
	return r.RepeatDir(point, n)
}
