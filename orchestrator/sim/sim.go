// Package sim runs a point of an experiment in virtual time: the schedulers,
// the balancer and the arrivals of the live system, and the durations of a
// model. It has one goroutine and no clock; time jumps from event to event, and
// the same seed gives the same decisions, byte for byte.
package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// FunctionModel is how long things take for a function.
type FunctionModel struct {
	Exec  spec.Dist // in a sandbox
	Start spec.Dist // to make a sandbox ready
	// Overhead is the time of a call outside queue, start and execution: network
	// and dispatch, half before and half after.
	Overhead spec.Dist
}

// Model is the FunctionModel of each function by name.
type Model map[string]FunctionModel

// Declared is the model that the functions' profiles make. A function without
// one is an error that names it.
func Declared(p *spec.Point) (Model, error) {
	m := Model{}
	for _, f := range p.Functions {
		if f.Profile == nil {
			return nil, fmt.Errorf("function %q has no profile, so its durations are unknown: "+
				"write profile { warm = \"20ms\"  cold = \"200ms\" }, or give a finished run with --from", f.Name)
		}
		m[f.Name] = FunctionModel{Exec: f.Profile.Warm, Start: f.Profile.Cold}
	}
	return m, nil
}

// TraceReader gives the calls of a trace, from the beginning.
type TraceReader func(t *spec.Trace) (arrival.Calls, error)

// Config is one repeat of a point.
type Config struct {
	Point  *spec.Point
	Model  Model
	Seed   uint64 // of this repeat; the live run of the same seed has the same arrivals
	Traces TraceReader
	Log    io.Writer // receives the decision log, a line a decision
}

// Result is the calls of each load by name, and when the last one ended, after the start.
type Result struct {
	Calls map[string][]measure.Call
	Ended time.Duration
}

// Run simulates one repeat. It returns early with the cause when ctx ends.
func Run(ctx context.Context, c Config) (Result, error) {
	r, err := newRun(c)
	if err != nil {
		return Result{}, err
	}
	r.prewarm(c.Point)
	began := r.now
	for i := range c.Point.Loads {
		l, err := newLoad(r, &c.Point.Loads[i], c.Traces)
		if err != nil {
			return Result{}, fmt.Errorf("load %s: %w", c.Point.Loads[i].Name, err)
		}
		r.loads = append(r.loads, l)
	}
	for steps := 0; r.pending() && r.step(); steps++ {
		if steps%1024 == 0 && ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
	}
	result := Result{Calls: map[string][]measure.Call{}, Ended: r.now - began}
	for _, l := range r.loads {
		result.Calls[l.spec.Name] = l.calls
	}
	return result, r.log.flush()
}

// function is a spec.Function with its model.
type function struct {
	spec.Function
	model    FunctionModel
	exec     *rand.Rand
	overhead *rand.Rand
}

// memory is what a sandbox uses after a call, measure.Missing when the profile does not say.
func (f *function) memory() int64 {
	if f.Profile == nil || f.Profile.Memory == 0 {
		return measure.Missing
	}
	return int64(f.Profile.Memory)
}

// run is the state of a simulation.
type run struct {
	agenda
	seed      uint64
	functions map[string]*function
	nodes     []*node
	router    *router // nil: everything goes to the only node
	loads     []*load
	lastCall  worker.InvocationID
	log       *decisionLog
}

func (r *run) nextCall() worker.InvocationID {
	r.lastCall++
	return r.lastCall
}

func newRun(c Config) (*run, error) {
	r := &run{seed: c.Seed, functions: map[string]*function{}, log: newDecisionLog(c.Log)}
	functions := make([]*function, 0, len(c.Point.Functions))
	for _, f := range c.Point.Functions {
		model, ok := c.Model[f.Name]
		if !ok {
			return nil, fmt.Errorf("function %q has no model", f.Name)
		}
		fn := &function{
			Function: f, model: model,
			exec: stream.New(c.Seed, "sim", "exec", f.Name), overhead: stream.New(c.Seed, "sim", "overhead", f.Name),
		}
		r.functions[f.Name] = fn
		functions = append(functions, fn)
	}
	for i, w := range c.Point.Workers {
		n, err := newNode(r, i, w, functions)
		if err != nil {
			return nil, fmt.Errorf("worker %s: %w", w.Name, err)
		}
		r.nodes = append(r.nodes, n)
	}
	if c.Point.Balancer != nil {
		router, err := newRouter(r, *c.Point.Balancer)
		if err != nil {
			return nil, fmt.Errorf("balancer %s: %w", c.Point.Balancer.Name, err)
		}
		r.router = router
	}
	return r, nil
}

// pending reports whether some load has calls to come or under way.
func (r *run) pending() bool {
	for _, l := range r.loads {
		if l.scheduled || l.clients > 0 || l.inFlight > 0 {
			return true
		}
	}
	return false
}

// prewarm makes the sandboxes that the functions ask for, spread evenly over the
// workers, and lets time pass until they are ready.
func (r *run) prewarm(p *spec.Point) {
	for _, f := range p.Functions {
		for i, n := range r.nodes {
			count := (f.Prewarm + len(r.nodes) - 1 - i) / len(r.nodes)
			if count > 0 {
				n.handle(worker.Prewarm{Function: n.functions[f.Name], Count: count})
			}
		}
	}
	for slices.ContainsFunc(r.nodes, func(n *node) bool { return n.core.Status().Starting > 0 }) && r.step() {
	}
}
