package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/deploy"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

func (c *cli) collectCommand() *cobra.Command {
	var file, most string
	cmd := &cobra.Command{
		Use:   "collect [RUN]",
		Short: "Bring home what a run that is under way on its cluster, or was left there, has measured so far",
		Long: `Copies the repeats that have ended, checked by their SHA-256; what is here already
does not come again. The run goes on, and ainur run --resume brings the rest.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := result.Open(strings.Join(append(args, "latest")[:1], ""), c.results)
			if err != nil {
				return exit(exitUsage, err)
			}
			limit, err := units.Bytes(most)
			if err != nil {
				return exit(exitUsage, fmt.Errorf("--max-size: %w", err))
			}
			switch {
			case run.Manifest.Site == nil:
				return exit(exitUsage, fmt.Errorf("run %s was not on a cluster: all of it is in %s", run.Manifest.RunID, run.Dir))
			case run.Manifest.State != result.Running:
				return exit(exitUsage, fmt.Errorf("run %s is %s: all of it is in %s", run.Manifest.RunID, run.Manifest.State, run.Dir))
			}
			return c.collect(cmd.Context(), run, file, limit)
		},
	}
	c.varFlags(cmd)
	cmd.Flags().StringVar(&file, "file", ".", "the experiment, or its folder")
	cmd.Flags().StringVar(&most, "max-size", "16GiB", "of what comes now")
	return cmd
}

func (c *cli) collect(ctx context.Context, run *result.Run, file string, most spec.Bytes) (err error) {
	s, err := c.openRunOf(ctx, run, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	on := run.Manifest.Site.Controller
	i := slices.IndexFunc(s.Hosts, func(h *deploy.Host) bool { return h.Name == on })
	if i < 0 {
		return exit(exitUsage, fmt.Errorf("run %s is on host %s, which cluster %s has not", run.Manifest.RunID, on, s.Cluster.Name))
	}
	client, closeClient, err := s.Supervisor(s.Hosts[i])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeClient()) }()
	size, over, err := orchestrator.Bring(ctx, run.Dir, client, int64(most))
	if errors.Is(err, result.ErrActive) { // whoever does brings it
		return exit(exitLocked, err)
	}
	if err != nil {
		return err
	}
	now, err := result.Open(run.Dir, c.results)
	if err != nil {
		return err
	}
	ended := len(now.Steps) - len(now.Left())
	c.data = map[string]any{"run": run.Manifest.RunID, "results_dir": run.Dir, "bytes": size, "repeats": ended, "of": len(now.Steps), "over_max_size": append([]string{}, over...)}
	if c.output == "json" {
		return nil
	}
	fmt.Fprintf(c.stdout, "%d of %s of run %s are here, %s came now\n", ended, counted(len(now.Steps), "repeat"), run.Manifest.RunID, units.FormatBytes(spec.Bytes(size)))
	if len(over) > 0 {
		fmt.Fprintf(c.stderr, "%s did not come, of more than --max-size: %s\n", counted(len(over), "file"), strings.Join(over, ", "))
	}
	return nil
}

// openRunOf connects to the hosts of the cluster that a run is on; its experiment is in file.
func (c *cli) openRunOf(ctx context.Context, run *result.Run, file string) (*testbed, error) {
	s, err := c.openTestbed(ctx, []string{file}, &clusterFlags{experiment: run.Manifest.Experiment, bare: true}, false)
	if err != nil {
		return nil, err
	}
	if err := s.Failed(); err != nil {
		return nil, errors.Join(hostError(err), s.Close())
	}
	if want := run.Manifest.Site.Cluster; s.Cluster.Name != want {
		return nil, errors.Join(exit(exitUsage, fmt.Errorf("run %s is on cluster %s, and %s has cluster %s: give its experiment with --file", run.Manifest.RunID, want, file, s.Cluster.Name)), s.Close())
	}
	return s, nil
}
