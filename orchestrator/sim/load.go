package sim

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// startAllowance is added to a function's time limit for the caller's deadline
// where the load declares none; the live load generator does the same.
const startAllowance = 30 * time.Second

// defaultMaxInFlight caps an open load that sets no max_in_flight, live as here.
const defaultMaxInFlight = 10_000

// load is a load generator in virtual time. It is never late: lag is 0.
type load struct {
	run       *run
	spec      *spec.Load
	began     time.Duration
	traces    TraceReader
	scheduled bool // phases or arrivals are still to come
	clients   int  // closed loop: that have not stopped
	inFlight  int
	calls     []measure.Call
}

func newLoad(r *run, s *spec.Load, traces TraceReader) (*load, error) {
	l := &load{run: r, spec: s, began: r.now, traces: traces, scheduled: true}
	var start time.Duration
	for i := range s.Phases {
		p := &s.Phases[i]
		begin, err := l.phase(p, start, i == len(s.Phases)-1)
		if err != nil {
			return nil, fmt.Errorf("phase %s: %w", p.Name, err)
		}
		r.at(l.began+start, begin)
		start += p.Duration
	}
	return l, nil
}

// phase returns what happens when p begins, start after the load did.
func (l *load) phase(p *spec.Phase, start time.Duration, last bool) (begin func(), err error) {
	if !p.Arrival.Open() {
		if err := l.advances(p); err != nil {
			return nil, err
		}
		end := l.began + start + p.Duration
		return func() {
			l.clients += p.Arrival.Clients
			l.scheduled = !last
			for n := range p.Arrival.Clients {
				l.client(p, arrival.NewClient(*l.spec, *p, l.run.seed, n), end)
			}
		}, nil
	}
	var calls arrival.Calls
	if p.Arrival.Trace != nil {
		if calls, err = l.traces(p.Arrival.Trace); err != nil {
			return nil, err
		}
	}
	schedule, err := arrival.New(*l.spec, *p, l.run.seed, calls)
	if err != nil {
		return nil, err
	}
	var next func()
	next = func() {
		a, ok := schedule.Next()
		if !ok {
			l.scheduled = !last
			return
		}
		l.run.at(l.began+start+a.At, func() {
			l.send(p, a.Function, nil)
			next()
		})
	}
	return next, nil
}

// advances makes sure that a closed loop takes time: without any it would call for ever.
func (l *load) advances(p *spec.Phase) error {
	mix := p.Mix
	if len(mix) == 0 {
		mix = l.spec.Mix
	}
	for _, w := range mix {
		if m := l.run.functions[w.Function].model; isZero(m.Exec) && isZero(m.Overhead) && isZero(p.Arrival.Think) {
			return fmt.Errorf("function %q takes no time and its clients do not think: in virtual time they would call for ever; "+
				"give profile { warm } or think a duration", w.Function)
		}
	}
	return nil
}

func isZero(d spec.Dist) bool { return d.Mean == 0 && d.Max == 0 && len(d.Samples) == 0 }

// client lets one client of a closed loop think and call, again and again
// until the phase ends.
func (l *load) client(p *spec.Phase, c *arrival.Client, end time.Duration) {
	think, function := c.Next()
	if l.run.now+think >= end {
		l.clients--
		return
	}
	l.run.after(think, func() {
		l.send(p, function, func() { l.client(p, c, end) })
	})
}

// call is one call under way.
type call struct {
	load     *load
	row      measure.Call
	id       worker.InvocationID
	function *function
	exec     time.Duration
	overhead time.Duration
	node     *node  // that has it; nil before and after
	member   uint64 // of the balancer, that it was sent to
	running  bool
	ended    bool
	then     func()
}

