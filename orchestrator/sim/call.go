package sim

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// call is one call under way. Calls are used again: what is planned for one
// names its id, and is void for the next.
type call struct {
	load     *load
	row      measure.Call
	id       worker.InvocationID
	function *function
	dispatch time.Duration
	exec     time.Duration
	reply    time.Duration
	node     *node  // that has it; nil before and after
	route    *node  // that the balancer sent it to; nil before, and once the balancer knows that it is over
	member   uint64 // of the balancer, that route is
	running  bool
	limited  bool // it ends at the function's time limit
	ended    bool
	client   *client // of a closed loop, that waits for it

	deadlines *deadlines // it is in; nil when in none
	deadline  time.Duration
	previous  *call // in deadlines
	next      *call
	job       *job // of its node's processor, while it has one
}

// calls are those that have been sent and not yet recorded, by id: ids are given
// in order, and calls are recorded in order.
type calls struct {
	ring  []*call // of a power of two; the call of an id is at id modulo the length
	first worker.InvocationID
	next  worker.InvocationID
	free  []*call
}

// add returns a new call.
func (c *calls) add() *call {
	if int(c.next-c.first) == len(c.ring) {
		grown := make([]*call, max(64, 2*len(c.ring)))
		for id := c.first; id < c.next; id++ {
			grown[int(id)&(len(grown)-1)] = c.ring[int(id)&(len(c.ring)-1)]
		}
		c.ring = grown
	}
	var one *call
	if last := len(c.free) - 1; last >= 0 {
		one, c.free = c.free[last], c.free[:last]
		*one = call{}
	} else {
		one = &call{}
	}
	one.id = c.next
	c.ring[int(c.next)&(len(c.ring)-1)] = one
	c.next++
	return one
}

// get returns a call that has been added and not recorded.
func (c *calls) get(id worker.InvocationID) *call { return c.ring[int(id)&(len(c.ring)-1)] }

// record gives every call that has ended to f, up to the first that has not.
func (c *calls) record(f func(*measure.Call) error) error {
	for c.first < c.next {
		one := c.get(c.first)
		if !one.ended {
			return nil
		}
		if err := f(&one.row); err != nil {
			return err
		}
		c.first++
		one.id = 0
		c.free = append(c.free, one)
	}
	return nil
}

func (c *call) happen(what happening, id uint64) {
	if uint64(c.id) != id {
		return
	}
	switch what {
	case callDelivered:
		c.deliver()
	case callRouted:
		c.arrive(c.route)
	case callPassed:
		c.passed()
	case callDispatched:
		c.node.processor.run(c)
	case callLimited:
		if c.job != nil {
			c.limited = true
			c.node.executed(c)
		}
	case callExecuted:
		c.node.executed(c)
	case callFinished:
		c.node.finished(c)
	case callAnswered:
		c.end()
	}
}

func (c *call) after(d time.Duration, what happening) { c.load.run.after(d, c, what, uint64(c.id)) }

func (c *call) time() int64 { return int64(c.load.run.now - c.load.began) }

func (c *call) deliver() {
	if c.ended {
		return
	}
	r := c.load.run
	if r.router == nil {
		c.arrive(r.nodes[0])
		return
	}
	if c.route = r.router.pick(c); c.route == nil {
		c.refused("no worker is a member of the balancer")
		return
	}
	if hop := r.hop(c.row.BytesOut); hop > 0 {
		c.after(hop, callRouted)
		return
	}
	c.arrive(c.route)
}

// arrive is the call's arrival at a worker.
func (c *call) arrive(n *node) {
	if c.ended {
		return
	}
	c.node = n
	c.row.Host = n.name
	c.row.Accepted, c.row.Queued = c.time(), c.time()
	c.node.handle(worker.Arrive{Invocation: c.id, Function: c.function.id})
}

func (c *call) started(a worker.Action) {
	c.running = true
	c.row.ColdKind = a.Kind.String()
	if c.node.gpus {
		c.row.Device = "cpu"
	}
	c.row.Dequeued = int64(a.Dequeued - c.load.began)
	c.row.SandboxReady = c.time()
	c.dispatch = c.node.takes(arrival.Draw(c.overheads().Dispatch, c.function.dispatch))
	c.exec = c.node.takes(c.exec)
	c.row.ExecStart = c.row.SandboxReady + int64(c.dispatch)
}

// finished is the agent's reply.
func (c *call) finished() {
	c.row.Replied = c.time()
	c.row.Status, c.row.Memory = measure.OK, c.function.memory()
	if c.limited {
		c.row.Status, c.row.Memory = measure.Timeout, measure.Missing
		c.row.Error = fmt.Sprintf("no reply within the function's timeout of %v", c.function.Timeout)
		c.row.ExecEnd = measure.Missing
	}
	c.answer()
}

func (c *call) refused(why string) {
	c.row.Status, c.row.Error = measure.Refused, why
	c.answer()
}

// answer sends the reply of the worker, or of the balancer.
func (c *call) answer() {
	c.reply = arrival.Draw(c.overheads().Reply, c.function.reply) + c.load.run.hop(0)
	c.node = nil
	if hop := c.load.run.hop(0); c.route != nil && hop > 0 {
		c.after(hop, callPassed)
		return
	}
	c.passed()
}

// passed is the reply at the balancer, where there is one.
func (c *call) passed() {
	c.leave()
	c.after(c.reply, callAnswered)
}

// overheads are those that begin now.
func (c *call) overheads() *Overheads {
	if c.node == nil {
		return &c.function.model.Overheads
	}
	return c.function.model.beside(c.node.processor.running)
}

// expire ends a call whose caller has waited long enough.
func (c *call) expire() {
	n := c.node
	c.leave()
	if n != nil {
		n.giveUp(c)
	}
	c.row.Status, c.row.Error = measure.Timeout, "the caller's deadline passed"
	if c.row.ExecStart > c.time() { // it was not yet in user code
		c.row.ExecStart = measure.Missing
	}
	c.row.ExecEnd, c.row.Replied = measure.Missing, measure.Missing
	c.end()
}

// leave takes the call from its node and from the balancer's count.
func (c *call) leave() {
	if c.route != nil {
		c.load.run.router.done(c)
	}
	c.node, c.route = nil, nil
}

func (c *call) end() {
	if c.ended {
		return
	}
	c.ended = true
	c.row.Received = c.time()
	if c.deadlines != nil {
		c.deadlines.remove(c)
	}
	c.load.inFlight--
	if c.client != nil {
		c.client.next()
	}
}

// deadlines are the calls of one time limit, the first to expire first. One
// event stands for all of them.
type deadlines struct {
	run         *run
	limit       time.Duration
	first, last *call
	planned     bool
}

func (d *deadlines) add(c *call) {
	c.deadlines, c.deadline, c.previous = d, d.run.now+d.limit, d.last
	if d.last == nil {
		d.first = c
	} else {
		d.last.next = c
	}
	d.last = c
	d.plan()
}

func (d *deadlines) remove(c *call) {
	if c.previous == nil {
		d.first = c.next
	} else {
		c.previous.next = c.next
	}
	if c.next == nil {
		d.last = c.previous
	} else {
		c.next.previous = c.previous
	}
	c.deadlines, c.previous, c.next = nil, nil, nil
}

func (d *deadlines) plan() {
	if !d.planned && d.first != nil {
		d.planned = true
		d.run.at(d.first.deadline, d, deadlinePasses, 0)
	}
}

func (d *deadlines) happen(happening, uint64) {
	for d.first != nil && d.first.deadline <= d.run.now {
		d.first.expire()
	}
	d.planned = false
	d.plan()
}
