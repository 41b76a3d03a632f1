package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/deploy"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// requirements are what must hold of the hosts, with whether it does by what they
// are now.
func (c *cli) requirements(s *testbed) ([]spec.Requirement, error) {
	s.learn()
	s.module.Forget()
	all, diags := s.module.Requirements(s.flags.experiment)
	c.diags = append(c.diags, diags...)
	if diags.HasErrors() {
		return nil, errSpec
	}
	return all, nil
}

// require checks what must hold of the hosts, after they were set up, and tells what
// does not.
func (c *cli) require(ctx context.Context, s *testbed, outcomes []deploy.Outcome) error {
	if s.flags.limit != "" {
		return nil // not all hosts are known
	}
	if slices.ContainsFunc(outcomes, func(o deploy.Outcome) bool {
		return slices.ContainsFunc(o.Changes, func(change setup.Change) bool { return change.Step == setup.Kernel })
	}) {
		s.Refresh(ctx)
		if err := s.Failed(); err != nil {
			return hostError(err)
		}
	}
	all, err := c.requirements(s)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range all {
		switch {
		case r.Holds:
		case r.Check:
			fmt.Fprintln(c.stderr, deploy.Failure(r))
		default:
			failed = append(failed, errors.New(deploy.Failure(r)))
		}
	}
	if len(failed) > 0 {
		return exit(exitRequire, errors.Join(failed...))
	}
	return nil
}

// restore gives the hosts back the settings that they had before a run, if they are
// to have them.
func (s *testbed) restore(ctx context.Context) error {
	if s.Cluster.Tune == nil || !s.Cluster.Tune.Restore {
		return nil
	}
	var failed []error
	for _, o := range s.Restore(context.WithoutCancel(ctx)) {
		failed = append(failed, o.Err)
	}
	return hostError(errors.Join(failed...))
}
