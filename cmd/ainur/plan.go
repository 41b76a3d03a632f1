package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/deploy"
	"github.com/ainur-faas/ainur/orchestrator/plan"
)

func (c *cli) planCommand() *cobra.Command {
	var f clusterFlags
	var out string
	var offline, detailed bool
	cmd := &cobra.Command{
		Use:   "plan [PATH]",
		Short: "Show what up would change on the hosts, and what a run would do: points, repeats, duration, calls",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, ok := c.load(args, hcl.Options{Facts: localFacts})
			if !ok {
				return errSpec
			}
			if offline || !reached(m, f.experiment) {
				return c.planHere(m, &f)
			}
			c.diags = nil // it is loaded again
			p, err := c.planHosts(cmd, args, &f, out)
			if err == nil && len(p.Failing()) > 0 {
				return exit(exitRequire, errSaid)
			}
			if err == nil && detailed && len(p.Changes()) > 0 {
				err = exit(exitChanges, errSaid)
			}
			return err
		},
	}
	f.add(c, cmd)
	cmd.Flags().StringVar(&out, "out", "", "write the changes to a file, for up to make these and no others")
	cmd.Flags().BoolVar(&offline, "offline", false, "connect to no host")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 when hosts are to be changed")
	return cmd
}

// reached reports whether an experiment is on hosts that are reached over SSH.
func reached(m *hcl.Module, experiment string) bool {
	clusters, _ := m.Clusters(experiment) // what is wrong, evaluate says
	return slices.ContainsFunc(clusters, func(cluster spec.Cluster) bool {
		return slices.ContainsFunc(cluster.Hosts, overSSH)
	})
}

// planHere shows what a run would do.
func (c *cli) planHere(m *hcl.Module, f *clusterFlags) error {
	exp, err := c.evaluate(m, f.experiment, 0)
	if err != nil {
		return err
	}
	if c.output == "json" {
		c.data = exp
		return nil
	}
	return plan.Render(c.stdout, exp)
}

// planHosts shows what up would change, and then what a run would do.
func (c *cli) planHosts(cmd *cobra.Command, args []string, f *clusterFlags, out string) (_ *deploy.Plan, err error) {
	f.shapes = true
	s, err := c.openTestbed(cmd.Context(), args, f, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p, err := s.Plan(s.exp, time.Now())
	if err != nil {
		return nil, err
	}
	if s.exp != nil {
		if p.Requirements, err = c.requirements(s); err != nil {
			return nil, err
		}
	}
	c.data = struct {
		*spec.Experiment
		Setup *deploy.Plan `json:"setup"`
	}{s.exp, p}
	if c.output == "table" {
		if err := s.Render(c.stdout, p, s.took); err != nil {
			return nil, err
		}
		if s.exp != nil {
			fmt.Fprintln(c.stdout)
			if err := plan.Render(c.stdout, s.exp); err != nil {
				return nil, err
			}
		}
	}
	if err := hostError(s.Failed()); err != nil {
		return nil, err
	}
	if out != "" {
		return p, c.savePlan(out, args, f, s.exp, p)
	}
	return p, nil
}

// savedPlan is a file that plan writes and up reads.
type savedPlan struct {
	Format     string       `json:"format"`
	Path       string       `json:"path"` // of the experiment
	Experiment string       `json:"experiment,omitempty"`
	Limit      string       `json:"limit,omitempty"`
	Vars       []string     `json:"vars,omitempty"` // but the sensitive ones
	VarFiles   []string     `json:"var_files,omitempty"`
	Setup      *deploy.Plan `json:"setup"`
}

const planFormat = "ainur-plan/1"

func (c *cli) savePlan(out string, args []string, f *clusterFlags, exp *spec.Experiment, p *deploy.Plan) error {
	saved := savedPlan{Format: planFormat, Experiment: f.experiment, Limit: f.limit, Setup: p}
	var err error
	if saved.Path, err = filepath.Abs(strings.Join(append(args, ".")[:1], "")); err != nil {
		return err
	}
	for _, v := range c.vars {
		name, _, _ := strings.Cut(v, "=")
		if exp == nil || !slices.ContainsFunc(exp.Variables, func(v spec.Variable) bool { return v.Name == name && v.Sensitive() }) {
			saved.Vars = append(saved.Vars, v)
		}
	}
	for _, file := range c.varFiles {
		if file, err = filepath.Abs(file); err != nil {
			return err
		}
		saved.VarFiles = append(saved.VarFiles, file)
	}
	text, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o600)
}

// readPlan takes the path of up as that of a saved plan, if it is one.
func (c *cli) readPlan(args []string, f *clusterFlags) (path []string, p *deploy.Plan, err error) {
	if len(args) == 0 || strings.HasSuffix(args[0], ".ainur.json") {
		return args, nil, nil
	}
	if info, err := os.Stat(args[0]); err != nil || !info.Mode().IsRegular() {
		return args, nil, nil // load says what is wrong
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return nil, nil, err
	}
	var saved savedPlan
	if json.Unmarshal(text, &saved) != nil || saved.Format != planFormat || saved.Setup == nil {
		return args, nil, nil
	}
	f.experiment, f.limit = saved.Experiment, saved.Limit
	c.vars, c.varFiles = append(saved.Vars, c.vars...), append(saved.VarFiles, c.varFiles...)
	return []string{saved.Path}, saved.Setup, nil
}
