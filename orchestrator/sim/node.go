package sim

import (
	"math/rand/v2"
	"strconv"
	"time"

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
	gpus      bool // it has some
	core      *worker.Worker
	functions []*function  // by FunctionID - 1
	starts    []*rand.Rand // likewise
	processor *processor
	actions   []worker.Action
	tick      time.Duration // planned; 0 when none
	speed     float64       // how many times as fast as the model; 0 is 1
}

func newNode(r *run, w spec.Worker, functions []*function, slowdown []float64, speed float64) (*node, error) {
	config, err := worker.Configured(w)
	if err != nil {
		return nil, err
	}
	config.Seed = stream.Derive(r.seed, "sim", "policies", w.Name)
	n := &node{run: r, name: w.Name, functions: functions, gpus: w.GPU.Count > 0, core: worker.New(config), speed: speed}
	n.processor = &processor{node: n, slowdown: slowdown}
	for _, f := range functions {
		id, err := n.core.Register(worker.Registered(f.Function))
		if err != nil {
			return nil, err
		}
		f.id = id // the same on every node, for all register the same functions in the same order
		n.starts = append(n.starts, stream.New(r.seed, "sim", "start", w.Name, f.Name))
	}
	if every := n.core.Sampling(); every > 0 {
		r.after(every, n, loadSampled, 0)
	}
	return n, nil
}

func (n *node) happen(what happening, id uint64) {
	switch what {
	case sandboxUp:
		n.handle(worker.Up{Sandbox: worker.SandboxID(id)})
	case sandboxRemoved:
		n.handle(worker.Removed{Sandbox: worker.SandboxID(id)})
	case loadSampled:
		n.handle(worker.Load{MilliCPU: int64(n.core.Status().Running) * 1000})
		n.run.after(n.core.Sampling(), n, loadSampled, 0)
	case workerTicks:
		if n.tick == n.run.now {
			n.tick = 0
			n.handle(worker.Tick{})
		}
	}
}

// handle gives ev to the scheduler and turns what it decides into events.
func (n *node) handle(ev worker.Event) {
	now := n.run.now
	n.run.watch.before(n)
	n.actions = n.core.Handle(now, ev, n.actions[:0])
	n.run.watch.after(n, ev, n.actions)
	for _, a := range n.actions {
		n.run.log.action(now, n.name, a)
		switch a.Op {
		case worker.Start:
			c := n.run.calls.get(a.Invocation)
			c.started(a)
			if a.Device > 0 {
				n.startOnGPU(c, a.Device)
			} else {
				n.processor.start(c)
			}
		case worker.Create:
			took := arrival.Draw(n.functions[a.Function-1].model.startOn(a.Device), n.starts[a.Function-1])
			n.run.after(n.takes(took), n, sandboxUp, uint64(a.Sandbox))
		case worker.Remove:
			n.run.after(0, n, sandboxRemoved, uint64(a.Sandbox))
		case worker.Fail:
			if c := n.run.calls.get(a.Invocation); c.id == a.Invocation && c.node == n {
				c.refused(a.Why.String())
			}
		case worker.Refuse: // the prewarming was partial, as it would be live
		}
	}
	if at, ok := n.core.Deadline(); ok && at != n.tick {
		n.tick = at
		n.run.at(at, n, workerTicks, 0)
	}
}

// takes is how long something takes here that the model says takes d.
func (n *node) takes(d time.Duration) time.Duration {
	if n.speed == 0 {
		return d
	}
	return time.Duration(float64(d) / n.speed)
}

// startOnGPU runs c on a device, where those that run on CPU do not slow it down.
func (n *node) startOnGPU(c *call, device int) {
	if g := c.function.model.GPU; g != nil {
		c.exec = n.takes(arrival.Draw(g.Exec, c.function.gpu))
	}
	c.row.Device = gpuNames[device-1]
	n.processor.alone(c)
}

// gpuNames are what calls that ran there are recorded with.
var gpuNames = func() (all []string) {
	for i := range 64 {
		all = append(all, "gpu"+strconv.Itoa(i))
	}
	return all
}()

// executed ends the execution of c.
func (n *node) executed(c *call) {
	if n == nil { // its caller gave up, and its sandbox was ended
		return
	}
	n.processor.end(c)
	c.row.ExecEnd = c.time()
	n.run.after(n.takes(arrival.Draw(c.overheads().Finish, c.function.finish)), c, callFinished, uint64(c.id))
}

// finished ends c on this worker.
func (n *node) finished(c *call) {
	if n == nil {
		return
	}
	took := time.Duration(c.row.ExecEnd - c.row.ExecStart)
	c.finished()
	n.handle(worker.Finished{Invocation: c.id, Exec: took, Usable: !c.limited})
}

// giveUp ends a call whose deadline passed, wherever it is.
func (n *node) giveUp(c *call) {
	if c.running {
		n.processor.end(c)
		n.handle(worker.Finished{Invocation: c.id})
		return
	}
	n.handle(worker.Cancel{Invocation: c.id})
}
