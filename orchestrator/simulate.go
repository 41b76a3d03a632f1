package orchestrator

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/loadgen/trace"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// Simulate executes exp in virtual time. Durations come from model, or from the
// functions' profiles when model is nil.
func Simulate(ctx context.Context, exp *spec.Experiment, model sim.Model, o Options) (*result.Run, hcl.Diagnostics, error) {
	models := make([]sim.Model, len(exp.Points))
	for i := range exp.Points {
		models[i] = model
		if model == nil {
			declared, err := sim.Declared(&exp.Points[i])
			if err != nil {
				return nil, nil, err
			}
			models[i] = declared
		}
	}
	x, err := begin(ctx, exp, o, result.Simulated)
	if err != nil {
		return nil, nil, err
	}
	x.engine = &simulation{models: models, traces: map[string]*trace.Trace{}, log: sha256.New()}
	return x.execute(ctx)
}

// simulation is the engine of virtual time.
type simulation struct {
	models []sim.Model // by point
	traces map[string]*trace.Trace
	log    hash.Hash // of all decision logs, one after the other
}

func (s *simulation) repeat(ctx context.Context, point *spec.Point, step plan.Step, dir string) (outcome, error) {
	path := filepath.Join(dir, "decisions.log")
	file, err := os.Create(path)
	if err != nil {
		return outcome{}, err
	}
	buffered := bufio.NewWriter(file)
	got, err := sim.Run(ctx, sim.Config{
		Point: point, Model: s.models[step.Point], Seed: step.Seed, Traces: s.calls, Log: io.MultiWriter(buffered, s.log),
	})
	if err := errors.Join(err, buffered.Flush(), file.Close()); err != nil {
		return outcome{}, fmt.Errorf("simulate: %w", err)
	}
	out := outcome{metrics: spec.RepeatMetrics{}}
	for _, load := range point.Loads {
		calls := got.Calls[load.Name]
		ending := measure.Ending{Stopped: duration(load)}
		out.metrics[load.Name] = measure.Summarize(calls, load, ending.Stopped)
		for _, reason := range measure.Validate(calls, load, ending) {
			out.reasons = append(out.reasons, reason.Message)
		}
		if err := errors.Join(
			measure.WriteCalls(filepath.Join(dir, result.CallsFile), calls),
			measure.WriteHistograms(filepath.Join(dir, "hdr"), calls),
		); err != nil {
			return outcome{}, err
		}
	}
	return out, nil
}

func (s *simulation) calls(t *spec.Trace) (arrival.Calls, error) {
	if s.traces[t.Path] == nil {
		read, err := trace.ReadIluvatar(t.Path, t.Metadata)
		if err != nil {
			return nil, err
		}
		s.traces[t.Path] = read
	}
	return s.traces[t.Path].Arrivals(), nil
}

func (s *simulation) decisions() (string, bool) { return hex.EncodeToString(s.log.Sum(nil)), true }

func (*simulation) facts(context.Context) (map[string]spec.Facts, error) { return nil, nil }

func (*simulation) close() error { return nil }

// duration is that of all phases.
func duration(l spec.Load) (d time.Duration) {
	for _, p := range l.Phases {
		d += p.Duration
	}
	return d
}
