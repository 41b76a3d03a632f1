package client

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/loadgen/arrival"
)

// backOff is how long a client waits after a call that the platform failed
// before it thinks again: a dead target would fail a million calls a second.
const backOff = 100 * time.Millisecond

// closedLoop runs the clients of one phase. A client's call is intended for the
// moment the client became free plus the time it thinks.
type closedLoop struct {
	g     *generator
	phase *phase
	end   time.Duration // of the phase, since the load started

	mu       sync.Mutex
	thinking thinkers
	over     bool // no further call may be dispatched
}

// thinker is a client that knows when it will call what.
type thinker struct {
	at       time.Duration // since the load started
	function string
	client   *arrival.Client
}

// paceClosed runs the clients until the end of the phase. It returns false when
// ctx ended before. A client whose call is in flight then finishes that call.
func (g *generator) paceClosed(ctx context.Context, p *phase, begin time.Duration) bool {
	c := &closedLoop{g: g, phase: p, end: begin + p.Duration}
	defer c.stop()
	for _, client := range p.clients {
		c.think(client, begin)
	}
	for ctx.Err() == nil {
		next, call := c.next()
		if call {
			next -= lead(next - c.g.now())
		}
		switch {
		case !g.pacer.until(g.start + next): // somebody thinks shorter, or ctx ended
		case call:
			c.call()
		default:
			return true
		}
	}
	return false
}

// think lets a client that became free at now draw its next call. Without
// thinking it is sent at once, by the goroutine that settled the last.
func (c *closedLoop) think(client *arrival.Client, now time.Duration) {
	if t, due := c.draw(client, now); due {
		c.dispatch(t)
	}
}

// draw returns the next call of a client if it is due, and else keeps it until it is.
func (c *closedLoop) draw(client *arrival.Client, now time.Duration) (t thinker, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return t, false
	}
	think, function := client.Next()
	t = thinker{now + think, function, client}
	switch {
	case t.at >= c.end: // of another phase
	case t.at <= c.g.now():
		return t, true
	default:
		heap.Push(&c.thinking, t)
		if c.thinking[0] == t {
			c.g.pacer.wake()
		}
	}
	return t, false
}

// next is when a client calls next, or false and the end of the phase when none will.
func (c *closedLoop) next() (at time.Duration, call bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.thinking) > 0 {
		return c.thinking[0].at, true
	}
	return c.end, false
}

// call dispatches the earliest call.
func (c *closedLoop) call() {
	c.mu.Lock()
	t := heap.Pop(&c.thinking).(thinker)
	c.mu.Unlock()
	c.dispatch(t)
}

func (c *closedLoop) dispatch(t thinker) {
	f := c.g.newFlight(c.phase, t.function, t.at)
	f.free = func(now time.Duration) { c.think(t.client, now) }
	c.g.live.offered.Add(1)
	c.g.dispatch(f)
}

func (c *closedLoop) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// thinkers is a heap, the earliest first.
type thinkers []thinker

func (t thinkers) Len() int           { return len(t) }
func (t thinkers) Less(i, j int) bool { return t[i].at < t[j].at }
func (t thinkers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *thinkers) Push(x any)        { *t = append(*t, x.(thinker)) }

func (t *thinkers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	*t = (*t)[:last]
	return x
}
