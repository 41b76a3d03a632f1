// Package orchestrator runs an experiment from plan to report: each repeat of
// each point, live or in virtual time, then the assertions and the seal.
package orchestrator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Conclude evaluates assertions and outputs over the repeats of each point, by its id.
type Conclude func(*spec.Experiment, spec.Run, map[string][]spec.RepeatMetrics) ([]spec.Assertion, []spec.Output, hcl.Diagnostics)

// Options of an execution. All but Progress are required.
type Options struct {
	Results  string // folder of result directories
	Command  []string
	Conclude Conclude
	Progress func(Progress) // called from one goroutine at a time; may be nil
}

// Progress is where an execution stands.
type Progress struct {
	Point   *spec.Point
	Step    int // from 1
	Steps   int
	Repeat  int
	Stage   Stage
	Load    json.RawMessage // of Loading: the load generator's own progress
	Message string          // of Reclaiming: what was removed
}

// Stage is what an execution is doing.
type Stage int

// The stages.
const (
	Reclaiming Stage = iota // removed what a killed run had left
	Starting                // a repeat begins
	Loading                 // its load is under way
	Ended                   // the repeat has ended
)

// engine executes one repeat of a point; dir is the repeat's folder.
type engine interface {
	repeat(ctx context.Context, point *spec.Point, step plan.Step, dir string) (outcome, error)
	// facts are those of the hosts by name, none where there are no hosts.
	facts(ctx context.Context) (map[string]spec.Facts, error)
	// decisions is the hash of the hashes of all decision logs, in order of points and repeats; false where there are none.
	decisions() (sha256 string, ok bool)
	// close ends what serves several repeats.
	close() error
}

// outcome is what one repeat measured.
type outcome struct {
	metrics     spec.RepeatMetrics
	reasons     []string            // why the numbers are not valid
	limitations map[string][]string // by worker
}

// execution is an experiment that is being executed.
type execution struct {
	Options
	exp      *spec.Experiment
	engine   engine
	run      *result.Run
	jobs     int        // steps at a time in virtual time, where nothing has to cool down; 0 is one after the other
	progress sync.Mutex // of Progress
}

// errStopped is the cause of what was not done because an earlier repeat failed.
var errStopped = errors.New("an earlier repeat failed")

// execute runs the steps that are left and finishes the result directory. The
// error is of the execution itself; invalid numbers and failed assertions are in
// the Run. When ctx ends, what was measured is kept and the Run says it was
// interrupted.
func (x *execution) execute(ctx context.Context) (*result.Run, hcl.Diagnostics, error) {
	if err := x.steps(ctx); err != nil {
		return nil, nil, errors.Join(err, x.run.Close())
	}
	return x.conclude(ctx)
}

// steps executes each step that is left, or records why it was skipped, and closes
// the engine. An error is of the result directory.
func (x *execution) steps(ctx context.Context) error {
	before, err := x.engine.facts(ctx)
	if err != nil {
		return errors.Join(err, x.engine.close())
	}
	if err := x.each(ctx, x.left()); err != nil {
		return errors.Join(err, x.engine.close())
	}
	reasons := x.drifted(context.WithoutCancel(ctx), before)
	if err := x.engine.close(); err != nil {
		reasons = append(reasons, fmt.Sprintf("clean-up: %v", err))
	}
	if len(reasons) == 0 {
		return nil
	}
	return x.run.Amend(func(m *result.Manifest) { m.Invalid = append(m.Invalid, reasons...) })
}

// each takes steps, so many at a time, in order.
func (x *execution) each(ctx context.Context, steps []numbered) error {
	var (
		work   sync.WaitGroup
		mu     sync.Mutex
		stop   error // why no further step is taken
		broken []error
	)
	places := make(chan struct{}, max(1, x.jobs))
	for i, step := range steps {
		places <- struct{}{}
		if i > 0 && x.jobs == 0 && x.exp.Cooldown > 0 && ctx.Err() == nil {
			select {
			case <-time.After(x.exp.Cooldown):
			case <-ctx.Done():
			}
		}
		mu.Lock()
		if stop == nil && ctx.Err() != nil {
			stop = context.Cause(ctx)
		}
		why := stop
		mu.Unlock()
		work.Go(func() {
			defer func() { <-places }()
			var failed bool
			var err error
			if why != nil {
				err = x.record(step.Step, result.Repeat{State: result.Skipped, Reason: why.Error(), Started: time.Now()})
			} else {
				failed, err = x.step(ctx, step)
			}
			mu.Lock()
			defer mu.Unlock()
			if failed && x.exp.OnFailure == "stop" && stop == nil {
				stop = errStopped
			}
			if err != nil {
				broken = append(broken, err)
				stop = cmp.Or(stop, err)
			}
		})
	}
	work.Wait()
	return errors.Join(broken...)
}

