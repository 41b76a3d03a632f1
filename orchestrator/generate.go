package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/loadgen/client"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/plan"
)

// measuredFolder is where a generator puts what it measured, in its own folder.
const measuredFolder = "measured"

// StartFile tells a generator that waits for it when to begin.
type StartFile struct {
	Monotonic time.Duration `json:"monotonic_ns"` // CLOCK_MONOTONIC of its host
}

// startFile is its name in the folder of a generator.
const startFile = "start.json"

// loads runs all loads of the point at the same time to their end. When the watch
// ends their generators are told to stop, and what they measured is kept.
func (d *deployment) loads(step plan.Step) (all []client.Outcome, err error) {
	g := &generators{deployment: d, step: step}
	defer func() { err = errors.Join(err, g.stop()) }()
	for _, load := range d.point.Loads {
		on := d.point.Generators(load)
		for i, host := range on {
			g.all = append(g.all, &generator{load: load, on: host, part: client.Part{Index: i, Of: len(on)}})
		}
	}
	for n := range g.all {
		if err := g.start(n); err != nil {
			return nil, err
		}
	}
	if len(g.all) > 1 {
		return g.together()
	}
	if err := g.wait(d.watch); err != nil {
		return nil, err
	}
	if err := d.keepFolder(g.all[0].daemon, measuredFolder, d.results); err != nil {
		return nil, err
	}
	out, err := client.ReadOutcome(d.results)
	return []client.Outcome{out}, err
}

// generators make the loads of a point.
type generators struct {
	*deployment
	step plan.Step
	all  []*generator

	mu sync.Mutex // of the progress of all
}

// generator makes a part of a load.
type generator struct {
	*daemon  // nil until it is started
	load     spec.Load
	on       string // name of the host
	part     client.Part
	progress client.Progress // the last that it told
}

// start starts the n-th generator.
func (g *generators) start(n int) error {
	is := g.all[n]
	host, ok := g.Hosts[is.on]
	if !ok {
		return fmt.Errorf("load %s: there is no host %q", is.load.Name, is.on)
	}
	point, err := g.traces(is.on, *g.point)
	if err != nil {
		return err
	}
	job, err := json.Marshal(client.Job{
		Point: point, Load: is.load.Name, RunID: g.run, Repeat: g.step.Repeat, Seed: g.step.Seed, Target: g.target, TLS: host.TLS, Host: is.on, Part: is.part,
	})
	if err != nil {
		return err
	}
	task := node.Task{
		Run: g.run, Name: g.name + ".load", Args: []string{"load", "--lifeline", "--dir", "{dir}/" + measuredFolder},
		Files: map[string][]byte{"job.json": job}, Lease: lease,
	}
	label := "load " + is.load.Name
	if len(g.all) > 1 {
		task.Name += "-" + strconv.Itoa(n+1)
		task.Args = append(task.Args, "--start", "{dir}/"+startFile)
		label += " on host " + is.on
	}
	task.Args = append(task.Args, "{dir}/job.json")
	is.daemon, err = startDaemon(g.watch, is.on, host, label, task, func(line []byte) { g.show(n, line) })
	return err
}

// show tells how all stand, when the first of the generators says how it does.
func (g *generators) show(n int, line []byte) {
	tell := slices.Clone(line)
	if len(g.all) > 1 {
		g.mu.Lock()
		defer g.mu.Unlock()
		if json.Unmarshal(line, &g.all[n].progress) != nil || n > 0 {
			return
		}
		var all []client.Progress
		for _, is := range g.all {
			all = append(all, is.progress)
		}
		tell, _ = json.Marshal(client.Together(all)) // numbers and a name: it does not fail
	}
	g.live.progress(Progress{Point: g.point, Repeat: g.step.Repeat, Stage: Loading, Load: tell})
}

// wait waits until all generators have ended, well. When one has not, or ctx ends,
// the others are told to stop.
func (g *generators) wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(g.all))
	var ended errgroup.Group
	for i, p := range g.all {
		ended.Go(func() error {
			select {
			case <-p.ended:
			case <-ctx.Done():
				if errs[i] = p.stop(); errs[i] != nil {
					return nil
				}
			}
			if err := errors.Join(p.err, p.exit.Err()); err != nil {
				errs[i] = fmt.Errorf("%s: %w", p.label, err)
				cancel()
			}
			if g.aborted(p) {
				cancel()
			}
			return nil
		})
	}
	_ = ended.Wait() // errors are in errs, all of them
	return errors.Join(errs...)
}

