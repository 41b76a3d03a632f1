package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/explain"
)

func (c *cli) lintCommand() *cobra.Command {
	var disabled []string
	var strict, list bool
	cmd := &cobra.Command{
		Use:   "lint [PATH]",
		Short: "Warn of what is valid and may mislead: too few calls, repeats, no warm-up",
		Long: `Warn of what is valid and may mislead. Where the experiment is invalid, only
that is said. --list has the rules, and docs/language.md the reason of each.`,
		Example: `  ainur lint lab.ainur.hcl
  ainur lint --strict --disable AIN3012 lab.ainur.hcl`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if list {
				return c.listRules()
			}
			without, err := ruleIDs(disabled)
			if err != nil {
				return exit(exitUsage, err)
			}
			return c.lint(args, without, strict)
		},
	}
	c.varFlags(cmd)
	cmd.Flags().StringArrayVar(&disabled, "disable", nil, "leave out a rule, by id (may be repeated)")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 3 when there is a warning")
	cmd.Flags().BoolVar(&list, "list", false, "print the rules")
	return cmd
}

// lint checks an experiment with the rules but those without.
func (c *cli) lint(args, without []string, strict bool) error {
	m, ok := c.load(args, hcl.Options{})
	check := m.Lint
	if !ok { // what else is wrong, and no more
		check = m.Validate
	}
	diags := check()
	wrong := !ok || diags.HasErrors()
	diags = slices.DeleteFunc(diags, func(d *hcllib.Diagnostic) bool {
		if d.Severity == hcllib.DiagError {
			return false
		}
		p, ours := d.Extra.(*diag.Problem)
		return wrong || ours && slices.Contains(without, p.ID)
	})
	c.diags = append(c.diags, diags...)
	if wrong {
		return errSpec
	}
	if c.output == "table" {
		fmt.Fprintf(c.stdout, "%s: %s\n", counted(len(diags), "warning"), counted(len(m.Experiments()), "experiment"))
	}
	if strict && len(diags) > 0 {
		return errSpec
	}
	return nil
}

// listRules prints the table of rules.
func (c *cli) listRules() error {
	if c.output == "json" {
		c.data = hcl.Rules()
		return nil
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, r := range hcl.Rules() {
		fmt.Fprintf(w, "%s\t%s\n", r.ID, strings.ReplaceAll(r.Title, "`", ""))
	}
	return w.Flush()
}

// ruleIDs are the ids that words stand for; each must be one of a rule.
func ruleIDs(words []string) (ids []string, err error) {
	var known []string
	for _, r := range hcl.Rules() {
		known = append(known, r.ID)
	}
	for _, word := range words {
		id := explain.ID(word)
		if !slices.Contains(known, id) {
			hint := "; `ainur lint --list` has them"
			if close := diag.Suggest(id, known); len(close) > 0 {
				hint = "; did you mean " + diag.Or(close) + "?"
			}
			return nil, fmt.Errorf("no rule has the id %q%s", word, hint)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
