package main

import (
	"fmt"
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
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/hcl/catalog"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

func (c *cli) policiesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "policies [NAME...]",
		Short: "List the scheduling policies, with their options, defaults and sources",
		Long: `Lists the policies that an experiment can name: queue, concurrency, keepalive, dispatch,
prewarm, estimate, gpu_queue and placement of a worker, and policy of a balancer. With names it tells of those: their options with defaults, and where the rule or equation is from.`,
		Example: `  ainur policies
  ainur policies mqfq gdsf`,
		RunE: func(_ *cobra.Command, names []string) error { return c.policies(names) },
	}
}

func (c *cli) policies(names []string) error {
	all := catalogue()
	is := func(name string) func(catalog.Entry) bool {
		return func(e catalog.Entry) bool { return e.Name == name || slices.Contains(e.Aliases, name) }
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, is(name)) {
			return exit(exitUsage, fmt.Errorf("no policy is called %q; `ainur policies` lists them", name))
		}
	}
	if len(names) > 0 {
		all = slices.DeleteFunc(all, func(e catalog.Entry) bool {
			return !slices.ContainsFunc(names, func(name string) bool { return is(name)(e) })
		})
	}
	c.data = map[string]any{"policies": all}
	switch {
	case c.output == "json":
		return nil
	case len(names) > 0:
		for i, e := range all {
			if i > 0 {
				fmt.Fprintln(c.stdout)
			}
			fmt.Fprintf(c.stdout, "%s %q: %s\n", e.Kind, e.Name, e.Doc)
			if len(e.Aliases) > 0 {
				fmt.Fprintf(c.stdout, "also %s\n", strings.Join(e.Aliases, ", "))
			}
			if e.Source != "" {
				fmt.Fprintf(c.stdout, "from %s\n", e.Source)
			}
			if len(e.Options) == 0 {
				continue
			}
			t := report.Table{Columns: []report.Column{{Name: "option"}, {Name: "type"}, {Name: "default"}, {Name: "what it is"}}}
			for _, o := range e.Options {
				t.Rows = append(t.Rows, []string{o.Name, o.Type, o.Default, o.Doc})
			}
			if err := t.Write(c.stdout); err != nil {
				return err
			}
		}
		return nil
	}
	t := report.Table{Columns: []report.Column{{Name: "kind"}, {Name: "name"}, {Name: "options"}, {Name: "what it does"}}}
	for _, e := range all {
		var options []string
		for _, o := range e.Options {
			options = append(options, o.Name)
		}
		name := e.Name
		if len(e.Aliases) > 0 {
			name += " (" + strings.Join(e.Aliases, ", ") + ")"
		}
		t.Rows = append(t.Rows, []string{strings.TrimSuffix(e.Kind, " policy"), name, strings.Join(options, ", "), e.Doc})
	}
	return t.Write(c.stdout)
}

// catalogue is every policy there is.
func catalogue() []catalog.Entry {
	return slices.Concat(
		catalog.Of(queue.Builtin()), catalog.Of(concurrency.Builtin()), catalog.Of(keepalive.Builtin()), catalog.Of(dispatch.Builtin()),
		catalog.Of(prewarm.Builtin()), catalog.Of(estimate.Builtin()), catalog.Of(gpuqueue.Builtin()), catalog.Of(placement.Builtin()), catalog.Of(policy.Builtin()),
	)
}
