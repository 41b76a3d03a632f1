// Package sim runs a point of an experiment in virtual time: the schedulers,
// the balancer and the arrivals of the live system, and the durations of a
// model. It has one goroutine and no clock; time jumps from event to event, and
// the same seed gives the same decisions, byte for byte.
package sim

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// FunctionModel is how long the phases of a call take for a function, where nothing has to
// be waited for (loadgen/measure has their names). From Dispatch to Finish the call
// holds its sandbox and the CPU that the function asks for.
type FunctionModel struct {
	Overheads
	Start spec.Dist `json:"start"` // to make a sandbox ready
	Exec  spec.Dist `json:"exec"`  // user code

	// Crowded are the overheads that begin while the worker executes, by how many run: those beside 1
	// first. More than it names are as the last. None: they are as long as ever.
	Crowded []Overheads `json:"crowded,omitempty"`
	GPU     *GPUModel   `json:"gpu,omitempty"` // on a GPU; nil: there they are as long
}

// Overheads are the phases of a call that are neither a start-up nor user code.
type Overheads struct {
	Lag      spec.Dist `json:"lag,omitzero"` // of the load generator
	Request  spec.Dist `json:"request"`      // to the queue of the agent
	Dispatch spec.Dist `json:"dispatch"`     // from a ready sandbox to user code
	Finish   spec.Dist `json:"finish"`       // from there to the agent's reply
	Reply    spec.Dist `json:"reply"`        // back to the load generator
}

// beside are the overheads that begin while so many executions run.
func (m *FunctionModel) beside(executions int) *Overheads {
	if executions == 0 || len(m.Crowded) == 0 {
		return &m.Overheads
	}
	return &m.Crowded[min(executions, len(m.Crowded))-1]
}

// GPUModel is the phases that last otherwise on a GPU.
type GPUModel struct {
	Start spec.Dist `json:"start"`
	Exec  spec.Dist `json:"exec"`
}

// startOn is how long a start takes on a device, 0 for CPU.
func (m *FunctionModel) startOn(device int) spec.Dist {
	if device > 0 && m.GPU != nil {
		return m.GPU.Start
	}
	return m.Start
}

// instant reports whether a call of a warm sandbox takes no time.
func (m *FunctionModel) instant() bool {
	return isZero(m.Request) && isZero(m.Dispatch) && isZero(m.Exec) && (m.GPU == nil || isZero(m.GPU.Exec)) && isZero(m.Finish) && isZero(m.Reply)
}

// Model is how long things take on a worker.
type Model struct {
	Functions map[string]FunctionModel `json:"functions"` // by name
	// Slowdown is how many times as long as alone an execution takes where so many
	// run on one worker: that of 1 first. More than it names get no more work done
	// than the last. Without any, executions do not slow each other down.
	Slowdown []float64 `json:"slowdown,omitempty"`
}

// Starting is m with another time that sandboxes take to start, on any device.
func (m Model) Starting(d spec.Dist) Model {
	m.Functions = maps.Clone(m.Functions)
	for _, name := range slices.Sorted(maps.Keys(m.Functions)) {
		f := m.Functions[name]
		f.Start = d
		if f.GPU != nil {
			f.GPU = &GPUModel{Start: d, Exec: f.GPU.Exec}
		}
		m.Functions[name] = f
	}
	return m
}

// Covers returns an error that names a function of the point that the model does not know.
func (m *Model) Covers(p *spec.Point) error {
	for _, f := range p.Functions {
		if _, ok := m.Functions[f.Name]; !ok {
			return fmt.Errorf("durations of function %q were not measured: there are those of %s", f.Name, strings.Join(slices.Sorted(maps.Keys(m.Functions)), ", "))
		}
	}
	return nil
}

// Declared is the model that the functions' profiles make. A function without
// one is an error that names it.
func Declared(p *spec.Point) (Model, error) {
	m := Model{Functions: map[string]FunctionModel{}}
	for _, f := range p.Functions {
		if f.Profile == nil {
			return Model{}, fmt.Errorf("function %q has no profile, so its durations are unknown: "+
				"write profile { warm = \"20ms\"  cold = \"200ms\" }, or give a finished run with --from", f.Name)
		}
		one := FunctionModel{Exec: f.Profile.Warm, Start: f.Profile.Cold}
		if g := f.Profile.GPU; g != nil {
			one.GPU = &GPUModel{Exec: g.Warm, Start: g.Cold}
		}
		m.Functions[f.Name] = one
	}
	return m, nil
}

