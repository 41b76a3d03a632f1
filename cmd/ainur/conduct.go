package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

func (c *cli) conductCommand() *cobra.Command {
	var lifeline bool
	var attempt int
	cmd := &cobra.Command{
		Use:    "conduct JOB.json",
		Short:  "Execute a run on the host of a cluster, whoever started it",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var job orchestrator.Job
			if err := readJSON(args[0], &job); err != nil {
				return exit(exitUsage, err)
			}
			ctx, stop := c.daemonContext(cmd.Context(), lifeline)
			defer stop()
			if err := c.ready(node.Ready{}); err != nil {
				return err
			}
			return orchestrator.Conduct(ctx, filepath.Dir(args[0]), job, attempt, images(), c.stdout)
		},
	}
	cmd.Flags().IntVar(&attempt, "attempt", 1, "one more each time that the run is executed")
	cmd.Flags().BoolVar(&lifeline, "lifeline", false, "stop when standard input closes")
	return cmd
}
