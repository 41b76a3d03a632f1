package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Site is where a live run takes place.
type Site struct {
	Hosts map[string]Host // by name, all that the experiment has
	Here  string          // the host that this process runs on
	TLS   string          // folder on this host with what to show daemons: certificates, or a token where all are on this host
	Keep  bool            // the run's folder on this host stays until somebody has fetched what is in it
	Store *oci.Store      // images, from where they are pushed to workers
	Code  map[string][]byte
}

// Host is a host of a Site.
type Host struct {
	node.Host
	Address string // of its daemons for those on other hosts, an IP address
	TLS     string // folder on the host with what its daemons show
}

// Local is the site of a cluster whose hosts are all this one.
func Local(exp *spec.Experiment, here *node.Supervisor, store *oci.Store, code map[string][]byte) (Site, error) {
	s := Site{Hosts: map[string]Host{}, TLS: filepath.Join(here.Dir, "token"), Store: store, Code: code}
	for _, p := range exp.Points {
		for _, h := range p.Cluster.Hosts {
			s.Here = h.Name
			s.Hosts[h.Name] = Host{Host: here, Address: "127.0.0.1", TLS: s.TLS}
		}
	}
	return s, mtls.MakeToken(s.TLS)
}

// Leftovers removes those of each run of s: whoever holds it knows that they have
// ended without cleaning up. What cannot be removed, because a daemon that has to
// do it does not answer, stays for the next time, and its error is among those joined.
func Leftovers(ctx context.Context, s *node.Supervisor, tell func(run string, removed []string)) error {
	runs, err := s.Runs()
	if err != nil {
		return err
	}
	var errs []error
	for _, run := range runs {
		removed, err := s.Forget(ctx, run.ID)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w; its folder stays: %s", err, filepath.Join(s.Dir, "runs", run.ID)))
			continue
		}
		tell(run.ID, removed)
	}
	return errors.Join(errs...)
}

// Reclaimed says what Leftovers removed of a run.
func Reclaimed(run string, removed []string) Progress {
	what := "its folder"
	if len(removed) > 0 {
		what = strings.Join(removed, ", ")
	}
	return Progress{Stage: Reclaiming, Message: fmt.Sprintf("run %s was killed; reclaimed %s", run, what)}
}

// Run executes exp live.
func Run(ctx context.Context, exp *spec.Experiment, site Site, o Options) (*result.Run, hcl.Diagnostics, error) {
	x, err := begin(ctx, exp, o, result.Live)
	if err != nil {
		return nil, nil, err
	}
	return x.live(ctx, site)
}

// Resume executes what is left of a run of exp that was killed, interrupted or
// failed in part.
func Resume(ctx context.Context, dir string, exp *spec.Experiment, site Site, o Options) (*result.Run, hcl.Diagnostics, error) {
	run, err := result.Reopen(dir)
	if err != nil {
		return nil, nil, err
	}
	return (&execution{Options: o, exp: exp, run: run}).live(ctx, site)
}

func (x *execution) live(ctx context.Context, site Site) (*result.Run, hcl.Diagnostics, error) {
	l := &live{Site: site, run: x.run.Manifest.RunID, progress: x.tell}
	x.engine = l
	if err := l.announce(ctx, x.exp); err != nil {
		return nil, nil, errors.Join(err, l.close(), x.run.Close())
	}
	return x.execute(ctx)
}

// WorkersFile tells whoever reclaims a run what its agents made sandboxes with, in
// the run's folder on each host. Nothing is started before it is there.
const WorkersFile = "workers.json"

// live is the engine of real time.
type live struct {
	Site
	run      string
	attempt  int // at executing the run, from 1; 0 where there is one only
	progress func(Progress)
}

func (*live) decisions() (string, bool) { return "", false }

func (l *live) facts(ctx context.Context) (map[string]spec.Facts, error) {
	all := map[string]spec.Facts{}
	for name, host := range l.Hosts {
		facts, err := host.Facts(ctx)
		if err != nil {
			return nil, err
		}
		all[name] = facts
	}
	return all, nil
}

// announce writes the WorkersFile of every host.
func (l *live) announce(ctx context.Context, exp *spec.Experiment) error {
	workers := map[node.Host][]spec.Worker{} // of several names for one host, all
	for _, host := range l.Hosts {
		workers[host.Host] = nil
	}
	for _, p := range exp.Points {
		for _, w := range p.Workers {
			if host, ok := l.Hosts[w.Host]; ok { // whoever starts w says that there is none
				workers[host.Host] = append(workers[host.Host], w)
			}
		}
	}
	for host, its := range workers {
		b, err := json.Marshal(its)
		if err != nil {
			return err
		}
		if err := host.Put(ctx, l.run, WorkersFile, bytes.NewReader(b)); err != nil {
			return err
		}
	}
	return nil
}

// close removes what the run used, and what an agent that was killed has left. The
// folder of this process stays, where it is in one.
func (l *live) close() error {
	var errs []error
	for name, host := range l.Hosts {
		if name == l.Here && l.Keep {
			continue
		}
		_, err := host.Forget(context.Background(), l.run)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (l *live) repeat(ctx context.Context, point *spec.Point, step plan.Step, dir string) (out outcome, err error) {
	d := &deployment{live: l, point: point, results: dir, stopping: make(chan struct{}), name: fmt.Sprintf("%s.%d.%d", point.ID, step.Repeat, l.attempt)}
	if _, d.creds, err = mtls.Load(l.TLS); err != nil {
		return outcome{}, err
	}
	d.watch, d.lost = context.WithCancelCause(ctx)
	defer d.lost(nil)
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.start(d.watch, step.Seed); err != nil {
		return outcome{}, d.cause(err)
	}
	if err := d.pushImages(d.watch); err != nil {
		return outcome{}, d.cause(err)
	}
	if err := d.register(d.watch); err != nil {
		return outcome{}, d.cause(err)
	}
	if out.limitations, err = d.limitations(d.watch); err != nil {
		return out, d.cause(err)
	}
	out.metrics = spec.RepeatMetrics{}
	collected, err := d.collect(d.watch)
	if err != nil {
		collected.end(out.limitations)
		return out, d.cause(err)
	}
	loads, err := d.loads(step)
	collected.end(out.limitations)
	if err != nil {
		return out, d.cause(err)
	}
	for _, got := range loads {
		out.metrics[got.Load] = got.Metrics
		for _, reason := range got.Reasons {
			out.reasons = append(out.reasons, reason.Message)
		}
	}
	if d.watch.Err() != nil && ctx.Err() == nil {
		return out, context.Cause(d.watch)
	}
	return out, nil
}

// images are the digests of those that the functions of a point have.
func images(p *spec.Point) (digests []string) {
	for _, f := range p.Functions {
		if f.Digest != "" {
			digests = append(digests, f.Digest)
		}
	}
	slices.Sort(digests)
	return slices.Compact(digests)
}
