package orchestrator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/atomicfile"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/loadgen/trace"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// Simulate executes exp in virtual time, several repeats at a time; how many
// changes nothing of what is computed. Durations come from model, or from the
// functions' profiles when model is nil.
func Simulate(ctx context.Context, exp *spec.Experiment, model *sim.Model, o Options) (*result.Run, hcl.Diagnostics, error) {
	models, err := modelsOf(exp, model)
	if err != nil {
		return nil, nil, err
	}
	x, err := begin(ctx, exp, o, result.Simulated)
	if err != nil {
		return nil, nil, err
	}
	if model != nil {
		text, err := json.Marshal(model)
		if err == nil {
			err = atomicfile.Have(filepath.Join(x.run.Dir, modelFile), 0o644, append(text, '\n'))
		}
		if err != nil {
			return nil, nil, errors.Join(err, x.run.Close())
		}
	}
	x.jobs = cmp.Or(exp.Simulate.Jobs, runtime.GOMAXPROCS(0))
	x.engine = newSimulation(models, exp.Simulate)
	return x.execute(ctx)
}

// modelFile is, in the folder of a simulated run, the model whose durations were not those of the profiles.
const modelFile = "model.json"

// modelsOf is a model for each point: the one given, or where it is nil that of the functions' profiles.
func modelsOf(exp *spec.Experiment, model *sim.Model) ([]sim.Model, error) {
	models := make([]sim.Model, len(exp.Points))
	for i := range exp.Points {
		if model != nil {
			models[i] = *model
			if err := model.Covers(&exp.Points[i]); err != nil {
				return nil, err
			}
		} else {
			declared, err := sim.Declared(&exp.Points[i])
			if err != nil {
				return nil, err
			}
			models[i] = declared
		}
		if start := exp.Simulate.ColdStart; start != nil {
			models[i] = models[i].Starting(*start)
		}
	}
	return models, nil
}

// simulation is the engine of virtual time. Repeats are independent of each other.
type simulation struct {
	models []sim.Model // by point
	how    spec.Simulate

	mu     sync.Mutex
	traces map[string]*trace.Trace // by path
	logs   map[plan.Step][]byte    // SHA-256 of decision logs
}

func newSimulation(models []sim.Model, how spec.Simulate) *simulation {
	return &simulation{models: models, how: how, traces: map[string]*trace.Trace{}, logs: map[plan.Step][]byte{}}
}

// SimulateOnce simulates one repeat of point, with its records in the folder dir.
func SimulateOnce(ctx context.Context, point *spec.Point, model sim.Model, seed uint64, records, dir string) (spec.RepeatMetrics, error) {
	out, err := newSimulation([]sim.Model{model}, spec.Simulate{Records: records}).repeat(ctx, point, plan.Step{Repeat: 1, Seed: seed}, dir)
	return out.metrics, err
}

// exactTimes is how many times of each kind a simulation keeps to take quantiles from.
const exactTimes = 4096

func (s *simulation) repeat(ctx context.Context, point *spec.Point, step plan.Step, dir string) (outcome, error) {
	summaries := map[string]*measure.Summary{}
	for _, load := range point.Loads {
		summaries[load.Name] = measure.NewSummary(load, exactTimes)
	}
	var ended sim.Result
	simulate := func(log io.Writer, add func(*measure.Call) error) (err error) {
		sum := sha256.New()
		c := s.config(point, step.Seed, s.models[step.Point])
		c.Log, c.Record = io.MultiWriter(log, sum), func(c *measure.Call) error {
			summaries[c.Load].Add(c)
			return add(c)
		}
		ended, err = sim.Run(ctx, c)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.logs[step] = sum.Sum(nil)
		return err
	}
	var err error
	if s.how.Records == "aggregate" { // no record of a call or decision is kept
		err = simulate(io.Discard, func(*measure.Call) error { return nil })
	} else {
		err = atomicfile.Write(filepath.Join(dir, "decisions.log"), 0o644, func(log io.Writer) error {
			return measure.WriteCalls(filepath.Join(dir, result.CallsFile), func(add func(*measure.Call) error) error {
				return simulate(log, func(c *measure.Call) error {
					c.Point, c.Repeat, c.TID = point.ID, step.Repeat, measure.TID(point.ID, step.Repeat, c.Load, c.Seq)
					return add(c)
				})
			})
		})
	}
	if err != nil {
		return outcome{}, fmt.Errorf("simulate: %w", err)
	}
	out := outcome{metrics: spec.RepeatMetrics{}}
	for _, load := range point.Loads {
		summary, ending := summaries[load.Name], measure.Ending{Stopped: ended.Stopped[load.Name]}
		out.metrics[load.Name] = summary.Metrics(ending.Stopped)
		for _, reason := range summary.Validate(ending) {
			out.reasons = append(out.reasons, reason.Message)
		}
		if err := summary.WriteHistograms(filepath.Join(dir, "hdr"), ended.Ended); err != nil {
			return outcome{}, err
		}
	}
	return out, nil
}

// config is a repeat that is not yet recorded.
func (s *simulation) config(point *spec.Point, seed uint64, model sim.Model) sim.Config {
	return sim.Config{Point: point, Model: model, Seed: seed, Traces: s.calls, Speeds: s.how.Speeds, Network: s.how.Network}
}

func (s *simulation) calls(t *spec.Trace) (arrival.Calls, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.traces[t.Path] == nil {
		read, err := trace.ReadIluvatar(t.Path, t.Metadata)
		if err != nil {
			return nil, err
		}
		s.traces[t.Path] = read
	}
	return s.traces[t.Path].Arrivals(), nil
}

func (s *simulation) decisions() (string, bool) {
	all := sha256.New()
	for _, step := range slices.SortedFunc(maps.Keys(s.logs), func(a, b plan.Step) int {
		return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Repeat, b.Repeat))
	}) {
		all.Write(s.logs[step])
	}
	return hex.EncodeToString(all.Sum(nil)), true
}

func (*simulation) facts(context.Context) (map[string]spec.Facts, error) { return nil, nil }

func (*simulation) close() error { return nil }
