package client

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ainur-faas/ainur/loadgen/measure"
)

// Progress is what a load does now. Counts are since the load started, and
// rate and quantiles are of the last second, to two digits; 0 where nothing happened in it.
type Progress struct {
	Phase      string        `json:"phase"`
	Elapsed    time.Duration `json:"elapsed_ns"`
	Offered    int64         `json:"offered"`
	Sent       int64         `json:"sent"`
	Completed  int64         `json:"completed"`
	Failed     int64         `json:"failed"` // dropped included
	InFlight   int64         `json:"in_flight"`
	Rate       float64       `json:"sent_per_s"` // in the last second
	LagP99     time.Duration `json:"lag_p99_ns"`
	LatencyP50 time.Duration `json:"latency_p50_ns"`
	LatencyP99 time.Duration `json:"latency_p99_ns"`
}

const (
	tick  = 250 * time.Millisecond
	ticks = int(time.Second / tick) // in the window of the quantiles
)

// live counts for Progress; results come from the recorded calls instead.
type live struct {
	phase                                  atomic.Pointer[string]
	offered, dispatched, completed, failed atomic.Int64

	mu           sync.Mutex
	lag, latency window
	sentThen     [ticks]int64 // at the last ticks, the newest first
}

func newLive() *live { return &live{lag: newWindow(), latency: newWindow()} }

func (l *live) sent(lag time.Duration) {
	l.dispatched.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag.record(lag)
}

func (l *live) ended(c *measure.Call) {
	if c.Status != measure.OK {
		l.failed.Add(1)
		return
	}
	l.completed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.record(time.Duration(c.Latency()))
}

// report calls progress on every tick until stop is called, which waits for the last.
func (l *live) report(g *generator, progress func(Progress)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				progress(l.progress(g))
			}
		}
	})
	return func() {
		close(end)
		done.Wait()
	}
}

func (l *live) progress(g *generator) Progress {
	p := Progress{
		Elapsed: g.now(), Offered: l.offered.Load(), Sent: l.dispatched.Load(),
		Completed: l.completed.Load(), Failed: l.failed.Load(), InFlight: g.inFlight.Load(),
	}
	if name := l.phase.Load(); name != nil {
		p.Phase = *name
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p.Rate = float64(p.Sent-l.sentThen[ticks-1]) / time.Second.Seconds()
	copy(l.sentThen[1:], l.sentThen[:ticks-1])
	l.sentThen[0] = p.Sent
	p.LagP99 = l.lag.quantile(99)
	p.LatencyP50, p.LatencyP99 = l.latency.quantile(50), l.latency.quantile(99)
	l.lag.slide()
	l.latency.slide()
	return p
}

// window is a histogram of the last second, in microseconds, one part for each tick.
type window struct {
	parts [ticks]*hdrhistogram.Histogram
}

func newWindow() (w window) {
	for i := range w.parts {
		w.parts[i] = hdrhistogram.New(1, time.Hour.Microseconds(), 2)
	}
	return w
}

func (w *window) record(d time.Duration) {
	_ = w.parts[0].RecordValue(min(d, time.Hour).Microseconds()) // in range, so there is no error
}

func (w *window) quantile(percent float64) time.Duration {
	all := hdrhistogram.New(1, time.Hour.Microseconds(), 2)
	for _, part := range w.parts {
		all.Merge(part)
	}
	return time.Duration(all.ValueAtQuantile(percent)) * time.Microsecond
}

// slide forgets the oldest part.
func (w *window) slide() {
	last := w.parts[ticks-1]
	copy(w.parts[1:], w.parts[:ticks-1])
	last.Reset()
	w.parts[0] = last
}