func (l *load) send(p *spec.Phase, name string, then func()) {
	f := l.run.functions[name]
	now := int64(l.run.now - l.began)
	c := &call{
		load: l, function: f, id: l.run.nextCall(), then: then,
		exec: arrival.Draw(f.model.Exec, f.exec), overhead: arrival.Draw(f.model.Overhead, f.overhead),
		row: measure.Call{
			Phase: p.Name, Record: p.Record, Seq: int64(len(l.calls)), Function: name,
			TID: fmt.Sprintf("%s-%d", l.spec.Name, len(l.calls)), Intended: now, Sent: now,
			Accepted: measure.Missing, Queued: measure.Missing, Dequeued: measure.Missing, SandboxReady: measure.Missing,
			ExecStart: measure.Missing, ExecEnd: measure.Missing, Replied: measure.Missing, Received: measure.Missing,
			Memory: measure.Missing, BytesOut: int64(len(f.Args)),
		},
	}
	l.calls = append(l.calls, measure.Call{})                                        // its place, in the order of the schedule
	if then == nil && l.inFlight >= cmp.Or(l.spec.MaxInFlight, defaultMaxInFlight) { // a closed loop caps itself
		c.row.Sent, c.row.Status = measure.Missing, measure.Dropped
		c.row.Error = fmt.Sprintf("%d calls were in flight, the most allowed", l.inFlight)
		l.calls[c.row.Seq] = c.row
		return
	}
	l.inFlight++
	l.run.after(cmp.Or(l.spec.Timeout, f.Timeout+startAllowance), c.expire)
	l.run.after(c.overhead/2, c.deliver)
}

func (c *call) time() int64 { return int64(c.load.run.now - c.load.began) }

func (c *call) deliver() {
	if c.ended {
		return
	}
	r := c.load.run
	c.node = r.nodes[0]
	if r.router != nil {
		if c.node = r.router.pick(c); c.node == nil {
			c.refused("no worker is a member of the balancer")
			return
		}
	}
	c.row.Host = c.node.name
	c.row.Accepted, c.row.Queued = c.time(), c.time()
	c.node.calls[c.id] = c
	c.node.handle(worker.Arrive{Invocation: c.id, Function: c.node.functions[c.function.Name]})
}

func (c *call) started(a worker.Action) {
	c.running = true
	c.row.ColdKind = a.Kind.String()
	c.row.Dequeued = int64(a.Dequeued - c.load.began)
	c.row.SandboxReady, c.row.ExecStart = c.time(), c.time()
}

func (c *call) executed(inTime bool) {
	c.row.ExecEnd, c.row.Replied = c.time(), c.time()
	c.row.Status, c.row.Memory = measure.OK, c.function.memory()
	if !inTime {
		c.row.Status, c.row.Memory = measure.Timeout, measure.Missing
		c.row.Error = fmt.Sprintf("no reply within the function's timeout of %v", c.function.Timeout)
		c.row.ExecEnd = measure.Missing
	}
	c.leave()
	c.load.run.after(c.overhead-c.overhead/2, c.end)
}

func (c *call) refused(why string) {
	c.row.Status, c.row.Error = measure.Refused, why
	c.leave()
	c.load.run.after(c.overhead-c.overhead/2, c.end)
}

// expire ends a call whose caller has waited long enough.
func (c *call) expire() {
	if c.ended {
		return
	}
	if n := c.node; n != nil {
		c.leave()
		n.giveUp(c)
	}
	c.row.Status, c.row.Error = measure.Timeout, "the caller's deadline passed"
	c.row.ExecEnd, c.row.Replied = measure.Missing, measure.Missing
	c.end()
}

// leave takes the call from its node and from the balancer's count.
func (c *call) leave() {
	if r := c.load.run.router; r != nil && c.node != nil {
		r.done(c)
	}
	c.node = nil
}

func (c *call) end() {
	if c.ended {
		return
	}
	c.ended = true
	c.row.Received = c.time()
	l := c.load
	l.calls[c.row.Seq] = c.row
	l.inFlight--
	if c.then != nil {
		c.then()
	}
}
