package containerd

import (
	"context"
	"sync"
	"time"
)

// limiter bounds how many containers are made at a time, by what it costs: as
// long as one more does not make each slower in proportion, it lets one more (additive
// increase), and halves when it does (multiplicative decrease). A daemon that is
// busy with many makes none sooner.
type limiter struct {
	mu      sync.Mutex
	limit   float64 // at least 1
	fixed   bool
	running int
	waiting []chan struct{} // first come, first served
	best    time.Duration   // the shortest seen, 0 for none; forgotten little by little
}

const (
	firstLimit = 2
	maxLimit   = 64
	// slowdown is how much longer than the best one may take, for each that is made
	// beside it, before the limit is lowered: 1 is no gain at all from the last.
	slowdown = 1
	// forget is by how much the best becomes worse with each creation, so that a
	// host that has become slower is not held to what it was.
	forget = 1.01
)

// newLimiter allows fixed at a time, or as many as pay when that is 0.
func newLimiter(fixed int) *limiter {
	if fixed > 0 {
		return &limiter{limit: float64(fixed), fixed: true}
	}
	return &limiter{limit: firstLimit}
}

// acquire waits for its turn.
func (l *limiter) acquire(ctx context.Context) error {
	l.mu.Lock()
	if l.running < int(l.limit) {
		l.running++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:n], l.waiting[n+1:]...)
			return context.Cause(ctx)
		}
	}
	l.next() // its turn has come in the meantime: it goes to another
	return context.Cause(ctx)
}

// release ends a turn in which a creation took this long, 0 for one that failed.
func (l *limiter) release(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observe(took)
	l.next()
}

func (l *limiter) observe(took time.Duration) {
	if l.fixed || took <= 0 {
		return
	}
	if l.best = time.Duration(float64(l.best) * forget); l.best == 0 || took < l.best {
		l.best = took
	}
	if float64(took) > float64(l.best)*(1+slowdown*float64(l.running)) {
		l.limit = max(1, l.limit/2)
	} else if l.running >= int(l.limit) {
		l.limit = min(maxLimit, l.limit+1/l.limit)
	}
}

func (l *limiter) next() {
	l.running--
	for len(l.waiting) > 0 && l.running < int(l.limit) {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.running++
	}
}
