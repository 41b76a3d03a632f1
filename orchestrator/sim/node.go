package sim

import (
	"math/rand/v2"
	"time"

	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

// node is a simulated agent: the scheduler of a worker, with sandboxes that
// are durations.
type node struct {
	run       *run
	name      string
	index     int
	core      *worker.Worker
	functions map[string]worker.FunctionID
	specs     []*function // by FunctionID - 1
	starts    []*rand.Rand
	calls     map[worker.InvocationID]*call
	boxes     map[worker.SandboxID]worker.InvocationID // what runs in it, 0 when nothing
	actions   []worker.Action
	tick      time.Duration // planned; 0 when none
}

func newNode(r *run, index int, w spec.Worker, functions []*function) (*node, error) {
	queuePolicy, err := queue.Builtin().Build(w.Queue.Name, w.Queue.Decode)
	if err != nil {
		return nil, err
	}
	keepAlive, err := keepalive.Builtin().Build(w.KeepAlive.Name, w.KeepAlive.Decode)
	if err != nil {
		return nil, err
	}
	n := &node{
		run: r, name: w.Name, index: index,
		core: worker.New(worker.Config{
			MilliCPU: w.MilliCPU, Memory: int64(w.Memory), Queue: queuePolicy, KeepAlive: keepAlive,
		}),
		functions: map[string]worker.FunctionID{}, calls: map[worker.InvocationID]*call{}, boxes: map[worker.SandboxID]worker.InvocationID{},
	}
	for _, f := range functions {
		id, err := n.core.Register(worker.Function{Name: f.Name, MilliCPU: f.MilliCPU, Memory: int64(f.Memory)})
		if err != nil {
			return nil, err
		}
		n.functions[f.Name] = id
		n.specs = append(n.specs, f)
		n.starts = append(n.starts, stream.New(r.seed, "sim", "start", w.Name, f.Name))
	}
	return n, nil
}

// handle gives ev to the scheduler and turns what it decides into events.
func (n *node) handle(ev worker.Event) {
	now := n.run.now
	n.actions = n.core.Handle(now, ev, n.actions[:0])
	for _, a := range n.actions {
		n.run.log.action(now, n.name, a)
		switch a.Op {
		case worker.Start:
			n.start(a)
		case worker.Create:
			took := arrival.Draw(n.specs[a.Function-1].model.Start, n.starts[a.Function-1])
			n.run.after(took, func() { n.handle(worker.Up{Sandbox: a.Sandbox}) })
		case worker.Remove:
			n.run.after(0, func() { n.handle(worker.Removed{Sandbox: a.Sandbox}) })
		case worker.Fail:
			if c := n.calls[a.Invocation]; c != nil {
				delete(n.calls, a.Invocation)
				c.refused(a.Why.String())
			}
		case worker.Refuse: // the prewarming was partial, as it would be live
		}
	}
	if at, ok := n.core.Deadline(); ok && at != n.tick {
		n.tick = at
		n.run.at(at, func() {
			if n.tick == at {
				n.tick = 0
				n.handle(worker.Tick{})
			}
		})
	}
}

// start runs a call for as long as it was drawn to take, or to its time limit.
func (n *node) start(a worker.Action) {
	c := n.calls[a.Invocation]
	c.started(a)
	took, inTime := c.exec, true
	if limit := c.function.Timeout; limit > 0 && took > limit {
		took, inTime = limit, false
	}
	n.run.after(took, func() {
		if c.node != n { // its caller gave up, and its sandbox was ended
			return
		}
		delete(n.calls, a.Invocation)
		c.executed(inTime)
		n.handle(worker.Finished{Invocation: a.Invocation, Exec: took, Usable: inTime})
	})
}

// giveUp ends a call whose deadline passed, wherever it is.
func (n *node) giveUp(c *call) {
	delete(n.calls, c.id)
	if c.running {
		n.handle(worker.Finished{Invocation: c.id})
		return
	}
	n.handle(worker.Cancel{Invocation: c.id})
}
