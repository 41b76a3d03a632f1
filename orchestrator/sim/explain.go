package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// Decision is one that was made on the way of a call.
type Decision struct {
	At         int64    `json:"at_ns"` // since the load of the call began
	By         string   `json:"by"`    // name of a balancer or worker
	What       string   `json:"what"`  // "route", "queue", "dequeue", "sandbox", "evict", "start" or "fail"
	Inputs     []string `json:"inputs"`
	Candidates []Scored `json:"candidates"` // in the order of the policy, where it has one
	Choice     string   `json:"choice"`
}

// Scored is what could have been chosen.
type Scored struct {
	Name   string `json:"name"`  // of a worker, or the id of a call or sandbox
	Of     string `json:"of"`    // its function, "" for a worker
	Score  string `json:"score"` // what it was compared by
	Chosen bool   `json:"chosen"`
}

// errExplained ends a simulation of which no more is wanted.
var errExplained = errors.New("the call has ended")

// Explain simulates a repeat again until a call has ended, which Config.Record was given in that
// simulation, and returns the decisions that were made about it. Log and Record of the Config are not used.
// An error says that the call came out otherwise: what is simulated is not the same.
func Explain(ctx context.Context, c Config, call *measure.Call) ([]Decision, error) {
	w := &watch{load: call.Load, seq: call.Seq, repeat: call.Repeat}
	var again measure.Call
	c.Log, c.watch = io.Discard, w
	c.Record = func(row *measure.Call) error {
		if row.Load != call.Load || row.Seq != call.Seq {
			return nil
		}
		again = *row
		return errExplained
	}
	if _, err := Run(ctx, c); !errors.Is(err, errExplained) {
		return nil, errors.Join(err, errors.New("the call was not made"))
	}
	if again.Point, again.Repeat, again.TID = call.Point, call.Repeat, call.TID; again != *call {
		return nil, errors.New("this ainur, or what it reads, simulates it with another outcome than was recorded")
	}
	return w.decisions, nil
}

// watch looks on while a call is decided about. It reads the cores between their events, so that they have
// nothing to do with it.
type watch struct {
	load      string
	seq       int64
	repeat    int
	call      *call // once it is made
	decisions []Decision

	waits bool          // in the queue of its node
	queue []worker.Call // before an event
	idle  []worker.Idle
}

// made is told of each call; it may be the one.
func (w *watch) made(c *call) {
	if w != nil && c.row.Load == w.load && c.row.Seq == w.seq {
		w.call = c
	}
}

func (w *watch) decide(what, by string, inputs []string, candidates []Scored, choice string) {
	w.decisions = append(w.decisions, Decision{w.call.time(), by, what, append([]string{}, inputs...), append([]Scored{}, candidates...), choice})
}

// routes is told before a balancer chooses for c, and calls the function that it returns afterwards.
func (w *watch) routes(r *router, c *call) (chosen func(worker string)) {
	if w == nil || c != w.call {
		return func(string) {}
	}
	members := r.core.Members()
	return func(worker string) {
		var all []Scored
		for _, m := range members {
			all = append(all, Scored{Name: m.Worker, Score: fmt.Sprintf("%d in flight on %s cores", m.InFlight, cores(m.MilliCPU)), Chosen: m.Worker == worker})
		}
		w.decide("route", r.name, []string{"function " + c.function.Name}, all, worker)
	}
}

// before is told of an event at a node, and after of the actions.
func (w *watch) before(n *node) {
	if w != nil && w.call != nil && w.call.node == n {
		w.queue, w.idle = n.core.Queue(), n.core.Idle()
		if !slices.ContainsFunc(w.queue, func(c worker.Call) bool { return c.Invocation == w.call.id }) {
			w.queue = n.core.GPUQueue()
		}
	}
}

func (w *watch) after(n *node, ev worker.Event, actions []worker.Action) {
	if w == nil || w.call == nil || w.call.node != n {
		return
	}
	id := w.call.id
	is, known := n.core.Call(id)
	arrive, arrives := ev.(worker.Arrive)
	if arrives = known && arrives && arrive.Invocation == id; arrives {
		w.joins(n, is)
	}
	if w.waits {
		w.evicts(n, actions)
	}
	if w.waits && known && !is.Waits {
		w.waits = false
		if !arrives {
			others := w.queue
			if !slices.ContainsFunc(others, func(c worker.Call) bool { return c.Invocation == id }) {
				others = nil // it was let past them
			}
			w.decide("dequeue", n.name, occupancy(n), w.scored(others), w.tid(id))
		}
		w.takes(n, actions)
	}
	w.ends(n, actions)
}

