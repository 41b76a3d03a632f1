package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator/deploy"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

func (c *cli) upCommand() *cobra.Command {
	var f clusterFlags
	var yes, keepGoing bool
	cmd := &cobra.Command{
		Use:     "up [PATH or PLAN]",
		Aliases: []string{"apply"},
		Short:   "Install ainur on the hosts of a cluster and start it, as far as it is not there",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			path, planned, err := c.readPlan(args, &f)
			if err != nil {
				return err
			}
			f.shapes = true
			s, err := c.openTestbed(cmd.Context(), path, &f, true)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			if !keepGoing && s.Failed() != nil {
				return hostError(s.Failed())
			}
			p, err := s.Plan(s.exp, time.Now())
			if err != nil {
				return err
			}
			if !keepGoing && s.Failed() != nil {
				return hostError(s.Failed())
			}
			if planned != nil {
				if why := p.Stale(planned); why != "" {
					return fmt.Errorf("the plan in %s is stale: %s; make it again", args[0], why)
				}
			}
			if len(p.Changes()) > 0 && planned == nil {
				if err := c.confirm(s, p, yes, "Change this?"); err != nil {
					return err
				}
			}
			outcomes, err := s.Up(cmd.Context(), p, keepGoing)
			if err != nil {
				return err
			}
			if err := c.recap(s, outcomes); err != nil {
				return err
			}
			return c.require(cmd.Context(), s, outcomes)
		},
	}
	f.add(c, cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&keepGoing, "keep-going", false, "go on with other hosts when one fails")
	cmd.Flags().BoolVar(&f.noTune, "no-tune", false, "leave the settings of the tune block as they are")
	return cmd
}

func (c *cli) destroyCommand() *cobra.Command {
	var f clusterFlags
	var yes, keepGoing, keepResults bool
	cmd := &cobra.Command{
		Use:   "destroy [PATH]",
		Short: "Remove from the hosts of a cluster all that is ainur's, and restore what it changed",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s, err := c.openTestbed(cmd.Context(), args, &f, true)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			p := s.Removal()
			if !keepGoing && s.Failed() != nil {
				return hostError(s.Failed())
			}
			if len(p.Changes()) > 0 {
				if err := c.confirm(s, p, yes, "Remove this?"); err != nil {
					return err
				}
			}
			return c.recap(s, s.Destroy(cmd.Context(), keepResults, keepGoing))
		},
	}
	f.add(c, cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&keepGoing, "keep-going", false, "go on with other hosts when one fails")
	cmd.Flags().BoolVar(&keepResults, "keep-results", false, "leave what runs have measured on the hosts")
	return cmd
}

// confirm shows a plan and asks whether it is to be done.
func (c *cli) confirm(s *testbed, p *deploy.Plan, yes bool, question string) error {
	if !c.quiet || !yes {
		if err := s.Render(c.stderr, p, s.took); err != nil {
			return err
		}
	}
	if yes {
		return nil
	}
	if !isTerminal(os.Stdin) || !isTerminal(c.stderr) || os.Getenv("AINUR_INPUT") == "0" {
		return exit(exitUsage, errors.New("nobody is there to ask: say --yes"))
	}
	fmt.Fprintf(c.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return exit(exitFailed, errors.New("nothing was changed"))
	}
	return nil
}

// recap says what has become of each host.
func (c *cli) recap(s *testbed, outcomes []deploy.Outcome) error {
	c.data = map[string]any{"cluster": s.Cluster.Name, "hosts": outcomes}
	if c.output == "table" {
		if err := deploy.Recap(c.stdout, outcomes); err != nil {
			return err
		}
	}
	return hostError(s.Failed())
}

// setupCommand is what hosts are asked to do by others; up is what people call.
func (c *cli) setupCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "setup -",
		Short:  "Do to this host what standard input asks for",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r setup.Request
			if err := json.NewDecoder(io.LimitReader(os.Stdin, 1<<20)).Decode(&r); err != nil {
				return exit(exitUsage, fmt.Errorf("read the request: %w", err))
			}
			report := setup.Machine{Reclaim: reclaim, Vacate: vacate}.Do(context.WithoutCancel(cmd.Context()), r)
			if err := json.NewEncoder(c.stdout).Encode(report); err != nil {
				return err
			}
			if report.Error != "" {
				return exit(exitFailed, errSaid)
			}
			return nil
		},
	}
}
