package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// hostsOf connects to the hosts of an experiment, and adds what they are to known. It
// is nil where this is the only one.
func (c *cli) hostsOf(ctx context.Context, m *hcl.Module, experiment string, known map[string]spec.Facts) (*testbed, error) {
	clusters, err := c.clusters(m, experiment)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(clusters, func(cluster spec.Cluster) bool {
		return slices.ContainsFunc(cluster.Hosts, func(h spec.Host) bool { return h.Connection != "local" })
	}) {
		return nil, nil
	}
	flags := &clusterFlags{experiment: experiment, lockWait: lockWait}
	cluster, err := chosen(clusters, flags)
	if err != nil {
		return nil, err
	}
	s, err := c.connect(ctx, m, cluster, known, flags, true)
	if err != nil {
		return nil, err
	}
	if err := s.Failed(); err != nil {
		return nil, errors.Join(hostError(err), s.Close())
	}
	return s, nil
}

// lockWait is how long another ainur that works with the hosts is waited for.
const lockWait = 3 * time.Second

// left is the newest run of an experiment if it was left on the hosts of its
// cluster, where it goes on; else nil.
func (c *cli) left(exp *spec.Experiment) *result.Run {
	run, err := result.Open(exp.Name+"/latest", c.results)
	if err != nil || run.Manifest.Site == nil || run.Manifest.State != result.Running || run.Active || same(exp, run) != nil {
		return nil
	}
	if !c.quiet {
		fmt.Fprintf(c.stderr, "run %s of this experiment was left on its hosts: going on with it (--new starts another)\n", run.Manifest.RunID)
	}
	return run
}

// prepare brings the hosts to what is desired, unless noUp says that they are.
func (c *cli) prepare(ctx context.Context, s *testbed, exp *spec.Experiment, noUp bool) error {
	p, err := s.Plan(exp, time.Now())
	if err != nil {
		return err
	}
	if err := s.Failed(); err != nil {
		return hostError(err)
	}
	if noUp {
		if n := len(p.Changes()); n > 0 {
			return exit(exitRequire, fmt.Errorf("%d changes are pending on the hosts: run it without --no-up, or ainur up", n))
		}
		return c.require(ctx, s, nil)
	}
	outcomes, err := s.Up(ctx, p, false)
	if err != nil {
		return err
	}
	var failed []error
	for _, o := range outcomes {
		failed = append(failed, o.Err)
	}
	if err := errors.Join(failed...); err != nil {
		return hostError(err)
	}
	return c.require(ctx, s, outcomes)
}

// executeOn is the executor on the hosts of a testbed: of a new run, or of what is
// left of one.
func (s *testbed) executeOn(left *result.Run) executor {
	return func(ctx context.Context, exp *spec.Experiment, o orchestrator.Options) (run *result.Run, diags hcllib.Diagnostics, err error) {
		cluster, closeAll, err := s.supervisors(ctx, exp)
		if err != nil {
			return nil, nil, err
		}
		defer func() { err = errors.Join(err, closeAll()) }()
		if left != nil {
			run, diags, err = orchestrator.Attach(ctx, left, exp, cluster, images(), o)
		} else {
			run, diags, err = orchestrator.Remote(ctx, exp, cluster, images(), o)
		}
		if err == nil { // otherwise it may go on there
			err = s.restore(ctx)
		}
		return run, diags, err
	}
}

// supervisors asks every host how others reach it.
func (s *testbed) supervisors(ctx context.Context, exp *spec.Experiment) (orchestrator.Cluster, func() error, error) {
	c := orchestrator.Cluster{Name: s.Cluster.Name, Hosts: map[string]orchestrator.JobHost{}, Facts: map[string]spec.Facts{}}
	clients, closers := make([]*node.Client, len(s.Hosts)), make([]func() error, len(s.Hosts))
	described := make([]node.Description, len(s.Hosts))
	ctx, cancel := context.WithTimeout(ctx, node.Patience)
	defer cancel()
	var all errgroup.Group
	for i, h := range s.Hosts {
		all.Go(func() (err error) {
			if clients[i], closers[i], err = s.Supervisor(h); err != nil {
				return err
			}
			described[i], err = clients[i].Describe(ctx)
			return err
		})
	}
	err := all.Wait()
	closeAll := func() error {
		var errs []error
		for _, close := range closers {
			if close != nil {
				errs = append(errs, close())
			}
		}
		return errors.Join(errs...)
	}
	if err != nil {
		return c, nil, errors.Join(err, closeAll())
	}
	controller := exp.Points[0].Generators(exp.Points[0].Loads[0])[0]
	for i, h := range s.Hosts {
		address, _, err := net.SplitHostPort(described[i].Address)
		if err != nil {
			return c, nil, errors.Join(fmt.Errorf("host %s: its supervisor is not reached by others: %w", h.Name, err), closeAll())
		}
		c.Hosts[h.Name] = orchestrator.JobHost{Supervisor: described[i].Address, Address: address, TLS: s.TLS()}
		c.Facts[h.Name] = h.Facts.Facts
		if h.Name == controller {
			c.Controller = clients[i]
		}
	}
	if c.Controller == nil {
		return c, nil, errors.Join(fmt.Errorf("there is no host %q to execute the run", controller), closeAll())
	}
	return c, closeAll, nil
}
