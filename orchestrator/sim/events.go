package sim

import (
	"time"

	"github.com/ainur-faas/ainur/internal/minheap"
)

// actor is what something can happen to.
type actor interface {
	// happen is called at the time that was planned; id says to which of several.
	happen(what happening, id uint64)
}

// happening is what happens to an actor.
type happening uint8

const (
	phaseBegins happening = iota
	nextArrives
	clientCalls
	callDelivered
	callRouted
	callDispatched
	callExecuted
	callFinished
	callPassed
	callLimited
	callAnswered
	sandboxUp
	sandboxRemoved
	workerTicks
	loadSampled
	jobEnds
	deadlinePasses
)

// agenda is the future, soonest first; what is due at one time happens in the
// order in which it was planned.
type agenda struct {
	now    time.Duration
	events minheap.Heap[event]
}

type event struct {
	who  actor
	id   uint64
	what happening
}

// after plans what happens in d, at once when d is not positive.
func (a *agenda) after(d time.Duration, who actor, what happening, id uint64) {
	a.events.Push(int64(a.now+max(d, 0)), event{who, id, what})
}

func (a *agenda) at(at time.Duration, who actor, what happening, id uint64) {
	a.events.Push(int64(max(at, a.now)), event{who, id, what})
}

// step jumps to the next event and lets it happen. It returns false when nothing will.
func (a *agenda) step() bool {
	if a.events.Len() == 0 {
		return false
	}
	at, e := a.events.Pop()
	a.now = time.Duration(at)
	e.who.happen(e.what, e.id)
	return true
}
