package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/orchestrator/deploy"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

func (c *cli) statusCommand() *cobra.Command {
	var f clusterFlags
	var watch bool
	every := 2 * time.Second
	cmd := &cobra.Command{
		Use:   "status [PATH]",
		Short: "What runs on the hosts of a cluster",
		Long: `Asks the supervisor of each host what runs there. It needs no lock and changes
nothing: it may be asked while a run is under way.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			f.bare = true
			s, err := c.openTestbed(cmd.Context(), args, &f, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			return c.watchStatus(cmd.Context(), s, watch, every)
		},
	}
	f.add(c, cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "again and again, until interrupted")
	cmd.Flags().DurationVar(&every, "every", every, "with --watch: how often")
	return cmd
}

// hostStatus is how a host stands.
type hostStatus struct {
	Host string `json:"host"`
	*node.Description
	Error string `json:"error,omitempty"` // why it is not known
	err   error
}

func (c *cli) watchStatus(ctx context.Context, s *testbed, watch bool, every time.Duration) error {
	asked := make([]func() hostStatus, len(s.Hosts))
	for i, h := range s.Hosts {
		var closeAll func() error
		asked[i], closeAll = s.status(ctx, h)
		defer func() { _ = closeAll() }() // it was only read from
	}
	for {
		all := make([]hostStatus, len(asked))
		var group errgroup.Group
		for i, ask := range asked {
			group.Go(func() error {
				all[i] = ask()
				return nil
			})
		}
		_ = group.Wait() // what went wrong is said of each
		c.data = map[string]any{"hosts": all}
		if err := c.showStatus(all); err != nil {
			return err
		}
		if !watch || c.output == "json" {
			return statusVerdict(all)
		}
		select {
		case <-time.After(every):
			fmt.Fprintln(c.stdout)
		case <-ctx.Done():
			return nil
		}
	}
}

// statusVerdict is the exit code for hosts of which nothing is known.
func statusVerdict(all []hostStatus) error {
	for _, s := range all {
		switch {
		case errors.Is(s.err, remote.ErrUnreachable), errors.Is(s.err, remote.ErrRefused):
			return exit(exitUnreachable, errSaid)
		case s.err != nil:
			return exit(exitFailed, errSaid)
		}
	}
	return nil
}

// askWithin bounds a question to a supervisor.
const askWithin = 10 * time.Second

// status is how to ask a host, also again.
func (s *testbed) status(ctx context.Context, h *deploy.Host) (ask func() hostStatus, closeAll func() error) {
	none := func() error { return nil }
	if h.Err != nil {
		return func() hostStatus { return hostStatus{Host: h.Name, Error: h.Err.Error(), err: h.Err} }, none
	}
	if h.Facts.Binary == "" && !h.Facts.Unchanged {
		return func() hostStatus { return hostStatus{Host: h.Name, Error: "not set up: ainur up"} }, none
	}
	client, closeAll, err := s.Supervisor(h)
	if err != nil {
		return func() hostStatus { return hostStatus{Host: h.Name, Error: err.Error(), err: err} }, none
	}
	return func() hostStatus {
		within, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		d, err := client.Ask(within)
		if err != nil {
			return hostStatus{Host: h.Name, Error: "no supervisor answers: " + err.Error(), err: err}
		}
		return hostStatus{Host: h.Name, Description: &d}
	}, closeAll
}

func (c *cli) showStatus(all []hostStatus) error {
	if c.output == "json" {
		return nil
	}
	t := report.Table{Columns: []report.Column{{Name: "host"}, {Name: "supervisor"}, {Name: "address"}, {Name: "run"}, {Name: "daemons"}}}
	for _, s := range all {
		if s.Description == nil {
			t.Rows = append(t.Rows, []string{s.Host, s.Error, "", "", ""})
			continue
		}
		row := []string{s.Host, fmt.Sprintf("pid %d", s.PID), s.Address, "", ""}
		for _, run := range s.Runs {
			row[3] = strings.TrimSpace(row[3] + " " + run.ID)
			for _, d := range run.Daemons {
				row[4] = strings.TrimSpace(row[4] + " " + stands(d))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Write(c.stdout)
}

// stands is how a daemon stands, in a word or two.
func stands(d node.Status) string {
	name := d.Name[strings.LastIndex(d.Name, ".")+1:]
	if d.Exit == nil {
		return name
	}
	return name + " (" + d.Exit.How() + ")"
}
