package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator/report"
)

func (c *cli) lockCommand() *cobra.Command {
	var f clusterFlags
	cmd := &cobra.Command{
		Use:   "lock [PATH]",
		Short: "Show who works with the hosts of a cluster: it exits with 5 where somebody does",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s, err := c.openLocked(cmd, args, &f)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			holders, held := map[string]string{}, false
			t := report.Table{Columns: []report.Column{{Name: "host"}, {Name: "lock"}}}
			for _, h := range s.Hosts {
				if h.Facts == nil {
					continue
				}
				holders[h.Name] = h.Facts.Holder
				row := []string{h.Name, "free"}
				if h.Facts.Holder != "" {
					row[1], held = h.Facts.Holder, true
				}
				t.Rows = append(t.Rows, row)
			}
			c.data = map[string]any{"holders": holders}
			if c.output == "table" {
				err = t.Write(c.stdout)
			}
			if err = errors.Join(err, hostError(s.Failed())); err == nil && held {
				err = exit(exitLocked, errSaid)
			}
			return err
		},
	}
	f.add(c, cmd)
	return cmd
}

func (c *cli) unlockCommand() *cobra.Command {
	var f clusterFlags
	var force bool
	cmd := &cobra.Command{
		Use:   "unlock [PATH]",
		Short: "Take the lock of a cluster's hosts from another ainur, which is not told",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if !force {
				return exit(exitUsage, errors.New("a lock is free as soon as whoever holds it has ended; take it with --force from one that still runs, and ends badly then"))
			}
			s, err := c.openLocked(cmd, args, &f)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			return c.recap(s, s.Unlock(cmd.Context()))
		},
	}
	f.add(c, cmd)
	cmd.Flags().BoolVar(&force, "force", false, "also from one that still runs")
	return cmd
}

// openLocked asks the hosts without their lock.
func (c *cli) openLocked(cmd *cobra.Command, args []string, f *clusterFlags) (*testbed, error) {
	f.bare = true
	return c.openTestbed(cmd.Context(), args, f, false)
}
