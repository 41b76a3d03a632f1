// Package client sends one load to an agent or a balancer in real time and
// records what becomes of every call.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/loadgen/trace"
)

// Job is one load of one repeat of one point.
type Job struct {
	Point  spec.Point `json:"point"`
	Load   string     `json:"load"` // name, one of Point.Loads
	RunID  string     `json:"run_id"`
	Repeat int        `json:"repeat"` // from 1
	Seed   uint64     `json:"seed"`   // of this repeat
	Target string     `json:"target"` // host:port of a gRPC Functions service
	TLS    string     `json:"tls"`    // folder with what to show and whom to trust; "" sends in the clear
	Dir    string     `json:"dir"`    // gets calls.parquet, hdr/ and load.json; made when missing
}

// Resolve makes the paths of traces, which may be relative to the folder of the
// job's file, absolute.
func (j Job) Resolve(dir string) {
	for _, l := range j.Point.Loads {
		for _, p := range l.Phases {
			t := p.Arrival.Trace
			if t == nil {
				continue
			}
			for _, path := range []*string{&t.Path, &t.Metadata} {
				if *path != "" && !filepath.IsAbs(*path) {
					*path = filepath.Join(dir, *path)
				}
			}
		}
	}
}

// Outcome is how a job went, as in load.json.
type Outcome struct {
	RunID  string `json:"run_id"`
	Point  string `json:"point"`
	Repeat int    `json:"repeat"`
	Load   string `json:"load"`

	StartedAt        time.Time     `json:"started_at"` // the load's zero, on the wall clock
	StartedMonotonic time.Duration `json:"started_monotonic_ns"`
	BootID           string        `json:"boot_id"` // that StartedMonotonic belongs to

	measure.Ending
	Ended             time.Duration    `json:"ended_ns"` // the last call had ended, since the load started
	OfferedPerSecond  float64          `json:"offered_per_s"`
	AchievedPerSecond float64          `json:"achieved_per_s"`
	Steal             *time.Duration   `json:"steal_ns"` // CPU time the hypervisor took from this machine, all CPUs; null when unknown
	Metrics           spec.LoadMetrics `json:"metrics"`
	Reasons           []measure.Reason `json:"invalid_reasons"` // empty: the numbers are valid
}

// grace is how long calls in flight are waited for after an interruption.
const grace = 2 * time.Second

// startUp is added to a function's time limit where the load sets no timeout:
// that limit counts neither queueing nor the start of a sandbox.
const startUp = 30 * time.Second

// defaultMaxInFlight caps a load that sets no max_in_flight.
const defaultMaxInFlight = 10_000

// Run sends the job's load and writes what it measured to job.Dir. It reports
// to progress, which may be nil, four times a second from one goroutine that
// has ended when Run returns.
//
// When ctx ends, sending stops at once, calls in flight have two seconds to
// end, and everything measured is kept: the outcome is Interrupted, not an error.
func Run(ctx context.Context, job Job, progress func(Progress)) (Outcome, error) {
	load, err := job.load()
	if err != nil {
		return Outcome{}, err
	}
	phases, expected, err := plan(load, job.Seed)
	if err != nil {
		return Outcome{}, fmt.Errorf("load %s: %w", load.Name, err)
	}
	if err := os.MkdirAll(job.Dir, 0o755); err != nil {
		return Outcome{}, fmt.Errorf("load %s: %w", load.Name, err)
	}
	conn, err := dial(ctx, job.Target, job.TLS)
	if err != nil {
		return Outcome{}, fmt.Errorf("load %s: %w", load.Name, err)
	}
	defer conn.Close()

	g, err := newGenerator(job, load, expected, conn)
	if err != nil {
		return Outcome{}, fmt.Errorf("load %s: %w", load.Name, err)
	}
	o := Outcome{RunID: job.RunID, Point: job.Point.ID, Repeat: job.Repeat, Load: load.Name, BootID: g.bootID}
	stealBefore, stealErr := steal()
	o.StartedAt = time.Now()
	g.start = mono.At(o.StartedAt)
	o.StartedMonotonic = g.start
	o.Ending = g.run(ctx, phases, progress)
	o.Ended = g.now()
	if after, err := steal(); err == nil && stealErr == nil {
		stolen := after - stealBefore
		o.Steal = &stolen
	}

	calls := g.recorder.Calls()
	o.OfferedPerSecond, o.AchievedPerSecond = measure.Rates(calls, load, o.Stopped)
	o.Metrics = measure.Summarize(calls, load, o.Stopped)
	o.Reasons = measure.Validate(calls, load, o.Ending)
	return o, write(job.Dir, o, calls)
}

// write keeps as much as can be written and returns every error.
func write(dir string, o Outcome, calls []measure.Call) error {
	text, err := json.MarshalIndent(o, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "load.json"), append(text, '\n'), 0o644)
	}
	return errors.Join(
		measure.WriteCalls(filepath.Join(dir, "calls.parquet"), calls),
		measure.WriteHistograms(filepath.Join(dir, "hdr"), calls),
		err,
	)
}

// load finds the load in the point.
func (j Job) load() (spec.Load, error) {
	for _, l := range j.Point.Loads {
		if l.Name == j.Load {
			return l, nil
		}
	}
	return spec.Load{}, fmt.Errorf("point %s has no load %q", j.Point.ID, j.Load)
}

// phase is a phase that is ready to run.
type phase struct {
	spec.Phase
	schedule arrival.Schedule  // nil for a closed loop
	clients  []*arrival.Client // of a closed loop
}

// plan builds every schedule before the clock starts, and estimates the calls.
func plan(load spec.Load, seed uint64) (phases []phase, expected int, err error) {
	traces := map[string]*trace.Trace{}
	for _, p := range load.Phases {
		ready := phase{Phase: p}
		if !p.Arrival.Open() {
			if len(p.Mix)+len(load.Mix) == 0 {
				return nil, 0, fmt.Errorf("phase %s: the mix names no function", p.Name)
			}
			for n := range p.Arrival.Clients {
				ready.clients = append(ready.clients, arrival.NewClient(load, p, seed, n))
			}
			phases = append(phases, ready)
			continue
		}
		var calls arrival.Calls
		if t := p.Arrival.Trace; t != nil {
			if traces[t.Path] == nil {
				if traces[t.Path], err = readTrace(t); err != nil {
					return nil, 0, err
				}
			}
			calls = traces[t.Path].Arrivals()
			expected += traces[t.Path].Calls
		} else {
			mean, _ := arrival.Rates(p.Arrival)
			expected += int(min(mean*p.Duration.Seconds(), 1e6))
		}
		if ready.schedule, err = arrival.New(load, p, seed, calls); err != nil {
			return nil, 0, err
		}
		phases = append(phases, ready)
	}
	return phases, expected, nil
}

func readTrace(t *spec.Trace) (*trace.Trace, error) {
	if t.Format != "iluvatar" {
		return nil, fmt.Errorf("trace %s: unknown format %q", t.Name, t.Format)
	}
	read, err := trace.ReadIluvatar(t.Path, t.Metadata)
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", t.Name, err)
	}
	if t.SHA256 != "" && read.SHA256 != t.SHA256 {
		return nil, fmt.Errorf("trace %s: %s changed since the experiment was planned: run it again", t.Name, t.Path)
	}
	return read, nil
}
