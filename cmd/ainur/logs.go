package main

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/internal/printable"
	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// logFlags choose lines.
type logFlags struct {
	host, component, level, grep, tid string
	since                             time.Duration
}

func (c *cli) logsCommand() *cobra.Command {
	var f logFlags
	var follow bool
	var file string
	cmd := &cobra.Command{
		Use:   "logs [RUN]",
		Short: "What the daemons of a run said, of all hosts in the order of time",
		Long: `Shows the logs of agents, balancer and load generator in one order: the clock of
each host is corrected by how far it was ahead of the controller's. What functions
printed is in the folders logs/worker-N of the repeats.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref := "latest"
			if len(args) > 0 {
				ref = args[0]
			}
			run, err := result.Open(ref, c.results)
			if err != nil {
				return exit(exitUsage, err)
			}
			if follow && run.Manifest.State == result.Running {
				return c.followLogs(cmd.Context(), run, file, f)
			}
			return c.logs(run, f)
		},
	}
	c.varFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "of a run that is under way: as they come, until it ends")
	flags.StringVar(&file, "file", ".", "with --follow, of a run on a cluster: the experiment, or its folder")
	flags.StringVar(&f.host, "host", "", "of this host alone; a pattern such as n*")
	flags.StringVar(&f.component, "component", "", "worker-1, balancer or load; a pattern such as worker-*")
	flags.StringVar(&f.level, "level", "", "of this level alone: debug, info, warn or error")
	flags.StringVar(&f.grep, "grep", "", "with this text alone")
	flags.StringVar(&f.tid, "tid", "", "of the call with this transaction id alone")
	flags.DurationVar(&f.since, "since", 0, "of the last so much of the run alone")
	return cmd
}

func (c *cli) logs(run *result.Run, f logFlags) error {
	lines, err := report.Logs(run)
	if err != nil {
		return err
	}
	end := time.Time{}
	if len(lines) > 0 {
		end = lines[len(lines)-1].Time
	}
	shown, err := f.choose(lines, end)
	if err != nil {
		return err
	}
	c.data = map[string]any{"lines": shown}
	if c.output == "json" {
		return nil
	}
	return c.printLogs(shown)
}

func (c *cli) printLogs(lines []report.LogLine) error {
	for _, l := range lines {
		if _, err := fmt.Fprintf(c.stdout, "%s  %-8s %-9s %s\n", l.Time.Format("15:04:05.000000"), l.Host, l.Component, printable.Text(l.Text)); err != nil {
			return err
		}
	}
	return nil
}

// choose leaves the lines that are wanted, of a run that ended then.
func (f logFlags) choose(lines []report.LogLine, end time.Time) (wanted []report.LogLine, err error) {
	for _, l := range lines {
		ok, err := f.match(l, end)
		if err != nil {
			return nil, exit(exitUsage, err)
		}
		if ok {
			wanted = append(wanted, l)
		}
	}
	return wanted, nil
}

func (f logFlags) match(l report.LogLine, end time.Time) (bool, error) {
	for _, of := range [][2]string{{f.host, l.Host}, {f.component, l.Component}} {
		if of[0] == "" {
			continue
		}
		if ok, err := path.Match(of[0], of[1]); err != nil || !ok {
			return false, err
		}
	}
	return (f.level == "" || strings.EqualFold(f.level, l.Level)) && strings.Contains(l.Text, f.grep) &&
		(f.tid == "" || strings.Contains(l.Text, `"`+f.tid+`"`)) && (f.since == 0 || !l.Time.Before(end.Add(-f.since))), nil
}