// drifted records the facts of hosts before and after, and says what changed.
func (x *execution) drifted(ctx context.Context, before map[string]spec.Facts) (reasons []string) {
	after, err := x.engine.facts(ctx)
	if err != nil {
		return []string{fmt.Sprintf("facts at the end: %v", err)}
	}
	for _, host := range slices.Sorted(maps.Keys(after)) {
		is := after[host]
		first, ok := x.run.Manifest.Hosts[host]
		if !ok {
			first = before[host]
		}
		reasons = append(reasons, drift(host, first, is, first.BootID == before[host].BootID)...)
		if err := x.run.SetFacts(host, first, &is); err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	return reasons
}

// numbered is a step with its place among all of the run, from 1.
type numbered struct {
	plan.Step
	number int
}

// left are the steps that have not finished.
func (x *execution) left() (all []numbered) {
	todo := x.run.Left()
	for i, s := range x.run.Steps {
		if slices.Contains(todo, s) {
			point := slices.IndexFunc(x.exp.Points, func(p spec.Point) bool { return p.ID == s.Point })
			all = append(all, numbered{plan.Step{Point: point, Repeat: s.Repeat, Seed: s.Seed}, i + 1})
		}
	}
	return all
}

// step executes one repeat and records it. A repeat that fails does not end the
// execution; its error is a reason for invalidity.
func (x *execution) step(ctx context.Context, step numbered) (failed bool, err error) {
	point := &x.exp.Points[step.Point]
	dir, err := x.run.ResetRepeat(*point, step.Repeat)
	if err != nil {
		return false, err
	}
	rep := result.Repeat{State: result.Running, Started: time.Now()}
	if err := x.record(step.Step, rep); err != nil {
		return false, err
	}
	repeatCtx := ctx
	if x.exp.Timeout > 0 {
		var cancel context.CancelFunc
		repeatCtx, cancel = context.WithTimeoutCause(ctx, x.exp.Timeout, fmt.Errorf("the repeat took longer than timeout = %v", x.exp.Timeout))
		defer cancel()
	}
	x.tell(Progress{Point: point, Step: step.number, Steps: len(x.run.Steps), Repeat: step.Repeat, Stage: Starting})
	out, err := x.engine.repeat(repeatCtx, point, step.Step, dir)
	x.tell(Progress{Point: point, Step: step.number, Steps: len(x.run.Steps), Repeat: step.Repeat, Stage: Ended})
	if err := x.limit(out.limitations); err != nil {
		return false, err
	}
	rep.State, rep.Metrics, rep.Invalid = result.Finished, out.metrics, out.reasons
	switch {
	case ctx.Err() != nil:
		rep.State, rep.Reason = result.Interrupted, context.Cause(ctx).Error()
	case err != nil:
		rep.State, rep.Reason = result.Failed, err.Error()
		rep.Invalid = append(rep.Invalid, err.Error())
	}
	return rep.State == result.Failed, x.record(step.Step, rep)
}

func (x *execution) record(step plan.Step, rep result.Repeat) error {
	rep.Step = result.Step{Point: x.exp.Points[step.Point].ID, Repeat: step.Repeat, Seed: step.Seed}
	if rep.State != result.Running {
		rep.Ended = time.Now()
	}
	return x.run.SetRepeat(rep)
}

// limit records what the isolation could not apply.
func (x *execution) limit(limitations map[string][]string) error {
	if len(limitations) == 0 {
		return nil
	}
	return x.run.Amend(func(m *result.Manifest) {
		maps.Copy(m.Limitations, limitations)
	})
}

func (x *execution) tell(p Progress) {
	if x.Progress == nil {
		return
	}
	x.progress.Lock()
	defer x.progress.Unlock()
	x.Progress(p)
}

// conclude evaluates what was measured and seals the run.
func (x *execution) conclude(ctx context.Context) (*result.Run, hcl.Diagnostics, error) {
	metrics := map[string][]spec.RepeatMetrics{}
	for _, rep := range x.run.Repeats {
		if rep.Metrics != nil {
			metrics[rep.Point] = append(metrics[rep.Point], rep.Metrics)
		}
	}
	assertions, outputs, diags := x.Conclude(x.exp, spec.Run{ID: x.run.Manifest.RunID, Seed: x.exp.Seed, Started: x.run.Manifest.Started.Format(time.RFC3339)}, metrics)
	interrupted := ctx.Err() != nil
	verdict := result.Verdict{Reasons: reasons(x.run), Assertions: assertions, Outputs: outputs, Interrupted: interrupted}
	if interrupted && len(verdict.Reasons) == 0 {
		verdict.Reasons = []string{"interrupted: the numbers cover a part of the experiment"}
	}
	if sum, ok := x.engine.decisions(); ok {
		verdict.DecisionLogSHA256 = sum
	}
	if diags.HasErrors() {
		verdict.Error = diags.Error()
	}
	if err := x.run.Finish(verdict); err != nil {
		return nil, diags, err
	}
	return x.run, diags, errors.Join(x.run.Seal(), x.run.Close())
}

// reasons are why the numbers of a run are not valid, each once.
func reasons(run *result.Run) (all []string) {
	for _, rep := range run.Repeats {
		for _, reason := range rep.Invalid {
			all = append(all, fmt.Sprintf("point %s, repeat %d: %s", rep.Point, rep.Repeat, reason))
		}
	}
	for _, reason := range run.Manifest.Invalid {
		if !slices.Contains(all, reason) {
			all = append(all, reason)
		}
	}
	return all
}

// begin makes the result directory of exp.
func begin(ctx context.Context, exp *spec.Experiment, o Options, mode result.Mode) (*execution, error) {
	m := result.Manifest{Mode: mode, Command: o.Command}
	if len(exp.Sources) > 0 {
		m.Git = result.ReadGit(ctx, filepath.Dir(exp.Sources[0].Path))
	}
	run, err := result.Create(o.Results, exp, m)
	if err != nil {
		return nil, err
	}
	if err := run.SetFacts(controller, resource.HostFacts(), nil); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return &execution{Options: o, exp: exp, run: run}, nil
}

// controller is the name of this host among the hosts of a run.
const controller = "controller"
