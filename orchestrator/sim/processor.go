package sim

import (
	"time"

	"github.com/ainur-faas/ainur/internal/minheap"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

// processor is the cores of a node. Executions that run at the same time slow each
// other down, all of them alike: processor sharing, with a measured curve in the
// place of its ideal one (L. Kleinrock, Time-shared systems, 1967, doi:10.1145/321386.321388).
//
// An execution is done when the processor has served every one of those that run
// for as long as it takes alone; so one clock of service, which is slower the more of them run,
// is enough for all.
type processor struct {
	node     *node
	slowdown []float64 // by executions that run, less 1; none means that they do not slow each other down
	running  int
	served   int64         // the clock of service, ns
	at       time.Duration // when it was read
	jobs     minheap.Heap[*job]
	version  uint64 // of the plan
}

// job is an execution under way.
type job struct {
	call *call // nil once it has ended
}

// start runs c, once it is dispatched, for as long as it was drawn to take or to its time
// limit.
func (p *processor) start(c *call) {
	if len(p.slowdown) > 0 {
		c.after(c.dispatch, callDispatched)
		return
	}
	p.alone(c)
}

// alone runs c for as long as it was drawn to take, whatever else runs.
func (p *processor) alone(c *call) {
	took := c.exec
	if limit := c.function.Timeout; limit > 0 && took > limit {
		took, c.limited = limit, true
	}
	c.row.ExecEnd = c.row.ExecStart + int64(took)
	c.after(c.dispatch+took+p.node.takes(arrival.Draw(c.overheads().Finish, c.function.finish)), callFinished)
}

// run runs c, sharing.
func (p *processor) run(c *call) {
	if c.node == nil { // its caller gave up
		return
	}
	if limit := c.function.Timeout; limit > 0 {
		c.after(limit, callLimited)
	}
	p.advance()
	p.running++
	c.job = &job{c}
	p.jobs.Push(p.served+int64(c.exec), c.job)
	p.plan()
}

// end takes c from the processor.
func (p *processor) end(c *call) {
	if c.job == nil {
		return
	}
	p.advance()
	p.running--
	c.job.call, c.job = nil, nil
	p.plan()
}

func (p *processor) advance() {
	now := p.node.run.now
	if p.running > 0 {
		p.served += int64(float64(now-p.at) / p.factor())
	}
	p.at = now
}

// factor is how much slower than alone each execution is.
func (p *processor) factor() float64 {
	if n := len(p.slowdown); p.running > n { // no more work gets done than by n
		return p.slowdown[n-1] * float64(p.running) / float64(n)
	}
	return p.slowdown[p.running-1]
}

// plan plans the end of the next execution.
func (p *processor) plan() {
	p.version++
	for p.jobs.Len() > 0 && p.jobs.Value().call == nil {
		p.jobs.Pop()
	}
	if p.jobs.Len() > 0 {
		left := float64(max(0, p.jobs.Key()-p.served))
		p.node.run.after(time.Duration(left*p.factor()), p, jobEnds, p.version)
	}
}

func (p *processor) happen(_ happening, version uint64) {
	if version != p.version {
		return
	}
	p.node.executed(p.jobs.Value().call)
}
