package sim

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// startAllowance is added to a function's time limit for the caller's deadline
// where the load declares none; the live load generator does the same.
const startAllowance = 30 * time.Second

// defaultMaxInFlight caps an open load that sets no max_in_flight, live as here.
const defaultMaxInFlight = 10_000

// load is a load generator in virtual time.
type load struct {
	run       *run
	spec      *spec.Load
	began     time.Duration
	stopped   time.Duration // when sending ended, since it began
	aborted   bool
	scheduled bool // phases or arrivals are still to come
	clients   int  // closed loop: that have not stopped
	inFlight  int
	sent      int64
}

func newLoad(r *run, s *spec.Load, traces TraceReader) (*load, error) {
	l := &load{run: r, spec: s, began: r.now, scheduled: true}
	for i := range s.Phases {
		p := &phase{load: l, spec: &s.Phases[i], start: l.stopped, last: i == len(s.Phases)-1}
		if err := p.prepare(traces); err != nil {
			return nil, fmt.Errorf("phase %s: %w", p.spec.Name, err)
		}
		r.at(l.began+p.start, p, phaseBegins, 0)
		l.stopped += p.spec.Duration
	}
	return l, nil
}

// abort ends the sending.
func (l *load) abort() { l.aborted, l.scheduled, l.stopped = true, false, l.run.now-l.began }

// phase is one phase of a load.
type phase struct {
	load     *load
	spec     *spec.Phase
	start    time.Duration    // since the load began
	schedule arrival.Schedule // of an open phase
	next     arrival.Arrival  // that is planned
	last     bool             // of the load
}

func (p *phase) prepare(traces TraceReader) (err error) {
	if !p.spec.Arrival.Open() {
		return p.advances()
	}
	var calls arrival.Calls
	if p.spec.Arrival.Trace != nil {
		if calls, err = traces(p.spec.Arrival.Trace); err != nil {
			return err
		}
	}
	p.schedule, err = arrival.New(*p.load.spec, *p.spec, p.load.run.seed, calls)
	return err
}

// advances makes sure that a closed loop takes time: without any it would call for ever.
func (p *phase) advances() error {
	mix := p.spec.Mix
	if len(mix) == 0 {
		mix = p.load.spec.Mix
	}
	for _, w := range mix {
		if p.load.run.functions[w.Function].model.instant() && isZero(p.spec.Arrival.Think) {
			return fmt.Errorf("function %q takes no time and its clients do not think: in virtual time they would call for ever; "+
				"give profile { warm } or think a duration", w.Function)
		}
	}
	return nil
}

func isZero(d spec.Dist) bool { return d.Mean == 0 && d.Max == 0 && len(d.Samples) == 0 }

func (p *phase) happen(what happening, _ uint64) {
	l := p.load
	if l.aborted {
		return
	}
	switch {
	case what == nextArrives:
		l.send(p.spec, p.next.Function, nil)
		if !l.aborted {
			p.plan()
		}
	case p.schedule != nil:
		p.plan()
	default:
		l.clients += p.spec.Arrival.Clients
		l.scheduled = !p.last
		for n := range p.spec.Arrival.Clients {
			c := &client{phase: p, draws: arrival.NewClient(*l.spec, *p.spec, l.run.seed, n)}
			c.next()
		}
	}
}

// plan plans the next arrival of an open phase.
func (p *phase) plan() {
	var ok bool
	if p.next, ok = p.schedule.Next(); !ok {
		p.load.scheduled = !p.last
		return
	}
	p.load.run.at(p.load.began+p.start+p.next.At, p, nextArrives, 0)
}

// client is one client of a closed loop: it thinks and calls, again and again
// until the phase ends.
type client struct {
	phase    *phase
	draws    *arrival.Client
	function string // that it calls next
	thought  bool   // before it, so that the generator may be late
}

func (c *client) next() {
	think, function := c.draws.Next()
	l := c.phase.load
	if l.run.now+think >= l.began+c.phase.start+c.phase.spec.Duration {
		l.clients--
		return
	}
	c.function, c.thought = function, think > 0
	l.run.after(think, c, clientCalls, 0)
}

func (c *client) happen(happening, uint64) { c.phase.load.send(c.phase.spec, c.function, c) }

// send makes a call; from is the client that makes it in a closed loop.
func (l *load) send(p *spec.Phase, name string, from *client) {
	f := l.run.functions[name]
	now := int64(l.run.now - l.began)
	c := l.run.calls.add()
	c.load, c.function, c.client = l, f, from
	c.exec = arrival.Draw(f.model.Exec, f.exec)
	c.row = measure.Call{
		Load: l.spec.Name, Phase: p.Name, Record: p.Record, Seq: l.sent, Function: name, Intended: now, Sent: now,
		Accepted: measure.Missing, Queued: measure.Missing, Dequeued: measure.Missing, SandboxReady: measure.Missing,
		ExecStart: measure.Missing, ExecEnd: measure.Missing, Replied: measure.Missing, Received: measure.Missing,
		Memory: measure.Missing, BytesOut: int64(len(f.Args)),
	}
	l.sent++
	l.run.watch.made(c)
	if from == nil && l.inFlight >= cmp.Or(l.spec.MaxInFlight, defaultMaxInFlight) { // a closed loop caps itself
		c.row.Sent, c.row.Status = measure.Missing, measure.Dropped
		c.row.Error = fmt.Sprintf("%d calls were in flight, the most allowed", l.inFlight)
		c.ended = true
		if l.spec.OnSaturation == "abort" {
			l.abort()
		}
		return
	}
	l.inFlight++
	l.run.deadlinesOf(cmp.Or(l.spec.Timeout, f.Timeout+startAllowance)).add(c)
	overheads := f.model.beside(l.run.beside())
	if from == nil || from.thought {
		c.row.Sent += int64(arrival.Draw(overheads.Lag, f.lag))
	}
	c.after(time.Duration(c.row.Sent-now)+arrival.Draw(overheads.Request, f.request)+l.run.hop(c.row.BytesOut), callDelivered)
}
