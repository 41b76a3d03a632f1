package client

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/mono"
)

// lead is how long before its time the pacer dispatches a call that comes gap
// after the one before. The sender looks at the clock for the rest, so that
// neither the end of a sleep, late by tens of microseconds even with a timer
// slack of 1 ns, nor the wake-up of the sender's thread makes the call late. A
// CPU that was idle for long wakes up slowly, so a long gap gets more; but one
// that looks at the clock is not there for the platform under test, so it does
// that for a tenth of the time at most. BenchmarkOpenLoop measures it.
func lead(gap time.Duration) time.Duration {
	return min(gap/10, 400*time.Microsecond)
}

// pacer waits for points in time far more exactly than time.Sleep, whose error
// is half a millisecond (the poller's resolution), and can be woken meanwhile.
// One goroutine waits; it must be locked to its thread.
type pacer struct {
	mu    sync.Mutex
	event int // eventfd; -1 when closed
}

func newPacer() (*pacer, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	return &pacer{event: fd}, nil
}

// lock makes the calling goroutine the one that waits: alone on a thread whose
// sleeps are not rounded up to save power. It must not unlock, so that the thread ends with it.
func (p *pacer) lock() {
	runtime.LockOSThread()
	// Where this is not allowed sleeps end 50 µs later, and the lag shows it.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// until returns true at t, or false early when somebody called wake.
func (p *pacer) until(t time.Duration) bool {
	for {
		left := t - mono.Now()
		if left <= 0 {
			return true
		}
		timeout := unix.NsecToTimespec(left.Nanoseconds())
		fds := [1]unix.PollFd{{Fd: int32(p.event), Events: unix.POLLIN}}
		if n, _ := unix.Ppoll(fds[:], &timeout, nil); n > 0 { // a signal ends it with an error: look again
			var count [8]byte
			unix.Read(p.event, count[:])
			return false
		}
	}
}

// wake ends the current or the next wait.
func (p *pacer) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event >= 0 {
		unix.Write(p.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (p *pacer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	unix.Close(p.event)
	p.event = -1
}
