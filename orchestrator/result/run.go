// Package result is the result directory of a run: everything needed to judge
// the run and to repeat it, written as the run goes and sealed at its end.
package result

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// CallsFile is the name of the calls in a repeat's folder.
const CallsFile = "calls.parquet"

// errReadOnly reports writing to a run that Open returned or that is sealed.
var errReadOnly = errors.New("the run is not open for writing")

// Run is a result directory. As with os.File, Create returns one to write and
// Open one to read. Writing methods are safe for concurrent use; the fields are
// to be read when none of them runs.
type Run struct {
	Dir        string
	Manifest   Manifest
	Experiment *spec.Experiment
	Steps      []Step   // in the order they run
	Repeats    []Repeat // those begun, in the order of Steps
	SealSHA256 string   // of MANIFEST.sha256, "" when not sealed
	Active     bool     // its process is alive: running, not killed

	mu     sync.Mutex
	ledger *os.File // locked while the run is written; nil when read-only
}

// Label is the axes of a point, or its id without a sweep.
func Label(p *spec.Point) string {
	var parts []string
	for _, a := range p.Axes {
		parts = append(parts, a.Name+" = "+AxisText(a))
	}
	if len(parts) == 0 {
		return p.ID
	}
	return strings.Join(parts, ", ")
}

// AxisText is the value of an axis as a person writes it: a string without quotes.
func AxisText(a spec.AxisValue) string {
	var s string
	if json.Unmarshal(a.Value, &s) == nil {
		return s
	}
	return string(a.Value)
}

// Point returns the point with the ID, or nil.
func (r *Run) Point(id string) *spec.Point {
	for i := range r.Experiment.Points {
		if r.Experiment.Points[i].ID == id {
			return &r.Experiment.Points[i]
		}
	}
	return nil
}

// repeatFolder is points/<id>-<axis values>/repNN.
func repeatFolder(p spec.Point, n int) string {
	var name strings.Builder
	name.WriteString(p.ID)
	for _, a := range p.Axes {
		name.WriteString("-" + AxisText(a))
	}
	return filepath.Join("points", fileName(name.String()), fmt.Sprintf("rep%02d", n))
}

// RepeatDir makes the folder of a repeat of the point, from 1, with logs/ in it.
func (r *Run) RepeatDir(point spec.Point, n int) (string, error) {
	dir := r.path(repeatFolder(point, n))
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return "", fmt.Errorf("create folder of repeat %d: %w", n, err)
	}
	return dir, nil
}

// CallsPath is where the calls of a repeat are.
func (r *Run) CallsPath(s Step) string {
	return r.path(repeatFolder(*r.Point(s.Point), s.Repeat), CallsFile)
}

func (r *Run) path(elem ...string) string {
	return filepath.Join(append([]string{r.Dir}, elem...)...)
}

// Log appends a state change to the ledger; it is on disk when Log returns.
func (r *Run) Log(e Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log(e)
}

