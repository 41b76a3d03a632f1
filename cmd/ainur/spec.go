package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/hcl"
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
	options.Version, options.Vars, options.VarFiles, options.Environ = version, c.vars, c.varFiles, os.Environ()
	options.Policies = hcl.Policies{Queue: queue.Builtin(), KeepAlive: keepalive.Builtin(), Balancer: policy.Builtin()}
	m, diags := hcl.Load(path, options)
	c.files = m.Files()
	c.diags = append(c.diags, diags...)
	return m, !diags.HasErrors()
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
	cmd := &cobra.Command{
		Use:   "validate [PATH]",
		Short: "Check an experiment: syntax, references, types, units",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, ok := c.load(args, hcl.Options{})
			diags := m.Validate()
			c.diags = append(c.diags, diags...)
			if !ok || diags.HasErrors() {
				return errSpec
			}
			if c.output != "json" {
				fmt.Fprintf(c.stdout, "valid: %s\n", counted(len(m.Experiments()), "experiment"))
			}
			return nil
		},
	}
	c.varFlags(cmd)
	return cmd
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *cli) planCommand() *cobra.Command {
	var experiment string
	cmd := &cobra.Command{
		Use:   "plan [PATH]",
		Short: "Show what a run would do: points, repeats, duration, calls",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, ok := c.load(args, hcl.Options{Facts: localFacts})
			if !ok {
				return errSpec
			}
			exp, err := c.evaluate(m, experiment, 0)
			if err != nil {
				return err
			}
			if c.output == "json" {
				c.data = exp
				return nil
			}
			return plan.Render(c.stdout, exp)
		},
	}
	c.varFlags(cmd)
	cmd.Flags().StringVar(&experiment, "experiment", "", "the experiment, where there are several")
	return cmd
}

func (c *cli) fmtCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [PATH|-]...",
		Short: "Rewrite experiment files in the canonical style",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "-" {
				src, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return err
				}
				_, err = c.stdout.Write(hcl.Format(src))
				return err
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			return c.format(args, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit with 3 if a file is not in style")
	return cmd
}

// format rewrites the files below paths and prints the names of those that changed, or would.
func (c *cli) format(paths []string, check bool) error {
	changed := 0
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || (file != path && !strings.HasSuffix(file, hcl.Extension)) {
				return err
			}
			src, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			formatted := hcl.Format(src)
			if bytes.Equal(src, formatted) {
				return nil
			}
			changed++
			fmt.Fprintln(c.stdout, file)
			if check {
				return nil
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			return os.WriteFile(file, formatted, info.Mode())
		})
		if err != nil {
			return err
		}
	}
	if check && changed > 0 {
		return exit(exitSpec, fmt.Errorf("%s not in style; run ainur fmt", counted(changed, "file")))
	}
	return nil
}
