package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// Explanation is what was decided about one call, and what there was to choose from. Of a live run it is
// made from the records of all calls, and times are as exact as these; a simulated one is simulated
// again, and tells of each decision.
type Explanation struct {
	Call     measure.Call    `json:"-"`
	TID      string          `json:"tid"`
	Function string          `json:"function"`
	Status   string          `json:"status"`
	Point    string          `json:"point"` // label
	Repeat   int             `json:"repeat"`
	Phases   []ExplainedTime `json:"phases"`

	Balancer   string      `json:"balancer"` // policy, "" without a balancer
	Candidates []Candidate `json:"candidates"`

	Worker    string      `json:"worker"`
	Queue     string      `json:"queue"`     // policy
	Running   []Neighbour `json:"running"`   // when the call joined the queue
	Ahead     []Neighbour `json:"ahead"`     // that waited then, and left before it
	Overtaken []Neighbour `json:"overtaken"` // that waited then, and left after it
	Overtook  []Neighbour `json:"overtook"`  // that came later, and left before it
	KeepAlive string      `json:"keepalive"`
	ColdKind  string      `json:"cold_kind"`
	Placement string      `json:"placement,omitempty"` // policy, of a worker with GPUs
	Device    string      `json:"device,omitempty"`    // "cpu" or "gpu0" to, likewise

	Decisions []sim.Decision `json:"decisions"` // of a simulated run
	Lacking   string         `json:"lacking"`   // why a simulated run has none
}

// ExplainedTime is a phase of the call.
type ExplainedTime struct {
	Name string        `json:"name"`
	Took time.Duration `json:"ns"`
}

// Candidate is a worker that the call could have gone to.
type Candidate struct {
	Worker   string `json:"worker"`
	InFlight int    `json:"in_flight"` // calls that had gone there and had not ended
	Chosen   bool   `json:"chosen"`
}

// Neighbour is another call on the same worker.
type Neighbour struct {
	TID      string        `json:"tid"`
	Function string        `json:"function"`
	Waited   time.Duration `json:"waited_ns"` // when the call joined the queue; negative for one that came later
	Exec     time.Duration `json:"exec_ns"`   // that it took in the end, -1 where that is unknown
}

// Explain explains the call of a run with this transaction id.
func Explain(ctx context.Context, run *result.Run, tid string) (*Explanation, error) {
	for _, rep := range run.Repeats {
		calls, err := measure.ReadCalls(run.CallsPath(rep.Step))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it measured nothing, or kept no records
		}
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(calls, func(c measure.Call) bool { return c.TID == tid })
		if i < 0 {
			continue
		}
		e := explain(run.Point(rep.Point), rep.Repeat, calls, calls[i])
		if run.Manifest.Mode == result.Simulated {
			if e.Decisions, err = resimulate(ctx, run, rep.Step, &calls[i]); err != nil {
				e.Decisions, e.Lacking = []sim.Decision{}, err.Error()
			}
		}
		return e, nil
	}
	return nil, fmt.Errorf("run %s has no call %q: calls.parquet lists them in the column tid", run.Manifest.RunID, tid)
}

// resimulate simulates a step of a run again, as far as a call.
func resimulate(ctx context.Context, run *result.Run, step result.Step, call *measure.Call) ([]sim.Decision, error) {
	var model *sim.Model
	switch text, err := os.ReadFile(filepath.Join(run.Dir, modelFile)); {
	case err == nil:
		if err := json.Unmarshal(text, &model); err != nil {
			return nil, fmt.Errorf("%s: %w", modelFile, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	models, err := modelsOf(run.Experiment, model)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(run.Experiment.Points, func(p spec.Point) bool { return p.ID == step.Point })
	s := newSimulation(models, run.Experiment.Simulate)
	return sim.Explain(ctx, s.config(&run.Experiment.Points[i], step.Seed, models[i]), call)
}

func explain(p *spec.Point, repeat int, calls []measure.Call, c measure.Call) *Explanation {
	e := &Explanation{
		Call: c, TID: c.TID, Function: c.Function, Status: c.Status, Point: result.Label(p), Repeat: repeat, Worker: c.Host, ColdKind: c.ColdKind, Device: c.Device,
		Phases: []ExplainedTime{}, Candidates: []Candidate{}, Running: []Neighbour{}, Ahead: []Neighbour{}, Overtaken: []Neighbour{}, Overtook: []Neighbour{}, Decisions: []sim.Decision{},
	}
	for _, phase := range measure.Phases(c) {
		e.Phases = append(e.Phases, ExplainedTime{phase.Name, phase.Duration})
	}
	if p.Balancer != nil {
		e.Balancer = named(p.Balancer.Policy)
		e.Candidates = candidates(p.Balancer.Workers, calls, &c)
	}
	if i := slices.IndexFunc(p.Workers, func(w spec.Worker) bool { return w.Name == c.Host }); i >= 0 {
		e.Queue, e.KeepAlive = named(p.Workers[i].Queue), named(p.Workers[i].KeepAlive)
		if c.Device != "" {
			e.Placement = named(p.Workers[i].Placement)
		}
	}
	if c.Queued == measure.Missing {
		return e
	}
	left := never(c.Dequeued)
	for i := range calls {
		o := &calls[i]
		if o.TID == c.TID || o.Host != c.Host || o.Queued == measure.Missing {
			continue
		}
		n := Neighbour{o.TID, o.Function, time.Duration(c.Queued - o.Queued), time.Duration(o.Exec())}
		went := never(o.Dequeued)
		switch {
		case o.Queued <= c.Queued && went <= c.Queued:
			if ended(o) > c.Queued {
				e.Running = append(e.Running, n)
			}
		case o.Queued <= c.Queued && went <= left:
			e.Ahead = append(e.Ahead, n)
		case o.Queued <= c.Queued:
			e.Overtaken = append(e.Overtaken, n)
		case went < left:
			e.Overtook = append(e.Overtook, n)
		}
	}
	return e
}

// candidates are the workers of a balancer, with what each had when c was sent.
func candidates(workers []string, calls []measure.Call, c *measure.Call) []Candidate {
	all := []Candidate{}
	for _, w := range workers {
		one := Candidate{Worker: w, Chosen: w == c.Host}
		for i := range calls {
			if o := &calls[i]; o.TID != c.TID && o.Host == w && o.Accepted != measure.Missing && o.Accepted <= c.Accepted && ended(o) > c.Accepted {
				one.InFlight++
			}
		}
		all = append(all, one)
	}
	return all
}

// ended is when a worker was done with a call.
func ended(c *measure.Call) int64 {
	if c.Replied != measure.Missing {
		return c.Replied
	}
	return never(c.Received)
}

// never is a time, or later than any where it did not come.
func never(t int64) int64 {
	if t == measure.Missing {
		return math.MaxInt64
	}
	return t
}

// named is a policy with its options.
func named(p spec.Named) string {
	var options bytes.Buffer
	if json.Compact(&options, p.Options) != nil || options.String() == "{}" || options.String() == "null" {
		return p.Name
	}
	return p.Name + " " + options.String()
}