// joins is the decision about the place in the queue.
func (w *watch) joins(n *node, c worker.Call) {
	w.waits = true
	if p, ok := n.core.Placed(c.Invocation); ok {
		w.places(n, p)
	}
	inputs := []string{"no execution was seen yet"}
	if c.Item.Known {
		inputs = []string{"execution expected: " + c.Item.Exec.String(), "with a start where none is idle: " + c.Item.Expected.String()}
	}
	if c.Item.Interval > 0 {
		inputs = append(inputs, "time between calls: "+c.Item.Interval.String())
	}
	if c.Bypassed {
		w.decide("queue", n.name, inputs, w.scored(w.queue), "past it, for it is short")
		return
	}
	if c.GPU {
		w.queue = n.core.GPUQueue()
		w.decide("queue", n.name, inputs, w.scored(w.queue), fmt.Sprintf("for a GPU, with %d", len(w.queue)))
		return
	}
	place := len(w.queue)
	for place > 0 && w.queue[place-1].Rank > c.Rank {
		place--
	}
	w.queue = slices.Insert(w.queue, place, c)
	w.decide("queue", n.name, inputs, w.scored(w.queue), fmt.Sprintf("place %d of %d", place+1, len(w.queue)))
}

// places is the decision between CPU and GPU.
func (w *watch) places(n *node, p worker.Placement) {
	score := func(s placement.Side) string {
		if !s.Known {
			return fmt.Sprintf("never executed there, %d waiting", s.Waiting)
		}
		return fmt.Sprintf("wait %v, then %v of which %v execution, %d waiting", s.Wait, s.Service, s.Exec, s.Waiting)
	}
	inputs := []string{
		"function " + w.call.function.Name, fmt.Sprintf("%d invocations may run on GPUs at a time", p.Call.Tokens),
		fmt.Sprintf("%d functions wait for a GPU", p.Call.Active),
	}
	w.decide("placement", n.name, inputs, []Scored{
		{Name: "cpu", Score: score(p.Call.CPU), Chosen: p.Where != placement.GPU},
		{Name: "gpu", Score: score(p.Call.GPU), Chosen: p.Where != placement.CPU},
	}, p.Where.String())
}

// occupancy is what of a worker is in use.
func occupancy(n *node) []string {
	s := n.core.Status()
	return []string{
		fmt.Sprintf("%s of %s cores in use", cores(s.MilliCPUUsed), cores(s.MilliCPULimit)),
		fmt.Sprintf("%d of %d MiB in use", s.MemoryUsed>>20, s.Memory>>20),
	}
}

func cores(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'g', -1, 64) }

// evicts is the decision about which sandboxes go for the memory that they hold.
func (w *watch) evicts(n *node, actions []worker.Action) {
	var all []Scored
	for _, b := range w.idle {
		all = append(all, Scored{box(b.Sandbox), n.functions[b.Function-1].Name, fmt.Sprintf("priority %g, %d MiB", b.Priority, b.Memory>>20), false})
	}
	gone := 0
	for _, a := range actions {
		if a.Op != worker.Remove || a.Why != worker.Evicted {
			continue
		}
		gone++
		i := slices.IndexFunc(all, func(s Scored) bool { return s.Name == box(a.Sandbox) })
		if i < 0 {
			i, all = len(all), append(all, Scored{box(a.Sandbox), n.functions[a.Function-1].Name, "idle since now", false})
		}
		all[i].Chosen = true
	}
	if gone == 0 {
		return
	}
	choice := fmt.Sprintf("%d of %d", gone, len(all))
	if left := n.core.Queue(); len(left) > 0 {
		choice += " for " + w.tid(left[0].Invocation)
	}
	w.decide("evict", n.name, occupancy(n), all, choice)
}

// takes is the decision about the sandbox, of those of its function that were idle.
func (w *watch) takes(n *node, actions []worker.Action) {
	var all []Scored
	choice := "one in the making"
	for _, a := range actions {
		switch {
		case a.Op == worker.Start && a.Invocation == w.call.id:
			choice = box(a.Sandbox)
		case a.Op == worker.Create && a.Function == w.call.function.id:
			choice = box(a.Sandbox) + ", a new one"
		}
	}
	for _, b := range w.idle {
		if b.Function == w.call.function.id {
			all = append(all, Scored{box(b.Sandbox), w.call.function.Name, fmt.Sprintf("served %d", b.Uses), box(b.Sandbox) == choice})
		}
	}
	inputs := []string{"idle ones of the function before: " + strconv.Itoa(len(all))}
	w.decide("sandbox", n.name, inputs, all, choice)
}

// ends is the decision to start the call, or not to.
func (w *watch) ends(n *node, actions []worker.Action) {
	for _, a := range actions {
		switch {
		case a.Invocation != w.call.id:
		case a.Op == worker.Start:
			w.decide("start", n.name, nil, nil, box(a.Sandbox)+", "+a.Kind.String())
		case a.Op == worker.Fail:
			w.waits = false
			w.decide("fail", n.name, occupancy(n), nil, a.Why.String())
		}
	}
}

func (w *watch) scored(queue []worker.Call) (all []Scored) {
	for _, c := range queue {
		score := "rank " + c.Rank.String()
		if c.GPU {
			score = "predicted " + c.Item.Expected.String()
		}
		all = append(all, Scored{w.tid(c.Invocation), c.Item.Name, score, c.Invocation == w.call.id})
	}
	return all
}

// tid is the transaction id of a call that has not been recorded yet.
func (w *watch) tid(id worker.InvocationID) string {
	r := w.call.load.run
	c := r.calls.get(id)
	return measure.TID(r.point, w.repeat, c.row.Load, c.row.Seq)
}

func box(id worker.SandboxID) string { return "sandbox " + strconv.FormatUint(uint64(id), 10) }
