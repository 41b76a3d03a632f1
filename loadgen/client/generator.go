package client

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// flight is one call from its dispatch until it is settled.
type flight struct {
	g       *generator
	call    measure.Call
	timeout time.Duration
	timer   *time.Timer             // ends a call that gets no reply
	free    func(now time.Duration) // tells a closed-loop client that its call has ended; nil in an open loop
}

// generator runs one load. The pacer sends calls at their time, the link's receiver settles
// them, and sends the next of a client that does not think. Every call is recorded exactly once.
type generator struct {
	load     spec.Load
	point    string
	repeat   int
	part     Part
	host     string
	timeouts map[string]time.Duration // of calls, by function
	bootID   string
	start    time.Duration // the load's zero, in CLOCK_MONOTONIC

	pacer    *pacer
	link     *link
	recorder *measure.Recorder
	live     *live

	limit    int64        // of calls in flight in an open loop
	seq      atomic.Int64 // of the next call, among those of this part
	inFlight atomic.Int64
	flights  sync.WaitGroup
}

func newGenerator(job Job, load spec.Load, expected int, l *link) (*generator, error) {
	p, err := newPacer()
	if err != nil {
		return nil, err
	}
	g := &generator{
		load: load, point: job.Point.ID, repeat: job.Repeat, part: job.Part, host: job.Host,
		timeouts: map[string]time.Duration{},
		bootID:   mono.BootID(),
		pacer:    p,
		recorder: measure.NewRecorder(expected),
		live:     newLive(),
		link:     l,
		limit:    int64(job.Part.cap(cmp.Or(load.MaxInFlight, defaultMaxInFlight))),
	}
	for _, f := range job.Point.Functions {
		g.timeouts[f.Name] = f.Timeout + startUp
	}
	return g, nil
}

// now is the time since the load started.
func (g *generator) now() time.Duration { return mono.Now() - g.start }

// run sends the phases one after another and returns when every call is settled.
func (g *generator) run(ctx context.Context, phases []phase, progress func(Progress)) measure.Ending {
	defer g.pacer.close()
	linked, cut := context.WithCancel(context.WithoutCancel(ctx)) // calls in flight outlive an interruption
	defer cut()
	g.link.ctx = linked
	var work sync.WaitGroup
	work.Go(g.link.serve)
	reported := g.live.report(g, progress)

	unwake := context.AfterFunc(ctx, g.pacer.wake)
	stopped := make(chan time.Duration)
	go func() { stopped <- g.pace(ctx, phases) }()
	end := measure.Ending{Stopped: <-stopped}
	unwake()

	settled := make(chan struct{})
	go func() {
		g.flights.Wait()
		close(settled)
	}()
	select {
	case <-settled:
		end.Interrupted = end.Stopped < Length(g.load) && ctx.Err() != nil
	case <-ctx.Done():
		end.Interrupted = true
		select {
		case <-settled:
		case <-time.After(grace):
			cut() // settles the rest as cancelled
			<-settled
		}
	}
	cut()
	work.Wait()
	reported()
	return end
}

// Length is the time of all phases of a load.
func Length(load spec.Load) (total time.Duration) {
	for _, p := range load.Phases {
		total += p.Duration
	}
	return total
}

// pace dispatches the calls of every phase, on a thread of its own, and returns
// when it stopped: at the end, when ctx ended, or when a load that must not
// saturate did.
func (g *generator) pace(ctx context.Context, phases []phase) time.Duration {
	g.pacer.lock()
	begin := time.Duration(0)
	for i := range phases {
		p := &phases[i]
		g.live.phase.Store(&p.Name)
		pace := g.paceOpen
		if p.schedule == nil {
			pace = g.paceClosed
		}
		if !pace(ctx, p, begin) {
			return max(0, g.now())
		}
		begin += p.Duration
	}
	return begin
}

// paceOpen dispatches a schedule and waits for the end of its phase. It returns
// false when it stopped before. A call that is late is sent at once.
func (g *generator) paceOpen(ctx context.Context, p *phase, begin time.Duration) bool {
	last := begin
	for {
		a, ok := p.schedule.Next()
		if !ok {
			return g.waitUntil(ctx, begin+p.Duration)
		}
		intended := begin + a.At
		if !g.waitUntil(ctx, intended-lead(intended-last)) {
			return false
		}
		last = intended
		f := g.newFlight(p, a.Function, intended)
		g.live.offered.Add(1)
		if g.inFlight.Load() >= g.limit {
			f.call.Status, f.call.Error = measure.Dropped, "max_in_flight reached"
			g.live.failed.Add(1)
			g.recorder.Add(f.call)
			if g.load.OnSaturation == "abort" {
				return false
			}
			continue
		}
		g.dispatch(f)
	}
}

// waitUntil returns true at t, or false when ctx ended before.
func (g *generator) waitUntil(ctx context.Context, t time.Duration) bool {
	for ctx.Err() == nil {
		if g.pacer.until(g.start + t) {
			return true
		}
	}
	return false
}

// newFlight makes the next call, with no time but the intended one.
func (g *generator) newFlight(p *phase, function string, intended time.Duration) *flight {
	seq := int64(g.part.Index) + (g.seq.Add(1)-1)*int64(g.part.of()) // its number in the schedule of all parts
	const no = measure.Missing
	return &flight{
		g: g, timeout: cmp.Or(g.load.Timeout, g.timeouts[function], startUp),
		call: measure.Call{
			Point: g.point, Repeat: g.repeat, Load: g.load.Name, Phase: p.Name, Record: p.Record, Seq: seq, Function: function, Generator: g.host,
			TID:      measure.TID(g.point, g.repeat, g.load.Name, seq),
			Intended: int64(intended),
			Sent:     no, Accepted: no, Queued: no, Dequeued: no, SandboxReady: no,
			ExecStart: no, ExecEnd: no, Replied: no, Received: no, Memory: no,
		},
	}
}

// dispatch sends a call, at its time if that is not later than lead allows.
func (g *generator) dispatch(f *flight) {
	g.inFlight.Add(1)
	g.flights.Add(1)
	now := g.now()
	for now < time.Duration(f.call.Intended) {
		now = g.now()
	}
	f.call.Sent = int64(now)
	g.live.sent(now - time.Duration(f.call.Intended))
	g.link.send(f)
}

// settle records how a call that was sent ended: with a reply, or with an error without one.
func (g *generator) settle(f *flight, reply *agentpb.InvokeReply, err error) {
	now := g.now()
	f.call.Received = int64(now)
	if err != nil {
		f.call.Status, f.call.Error = failure(err)
	} else {
		place(&f.call, reply, g.start, g.bootID)
	}
	g.finish(f, now)
}

func (g *generator) finish(f *flight, now time.Duration) {
	f.call.Error = bounded(f.call.Error)
	g.live.ended(&f.call)
	g.recorder.Add(f.call)
	g.inFlight.Add(-1)
	if f.free != nil {
		if f.call.Status == measure.Platform {
			now += backOff
		}
		f.free(now) // may dispatch the client's next call, before this one counts as done
	}
	g.flights.Done()
}
