package containerd

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drive has many creations wait for the limiter, each of which takes as long as of
// says when so many are made at a time, and returns the limit in the end.
func drive(t *testing.T, l *limiter, of func(running int) time.Duration) float64 {
	t.Helper()
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			for range 50 {
				if err := l.acquire(t.Context()); err != nil {
					t.Error(err)
				}
				began := time.Now()
				l.mu.Lock()
				running := l.running
				if l.fixed && running > int(l.limit) {
					t.Errorf("%d at a time, over %v", running, l.limit)
				}
				l.mu.Unlock()
				time.Sleep(of(running))
				l.release(time.Since(began))
			}
		})
	}
	group.Wait()
	if l.running != 0 || len(l.waiting) != 0 {
		t.Errorf("%d run and %d wait in the end", l.running, len(l.waiting))
	}
	return l.limit
}

// What takes no longer when there are more is let be more; what only queues is not.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parallel := drive(t, newLimiter(0), func(int) time.Duration { return 50 * time.Millisecond })
		if parallel < 20 {
			t.Errorf("creations that cost nothing more are held to %v at a time", parallel)
		}
		thrashing := drive(t, newLimiter(0), func(running int) time.Duration { return time.Duration(running*running) * 10 * time.Millisecond })
		if thrashing > 8 {
			t.Errorf("creations that slow each other down are let be %v at a time", thrashing)
		}
		if fixed := drive(t, newLimiter(3), func(running int) time.Duration { return time.Duration(running) * time.Millisecond }); fixed != 3 {
			t.Errorf("a fixed limit became %v", fixed)
		}
	})
}

// Who gives up waiting takes nobody's turn.
func TestLimiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		if err := l.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				if err := l.acquire(ctx); !errors.Is(err, stop) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel(stop)
		group.Wait()
		l.release(0)
		if err := l.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.release(0)
	})
}
