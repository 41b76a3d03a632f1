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
	Target string     `json:"target"` // host:port of an agent, a balancer, or another gRPC Functions service
	TLS    string     `json:"tls"`    // folder with what to show and whom to trust; "" sends in the clear
	Dir    string     `json:"dir"`    // gets calls.parquet, hdr/ and load.json; made when missing
	Host   string     `json:"host"`   // that generates it, for the record
	Part   Part       `json:"part,omitzero"`
}

// Part is which of the parts of a load a generator makes: of n parts the i-th has every
// n-th arrival of the schedule and every n-th client, beginning with number i. The
// parts together are the load that one generator makes, call for call in an open loop.
type Part struct {
	Index int `json:"index"` // from 0
	Of    int `json:"of"`    // 0 and 1 are all of it
}

// of is how many parts there are.
func (p Part) of() int { return max(p.Of, 1) }

// cap is what of a limit this part may use; the parts together have all of it, and each some.
func (p Part) cap(limit int) int {
	return max(1, limit*(p.Index+1)/p.of()-limit*p.Index/p.of())
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
	BootID           string        `json:"boot_id"`              // that StartedMonotonic belongs to
	Late             time.Duration `json:"late_ns,omitempty"`    // it could not begin before so long after its zero
	Generators       []Generator   `json:"generators,omitempty"` // of a load of several parts

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

// Ready is a job that can begin: what it reads is read, its schedules are made, and it
// is connected. It is to be Run, once, or closed.
type Ready struct {
	job    Job
	load   spec.Load
	phases []phase
	link   *link
	g      *generator
}

// Prepare gets a job ready.
func Prepare(ctx context.Context, job Job) (*Ready, error) {
	load, err := job.load()
	if err != nil {
		return nil, err
	}
	r := &Ready{job: job, load: load}
	if err := r.prepare(ctx); err != nil {
		return nil, fmt.Errorf("load %s: %w", load.Name, err)
	}
	return r, nil
}

func (r *Ready) prepare(ctx context.Context) (err error) {
	var expected int
	if r.phases, expected, err = plan(r.load, r.job.Seed, r.job.Part); err != nil {
		return err
	}
	if err := os.MkdirAll(r.job.Dir, 0o755); err != nil {
		return err
	}
	if r.link, err = dial(ctx, r.job.Target, r.job.TLS); err != nil {
		return err
	}
	if r.g, err = newGenerator(r.job, r.load, expected, r.link); err != nil {
		return errors.Join(err, r.link.close())
	}
	return nil
}

// Close gives up what will not be run.
func (r *Ready) Close() error {
	r.g.pacer.close()
	return r.link.close()
}

// Run is Prepare, and the load at once.
func Run(ctx context.Context, job Job, progress func(Progress)) (Outcome, error) {
	r, err := Prepare(ctx, job)
	if err != nil {
		return Outcome{}, err
	}
	return r.Run(ctx, 0, progress)
}

// Run sends the load, whose zero is start on CLOCK_MONOTONIC, 0 at once, and writes what it
// measured to the job's Dir. It reports to progress, which may be nil, four times a
// second from one goroutine that has ended when Run returns.
//
// When ctx ends, sending stops at once, calls in flight have two seconds to
// end, and everything measured is kept: the outcome is Interrupted, not an error.
func (r *Ready) Run(ctx context.Context, start time.Duration, progress func(Progress)) (Outcome, error) {
	g, load := r.g, r.load
	defer r.link.close()
	o := Outcome{RunID: r.job.RunID, Point: r.job.Point.ID, Repeat: r.job.Repeat, Load: load.Name, BootID: g.bootID}
	if start > 0 {
		await(ctx, start-early)
	}
	stealBefore, stealErr := steal()
	now := time.Now()
	if start == 0 {
		start = mono.At(now)
	}
	g.start, o.StartedMonotonic = start, start
	o.StartedAt = now.Add(start - mono.At(now))
	o.Late = max(0, mono.At(now)-start)
	o.Ending = g.run(ctx, r.phases, progress)
	o.Ended = g.now()
	if after, err := steal(); err == nil && stealErr == nil {
		stolen := after - stealBefore
		o.Steal = &stolen
	}

	calls := g.recorder.Calls()
	o.summarize(calls, load)
	return o, Write(r.job.Dir, []Outcome{o}, calls)
}

// summarize fills in what follows from the calls and the ending.
func (o *Outcome) summarize(calls []measure.Call, load spec.Load) {
	s := measure.Summarize(calls, load)
	o.OfferedPerSecond, o.AchievedPerSecond = s.Rates(o.Stopped)
	o.Metrics, o.Reasons = s.Metrics(o.Stopped), s.Validate(o.Ending)
}

// early is how long before its zero a load opens its stream and takes its threads.
const early = 50 * time.Millisecond

// await returns at t or when ctx ends.
func await(ctx context.Context, t time.Duration) {
	timer := time.NewTimer(t - mono.Now())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Files of outcomes: of a load, and the list of those of several loads.
const (
	OutcomeFile  = "load.json"
	outcomesFile = "loads.json"
)

const callsFile = "calls.parquet"

// Measured are the files of a job's Dir that Merge reads.
var Measured = []string{callsFile, OutcomeFile}

// Write writes what loads measured at the same time. It keeps as much as can be
// written and returns every error.
func Write(dir string, all []Outcome, calls []measure.Call) error {
	var content any = all
	name := outcomesFile
	if len(all) == 1 {
		content, name = all[0], OutcomeFile
	}
	text, err := json.MarshalIndent(content, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644)
	}
	return errors.Join(
		measure.WriteCalls(filepath.Join(dir, callsFile), measure.All(calls)),
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

// plan builds every schedule of a part before the clock starts, and estimates the calls.
func plan(load spec.Load, seed uint64, part Part) (phases []phase, expected int, err error) {
	traces := map[string]*trace.Trace{}
	share := &arrival.Share{Index: part.Index, Of: part.of()}
	for _, p := range load.Phases {
		ready := phase{Phase: p}
		if !p.Arrival.Open() {
			if len(p.Mix)+len(load.Mix) == 0 {
				return nil, 0, fmt.Errorf("phase %s: the mix names no function", p.Name)
			}
			for n := part.Index; n < p.Arrival.Clients; n += part.of() {
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
		all, err := arrival.New(load, p, seed, calls)
		if err != nil {
			return nil, 0, err
		}
		ready.schedule = share.Take(all)
		phases = append(phases, ready)
	}
	return phases, expected / part.of(), nil
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