// TraceReader gives the calls of a trace, from the beginning.
type TraceReader func(t *spec.Trace) (arrival.Calls, error)

// Config is one repeat of a point.
type Config struct {
	Point  *spec.Point
	Model  Model
	Speeds map[string]float64 // of hosts by name, relative to that of the model; a host without one has 1
	// Network is between any two of load generator, balancer and worker. A link has no queue.
	Network spec.Network
	Seed    uint64 // of this repeat; the live run of the same seed has the same arrivals
	Traces  TraceReader
	Log     io.Writer // receives the decision log, a line a decision
	// Record receives each call once it has ended, in the order in which they were made,
	// without Point, Repeat and TID. It must not keep it. Its error ends the simulation.
	Record func(*measure.Call) error

	watch *watch // nil but for Explain
}

// Result is when the sending of each load by name ended, since the load began, and when the
// last call ended.
type Result struct {
	Stopped map[string]time.Duration
	Ended   time.Duration
}

// Run simulates one repeat. It returns early with the cause when ctx ends.
// Memory does not grow with the number of calls, but with that of those under way.
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
		if err := r.calls.record(c.Record); err != nil {
			return Result{}, err
		}
		if steps%1024 == 0 && ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
	}
	result := Result{Stopped: map[string]time.Duration{}, Ended: r.now - began}
	for _, l := range r.loads {
		result.Stopped[l.spec.Name] = l.stopped
	}
	return result, r.log.flush()
}

// function is a spec.Function with its model.
type function struct {
	spec.Function
	id    worker.FunctionID // on every node
	model FunctionModel

	lag, request, dispatch, exec, finish, reply, gpu *rand.Rand
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
	calls     calls
	deadlines map[time.Duration]*deadlines // by time limit
	log       *decisionLog
	point     string // ID
	network   spec.Network
	watch     *watch // nil where nothing is explained
}

func (r *run) deadlinesOf(limit time.Duration) *deadlines {
	d := r.deadlines[limit]
	if d == nil {
		d = &deadlines{run: r, limit: limit}
		r.deadlines[limit] = d
	}
	return d
}

// beside is how many executions the load generator shares its cores with, as it did where the
// model was measured: those of the only worker.
func (r *run) beside() int {
	if len(r.nodes) > 1 {
		return 0
	}
	return r.nodes[0].processor.running
}

// hop is how long a message of so many bytes takes from one host to another.
func (r *run) hop(bytes int64) time.Duration {
	d := r.network.RTT / 2
	if r.network.Bandwidth > 0 {
		d += time.Duration(float64(bytes) * 8e9 / float64(r.network.Bandwidth))
	}
	return d
}

func newRun(c Config) (*run, error) {
	if err := c.Model.Covers(c.Point); err != nil {
		return nil, err
	}
	r := &run{
		seed: c.Seed, functions: map[string]*function{}, calls: calls{first: 1, next: 1},
		deadlines: map[time.Duration]*deadlines{}, log: newDecisionLog(c.Log), point: c.Point.ID, network: c.Network, watch: c.watch,
	}
	functions := make([]*function, 0, len(c.Point.Functions))
	for _, f := range c.Point.Functions {
		chance := func(phase string) *rand.Rand { return stream.New(c.Seed, "sim", phase, f.Name) }
		fn := &function{
			Function: f, model: c.Model.Functions[f.Name],
			lag: chance("lag"), request: chance("request"), dispatch: chance("dispatch"), exec: chance("exec"), finish: chance("finish"), reply: chance("reply"), gpu: chance("gpu"),
		}
		r.functions[f.Name] = fn
		functions = append(functions, fn)
	}
	for _, w := range c.Point.Workers {
		n, err := newNode(r, w, functions, c.Model.Slowdown, c.Speeds[w.Host])
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
				n.handle(worker.Prewarm{Function: r.functions[f.Name].id, Count: count})
			}
		}
	}
	for slices.ContainsFunc(r.nodes, func(n *node) bool { return n.core.Status().Starting > 0 }) && r.step() {
	}
}
