package result

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/plan"
)

// Create makes the directory <root>/<experiment>/<run id>, which must not be
// there, and points the symbolic links "latest" of both parents to it. The
// steps are those of plan.Order.
func Create(root string, exp *spec.Experiment, m Manifest) (*Run, error) {
	if m.Started.IsZero() {
		m.Started = time.Now()
	}
	if m.RunID == "" {
		m.RunID = ulid.MustNew(ulid.Timestamp(m.Started), ulid.DefaultEntropy()).String()
	}
	semantic, err := semanticSHA256(exp)
	if err != nil {
		return nil, err
	}
	m.Format, m.State, m.Started = Format, Running, m.Started.UTC()
	m.Experiment, m.Title, m.Seed = exp.Name, exp.Title, exp.Seed
	m.SemanticSHA256, m.TextSHA256, m.Build = semantic, textSHA256(exp.Sources), CurrentBuild()
	m.Assertions, m.Outputs = []spec.Assertion{}, []Output{}
	m.Command, m.Variables = append([]string{}, m.Command...), append([]spec.Variable{}, exp.Variables...)
	m.Traces, m.Hosts, m.Limitations = experimentTraces(exp), map[string]spec.Facts{}, map[string][]string{}

	steps := []Step{}
	for _, s := range plan.Order(exp) {
		steps = append(steps, Step{exp.Points[s.Point].ID, s.Repeat, s.Seed})
	}
	parent := filepath.Join(root, fileName(exp.Name))
	r := &Run{Dir: filepath.Join(parent, m.RunID), Manifest: m, Experiment: exp, Steps: steps, Repeats: []Repeat{}, Active: true}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("create result directory: %w", err)
	}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("create result directory: %w", err)
	}
	if err := r.create(); err != nil {
		return nil, errors.Join(fmt.Errorf("create result directory %s: %w", r.Dir, err), r.Close())
	}
	if err := errors.Join(relink(m.RunID, filepath.Join(parent, "latest")),
		relink(filepath.Join(fileName(exp.Name), m.RunID), filepath.Join(root, "latest"))); err != nil {
		return nil, errors.Join(fmt.Errorf("link the latest run: %w", err), r.Close())
	}
	return r, nil
}

// create writes what is known before the first repeat, the manifest first.
func (r *Run) create() error {
	if err := writeJSON(r.path("manifest.json"), r.Manifest); err != nil {
		return err
	}
	ledger, err := os.OpenFile(r.path("ledger.jsonl"), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	r.ledger = ledger
	if err := unix.Flock(int(ledger.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: %w", ledger.Name(), err)
	}
	if err := r.Log(Entry{Event: "run", State: Running}); err != nil {
		return err
	}
	if err := r.createSpec(); err != nil {
		return err
	}
	if err := writeJSON(r.path("plan.json"), planFile{r.Experiment.Order, r.Steps}); err != nil {
		return err
	}
	return errors.Join(writeFile(r.path("matrix.csv"), r.matrix()), r.writeReadme())
}

// planFile is plan.json.
type planFile struct {
	Order string `json:"order"`
	Steps []Step `json:"steps"`
}

func (r *Run) createSpec() error {
	if err := os.Mkdir(r.path("spec"), 0o755); err != nil {
		return err
	}
	if err := writeJSON(r.path("spec", "evaluated.json"), r.Experiment); err != nil {
		return err
	}
	names, err := sourceNames(r.Experiment.Sources)
	if err != nil {
		return err
	}
	for i, s := range r.Experiment.Sources {
		path := r.path("spec", names[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := writeFile(path, s.Bytes); err != nil {
			return err
		}
	}
	if r.Manifest.Git != nil && len(r.Manifest.Git.Diff) > 0 {
		return writeFile(r.path("spec", "git.diff"), r.Manifest.Git.Diff)
	}
	return nil
}

// sourceNames is the sources' paths from the deepest folder that holds them all.
func sourceNames(sources []spec.Source) ([]string, error) {
	names := make([]string, len(sources))
	common := ""
	for i, s := range sources {
		path, err := filepath.Abs(s.Path)
		if err != nil {
			return nil, err
		}
		names[i] = path
		if i == 0 {
			common = filepath.Dir(path)
		}
		for common != "/" && !strings.HasPrefix(path, common+"/") {
			common = filepath.Dir(common)
		}
	}
	for i := range names {
		names[i] = strings.TrimPrefix(strings.TrimPrefix(names[i], common), "/")
	}
	return names, nil
}

// matrix is matrix.csv: a row per step with the point's axes.
func (r *Run) matrix() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	header := []string{"step", "point", "repeat", "seed", "folder"}
	for _, a := range r.Experiment.Points[0].Axes {
		header = append(header, a.Name)
	}
	w.Write(header)
	for i, s := range r.Steps {
		p := r.Point(s.Point)
		row := []string{strconv.Itoa(i + 1), s.Point, strconv.Itoa(s.Repeat), strconv.FormatUint(s.Seed, 10), repeatFolder(*p, s.Repeat)}
		for _, a := range p.Axes {
			row = append(row, AxisText(a))
		}
		w.Write(row)
	}
	w.Flush() // to memory: it cannot fail
	return b.Bytes()
}

// experimentTraces is each trace of exp once.
func experimentTraces(exp *spec.Experiment) []spec.Trace {
	all := []spec.Trace{}
	for _, p := range exp.Points {
		for t := range traces(p) {
			if !slices.ContainsFunc(all, func(o spec.Trace) bool { return o.Name == t.Name && o.SHA256 == t.SHA256 }) {
				all = append(all, *t)
			}
		}
	}
	return all
}
