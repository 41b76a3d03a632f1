package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator/deploy"
)

func (c *cli) tuneCommand() *cobra.Command {
	var f clusterFlags
	var yes, keepGoing, restore, show bool
	cmd := &cobra.Command{
		Use:   "tune [PATH]",
		Short: "Give the hosts the settings of their tune block, or back those that they had",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			f.bare, f.shapes = true, !restore && !show
			s, err := c.openTestbed(cmd.Context(), args, &f, !show)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			var p *deploy.Plan
			if restore {
				p = s.Restoring()
			} else if p, err = s.Plan(nil, time.Now()); err == nil {
				p = p.Tuning()
			}
			if err != nil {
				return err
			}
			if !keepGoing && s.Failed() != nil {
				return hostError(s.Failed())
			}
			if show {
				c.data = p
				if c.output == "table" {
					err = s.Render(c.stdout, p, s.took)
				}
				return errors.Join(err, hostError(s.Failed()))
			}
			if len(p.Changes()) > 0 {
				if err := c.confirm(s, p, yes, "Change this?"); err != nil {
					return err
				}
			}
			if restore {
				return c.recap(s, s.Restore(cmd.Context()))
			}
			return c.recap(s, s.Tune(cmd.Context(), p, keepGoing))
		},
	}
	f.add(c, cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&keepGoing, "keep-going", false, "go on with other hosts when one fails")
	cmd.Flags().BoolVar(&restore, "restore", false, "give back what the hosts had before")
	cmd.Flags().BoolVar(&show, "show", false, "only show what would be changed")
	return cmd
}
