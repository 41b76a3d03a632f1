package main

import (
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/plan"
)

// Verbs that work on files alone.

// errSpec is for an experiment whose diagnostics say what is wrong.
var errSpec = exit(exitSpec, errSaid)

// varFlags adds the flags that give variables their values.
func (c *cli) varFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&c.vars, "var", nil, "set a variable: name=value (may be repeated)")
	cmd.Flags().StringArrayVar(&c.varFiles, "var-file", nil, "read variables from a file (may be repeated)")
}

// load reads the experiment at the path in args, or in this folder. Its
// diagnostics are kept for the end; ok is false when there are errors among them.
func (c *cli) load(args []string, options hcl.Options) (m *hcl.Module, ok bool) {
	path := "."
	if len(args) > 0 {
		path = args[0]
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // a large sweep is evaluated at once: less collecting for a little more memory
	}
	options.Version, options.Vars, options.VarFiles, options.Environ = version, c.vars, c.varFiles, os.Environ()
	options.Policies = policies()
	m, diags := hcl.Load(path, options)
	c.files = m.Files()
	c.diags = append(c.diags, diags...)
	return m, !diags.HasErrors()
}

// policies are those that this ainur has.
func policies() hcl.Policies {
	return hcl.Policies{Queue: queue.Builtin(), KeepAlive: keepalive.Builtin(), Concurrency: concurrency.Builtin(), Dispatch: dispatch.Builtin(), Prewarm: prewarm.Builtin(), Estimate: estimate.Builtin(), GPUQueue: gpuqueue.Builtin(), Placement: placement.Builtin(), Balancer: policy.Builtin()}
}

// evaluate evaluates one experiment for an engine.
func (c *cli) evaluate(m *hcl.Module, name string, engine schema.Engine) (*spec.Experiment, error) {
	exp, diags := m.Experiment(name, engine)
	c.diags = append(c.diags, diags...)
	if diags.HasErrors() {
		return nil, errSpec
	}
	if err := plan.CheckBudget(exp); err != nil {
		return nil, exit(exitSpec, err)
	}
	return exp, nil
}

// localFacts are the facts of hosts that are this one.
func localFacts(h spec.Host) (spec.Facts, bool) {
	if h.Connection != "local" {
		return spec.Facts{}, false
	}
	return resource.HostFacts(), true
}

func (c *cli) validateCommand() *cobra.Command {
	var fix, strict bool
	cmd := &cobra.Command{
		Use:   "validate [PATH]",
		Short: "Check an experiment: syntax, references, types, units",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, ok := c.validate(args)
			for again := true; fix && again; { // a mistake may hide another
				var err error
				if again, err = c.mend(); err != nil {
					return err
				}
				if again {
					m, ok = c.validate(args)
				}
			}
			if !ok || strict && len(c.diags) > 0 {
				return errSpec
			}
			if c.output == "table" {
				fmt.Fprintf(c.stdout, "valid: %s\n", counted(len(m.Experiments()), "experiment"))
			}
			return nil
		},
	}
	c.varFlags(cmd)
	cmd.Flags().BoolVar(&fix, "fix", false, "mend in the files what is certain, such as a misspelt argument")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 3 on warnings, too")
	return cmd
}

// validate loads and validates; its diagnostics are those of c.
func (c *cli) validate(args []string) (m *hcl.Module, ok bool) {
	c.diags = nil
	m, ok = c.load(args, hcl.Options{})
	diags := m.Validate()
	c.diags = append(c.diags, diags...)
	return m, ok && !diags.HasErrors()
}

// mend applies the certain repairs to the files and reports whether there were any.
func (c *cli) mend() (bool, error) {
	contents, mended := diag.Fix(c.files, c.diags)
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if err := replace(name, contents[name]); err != nil {
			return false, fmt.Errorf("fix %s: %w", name, err)
		}
	}
	if mended > 0 {
		fmt.Fprintf(c.stderr, "mended: %s in %s\n", counted(mended, "mistake"), strings.Join(slices.Sorted(maps.Keys(contents)), ", "))
	}
	return mended > 0, nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