func (r *Run) log(e Entry) error {
	if r.ledger == nil {
		return fmt.Errorf("write ledger of %s: %w", r.Dir, errReadOnly)
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if _, err := r.ledger.Write(append(line, '\n')); err != nil {
		return err // carries the path
	}
	return r.ledger.Sync()
}

// Amend changes the manifest on disk, such as its Limitations.
func (r *Run) Amend(change func(*Manifest)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.amend(change)
}

func (r *Run) amend(change func(*Manifest)) error {
	if r.ledger == nil {
		return fmt.Errorf("write manifest of %s: %w", r.Dir, errReadOnly)
	}
	change(&r.Manifest)
	return writeJSON(r.path("manifest.json"), r.Manifest)
}

// SetFacts records what a host is before the first repeat and, when after is
// not nil, after the last.
func (r *Run) SetFacts(host string, before spec.Facts, after *spec.Facts) error {
	if err := r.Amend(func(m *Manifest) { m.Hosts[host] = before }); err != nil {
		return err
	}
	if err := os.MkdirAll(r.path("env"), 0o755); err != nil {
		return err
	}
	return writeJSON(r.path("env", fileName(host)+".json"), struct {
		Before spec.Facts  `json:"before"`
		After  *spec.Facts `json:"after"`
	}{before, after})
}

// SetRepeat records the state of a repeat, in its status.json and the ledger,
// and its metrics when it has any.
func (r *Run) SetRepeat(rep Repeat) error {
	p := r.Point(rep.Point)
	if p == nil {
		return fmt.Errorf("record repeat: the experiment has no point %q", rep.Point)
	}
	dir, err := r.RepeatDir(*p, rep.Repeat)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.log(Entry{Event: "repeat", State: rep.State, Point: rep.Point, Repeat: rep.Repeat, Detail: rep.Reason}); err != nil {
		return err
	}
	rep.Started, rep.Ended = rep.Started.UTC(), rep.Ended.UTC()
	if rep.Metrics != nil {
		if err := writeJSON(filepath.Join(dir, "metrics.json"), rep.Metrics); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(dir, StatusFile), rep); err != nil {
		return err
	}
	r.Repeats = append(slices.DeleteFunc(r.Repeats, func(o Repeat) bool { return o.Step == rep.Step }), rep)
	slices.SortStableFunc(r.Repeats, func(a, b Repeat) int {
		return cmp.Compare(slices.Index(r.Steps, a.Step), slices.Index(r.Steps, b.Step))
	})
	return nil
}

// Verdict is what a run came to.
type Verdict struct {
	Reasons           []string // why the numbers are not valid; empty means they are
	Assertions        []spec.Assertion
	Outputs           []spec.Output
	Interrupted       bool
	Error             string    // why the run stopped early
	DecisionLogSHA256 string    // simulated runs
	Ended             time.Time // zero means now
}

// Finish records the verdict. A run that was interrupted or stopped early is
// not valid, also when no reason says so. More may be written until Seal.
func (r *Run) Finish(v Verdict) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(v.Reasons) > 0:
	case v.Interrupted:
		v.Reasons = []string{"the run was interrupted"}
	case v.Error != "":
		v.Reasons = []string{"the run stopped early: " + v.Error}
	}
	if err := r.log(Entry{Event: "run", State: Finished, Detail: v.Error}); err != nil {
		return err
	}
	if v.Ended.IsZero() {
		v.Ended = time.Now()
	}
	if err := r.amend(func(m *Manifest) {
		m.State, m.Ended = Finished, v.Ended.UTC()
		m.Validity = &Validity{Valid: len(v.Reasons) == 0, Reasons: append([]string{}, v.Reasons...)}
		m.Assertions = append([]spec.Assertion{}, v.Assertions...)
		m.Outputs = []Output{}
		for _, o := range v.Outputs {
			m.Outputs = append(m.Outputs, Output{o, o.Value})
		}
		m.Interrupted, m.Error, m.DecisionLogSHA256 = v.Interrupted, v.Error, v.DecisionLogSHA256
	}); err != nil {
		return err
	}
	return r.writeReadme()
}

// Close ends writing without a seal, so that the run stays what it was: it does
// nothing after Seal and can be deferred.
func (r *Run) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ledger == nil {
		return nil
	}
	err := r.ledger.Close()
	r.ledger, r.Active = nil, false
	return err
}

// Verdict says whether the numbers can be trusted, and why not. A run that was
// killed or is still running has no valid numbers.
func (r *Run) Verdict() (valid bool, reasons []string) {
	switch v := r.Manifest.Validity; {
	case v != nil:
		return v.Valid, v.Reasons
	case r.Active:
		return false, []string{"the run has not finished"}
	case r.Manifest.Site != nil:
		return false, []string{fmt.Sprintf("the run was left on host %s, %d of %d repeats were collected: ainur run --resume %s", r.Manifest.Site.Controller, r.finished(), len(r.Steps), r.Manifest.RunID)}
	default:
		return false, []string{fmt.Sprintf("the run was killed: it never finished, %d of %d repeats did", r.finished(), len(r.Steps))}
	}
}

func (r *Run) finished() (n int) {
	for _, rep := range r.Repeats {
		if rep.State == Finished {
			n++
		}
	}
	return n
}
