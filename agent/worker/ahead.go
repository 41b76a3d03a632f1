package worker

import (
	"time"

	"github.com/ainur-faas/ainur/agent/placement"
)

// spare reports whether memory for another sandbox is free that need not be kept free.
func (w *Worker) spare(need int64) bool {
	return w.memUsed+need <= w.config.Memory-w.config.FreeBuffer
}

// prepare makes the sandboxes that the prewarm policy wants for a function that was called.
func (w *Worker) prepare(now time.Duration, id FunctionID, dst []Action) []Action {
	if w.draining || id < 1 || int(id) > len(w.functions) {
		return dst
	}
	f := w.functions[id-1]
	if f.Compute == placement.GPU {
		return dst
	}
	for want := f.want; f.boxes < want && !w.short.is && w.spare(f.Memory); {
		dst = w.create(now, f, true, dst)
	}
	return dst
}

// planNext plans when a sandbox of f has to be there again, of which nothing is under way, and
// returns that time; 0 is never.
func (w *Worker) planNext(now time.Duration, f *function) time.Duration {
	w.unplan(f)
	if f.base != f || f.Compute == placement.GPU || f.ended < 0 || f.queued+f.underWay > 0 || w.draining {
		return 0
	}
	after, ok := w.planner.Next(int(f.id))
	if at := f.ended + after; ok && at > now {
		w.planned.PushAs(int64(at), uint64(f.id), f)
		return at
	}
	return 0
}

func (w *Worker) unplan(f *function) {
	if f.plan >= 0 {
		w.planned.Remove(f.plan)
	}
}

// keepPlan makes the sandboxes that are due.
func (w *Worker) keepPlan(now time.Duration, dst []Action) []Action {
	for w.planned.Len() > 0 && time.Duration(w.planned.Key()) <= now {
		f := w.planned.Value()
		w.unplan(f)
		if f.idle.len+f.starting == 0 && !w.short.is && w.spare(f.Memory) {
			dst = w.create(now, f, true, dst)
		}
	}
	return dst
}

// keepFree removes idle sandboxes, lowest priority first, until the buffer is free or will be.
func (w *Worker) keepFree(dst []Action) []Action {
	for w.config.FreeBuffer > w.config.Memory-w.memUsed+w.leaving && w.idle.Len() > 0 {
		victim := w.idle.Value()
		w.keeper.Evicted(victim.priority)
		dst = w.remove(victim, Buffered, dst)
	}
	return dst
}

// lost is told of each sandbox that leaves.
func (f *function) lost() {
	if f.boxes--; f.boxes == 0 {
		f.calls = 0
	}
}

// chain is the idle sandboxes of a function, in the order in which they became so.
type chain struct {
	oldest, newest *sandbox
	len            int
}

// add puts b at the new end.
func (c *chain) add(b *sandbox) {
	b.older, b.newer = c.newest, nil
	if c.newest == nil {
		c.oldest = b
	} else {
		c.newest.newer = b
	}
	c.newest = b
	c.len++
}

func (c *chain) remove(b *sandbox) {
	if b.older == nil {
		c.oldest = b.newer
	} else {
		b.older.newer = b.newer
	}
	if b.newer == nil {
		c.newest = b.older
	} else {
		b.newer.older = b.older
	}
	b.older, b.newer = nil, nil
	c.len--
}
