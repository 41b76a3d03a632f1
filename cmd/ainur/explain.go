package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/explain"
)

func (c *cli) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [ID]",
		Short: "Explain a diagnostic by its id, with a wrong example and a right one",
		Long: `Explain a diagnostic by its id, with a wrong example and a right one.
Without an id, list all of them. AIN1204, ain1204 and 1204 are the same.`,
		Example: "  ainur explain AIN1204",
		Args:    args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, p := range explain.All() {
				if len(args) == 0 {
					ids = append(ids, p.ID+"\t"+p.Title)
				}
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.explainAll()
			}
			page, ok := explain.Find(explain.ID(args[0]))
			if !ok {
				return exit(exitUsage, unknownID(args[0]))
			}
			if c.output == "json" {
				c.data = page
				return nil
			}
			_, err := fmt.Fprint(c.stdout, page.Text)
			return err
		},
	}
}

// explainAll lists the ids with their titles.
func (c *cli) explainAll() error {
	type entry struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	var entries []entry
	var lines strings.Builder
	for _, p := range explain.All() {
		entries = append(entries, entry{p.ID, p.Title})
		fmt.Fprintf(&lines, "%s  %s\n", p.ID, p.Title)
	}
	if c.output == "json" {
		c.data = entries
		return nil
	}
	_, err := fmt.Fprint(c.stdout, lines.String())
	return err
}

// unknownID says which ids are close to a word that is none.
func unknownID(word string) error {
	var ids []string
	for _, p := range explain.All() {
		ids = append(ids, p.ID)
	}
	hint := "; `ainur explain` lists them"
	if close := diag.Suggest(explain.ID(word), ids); len(close) > 0 {
		hint = "; did you mean " + diag.Or(close) + "?"
	}
	return fmt.Errorf("no diagnostic has the id %q%s", word, hint)
}