// aborted reports whether a generator that has ended gave up: the others are to, too.
func (g *generators) aborted(p *generator) bool {
	if p.load.OnSaturation != "abort" || len(g.all) == 1 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.watch), node.Patience)
	defer cancel()
	var text bytes.Buffer
	var out client.Outcome
	err := node.Copy(ctx, p.host, g.run, p.task.Name+"/"+measuredFolder+"/"+client.OutcomeFile, 0, &text, node.MaxTask)
	return err == nil && json.Unmarshal(text.Bytes(), &out) == nil && out.Stopped < client.Length(p.load)
}

// stop ends the generators that have not, and keeps what all said.
func (g *generators) stop() error {
	var errs []error
	for _, p := range g.all {
		if p.daemon != nil {
			errs = append(errs, p.stop(), g.keepLog(p.daemon))
		}
	}
	return errors.Join(errs...)
}

// together has the generators begin at one time, and merges what they measured.
func (g *generators) together() ([]client.Outcome, error) {
	for _, p := range g.all {
		if _, err := p.serving(g.watch); err != nil {
			return nil, err
		}
	}
	before, err := g.clocks(g.watch)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	margin := startMargin
	for _, c := range before {
		margin = max(margin, startMargin+20*c.Within)
	}
	start := mono.At(now) + margin
	if err := g.tell(start, before); err != nil {
		return nil, err
	}
	if err := g.wait(g.watch); err != nil {
		return nil, err
	}
	after, err := g.clocks(context.WithoutCancel(g.watch)) // also of one that was interrupted
	if err != nil {
		return nil, err
	}
	zero := client.Outcome{RunID: g.run, Point: g.point.ID, Repeat: g.step.Repeat, StartedAt: now.Add(margin), StartedMonotonic: start, BootID: mono.BootID()}
	return g.merge(zero, before, after)
}

// merge makes the parts of each load one.
func (g *generators) merge(zero client.Outcome, before, after []node.Clock) (all []client.Outcome, err error) {
	parts := filepath.Join(g.results, "generators")
	var calls []measure.Call
	for _, load := range g.point.Loads {
		zero.Load, zero.Generators = load.Name, nil
		var folders []string
		for n, p := range g.all {
			if p.load.Name != load.Name {
				continue
			}
			folder := filepath.Join(parts, strconv.Itoa(n+1))
			for _, name := range client.Measured {
				err := g.keep(p.host, p.task.Name+"/"+measuredFolder+"/"+name, func(string) string { return filepath.Join(folder, name) })
				if err != nil {
					return nil, err
				}
			}
			folders = append(folders, folder)
			zero.Generators = append(zero.Generators, client.Generator{Host: p.on, Within: before[n].Within, Drift: after[n].Monotonic - before[n].Monotonic})
		}
		out, its, err := client.Merge(load, zero, folders)
		if err != nil {
			return nil, err
		}
		all, calls = append(all, out), append(calls, its...)
	}
	client.Order(calls)
	if err := client.Write(g.results, all, calls); err != nil {
		return nil, err
	}
	return all, os.RemoveAll(parts) // all of it is in the whole
}

// startMargin is how long before it generators are told the time to begin at, on
// connections on which a round trip takes nothing.
const startMargin = 500 * time.Millisecond

// clocks are those of the generators' hosts.
func (g *generators) clocks(ctx context.Context) ([]node.Clock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, node.Patience, fmt.Errorf("no answer within %v", node.Patience))
	defer cancel()
	all := make([]node.Clock, len(g.all))
	var asked errgroup.Group
	for i, p := range g.all {
		asked.Go(func() (err error) {
			all[i], err = p.host.Clock(ctx)
			return err
		})
	}
	return all, asked.Wait()
}

// tell tells every generator when to begin: at start on the clock of this host.
func (g *generators) tell(start time.Duration, clocks []node.Clock) error {
	var told errgroup.Group
	for i, p := range g.all {
		told.Go(func() error {
			text, err := json.Marshal(StartFile{Monotonic: start + clocks[i].Monotonic})
			if err != nil {
				return err
			}
			return p.host.Put(g.watch, g.run, p.task.Name+"/"+startFile, bytes.NewReader(text))
		})
	}
	return told.Wait()
}
