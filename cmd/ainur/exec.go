package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

func (c *cli) execCommand() *cobra.Command {
	var f clusterFlags
	var root bool
	var path string
	timeout := 10 * time.Minute
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG]...",
		Short: "Run a command on the hosts of a cluster, and show the same answers together",
		Long: `Runs a command on all hosts at a time. No shell reads its arguments: for one, give
sh -c '...'. The exit code is that of the host where it was the highest, or 4 where
one cannot be reached.`,
		Example: `  ainur exec -- uptime
  ainur exec --limit @worker --become -- sh -c 'dmesg | tail -3'`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("it took longer than --timeout %v", timeout))
			defer cancel()
			return c.exec(ctx, path, &f, remote.Command{Args: args, Root: root})
		},
	}
	f.add(c, cmd)
	cmd.Flags().StringVar(&path, "file", ".", "the experiment, or its folder")
	cmd.Flags().BoolVar(&root, "become", false, "as root, in the way of the cluster's become block")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "of the command, with connecting")
	return cmd
}

// said is what a command came to on a host.
type said struct {
	Host   string `json:"host"`
	Exit   int    `json:"exit"` // -1 where it is not known
	Output string `json:"output"`
	Error  string `json:"error,omitempty"`
	err    error
}

func (c *cli) exec(ctx context.Context, path string, f *clusterFlags, command remote.Command) (err error) {
	cluster, err := c.reachable([]string{path}, f)
	if err != nil {
		return err
	}
	d := c.dialer()
	defer func() { err = errors.Join(err, d.Close()) }()
	all := make([]said, len(cluster.Hosts))
	var hosts errgroup.Group
	hosts.SetLimit(f.most())
	for i, h := range cluster.Hosts {
		hosts.Go(func() error {
			all[i] = execOn(ctx, d, h, cluster.Become, command)
			return nil
		})
	}
	_ = hosts.Wait() // what went wrong is said of each
	c.data = map[string]any{"hosts": all}
	if c.output != "json" {
		c.showSaid(all)
	}
	return verdictOf(all)
}

// most is how many hosts are worked with at a time.
func (f *clusterFlags) most() int {
	if f.parallel > 0 {
		return f.parallel
	}
	return 32
}

func execOn(ctx context.Context, d dialer, h spec.Host, become spec.Become, command remote.Command) said {
	s := said{Host: h.Name, Exit: -1}
	conn, err := d.Dial(ctx, h, become)
	if err == nil {
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		err = errors.Join(conn.Run(ctx, command), conn.Close())
		s.Output = out.String()
	}
	var bad *remote.ExitError
	switch {
	case err == nil:
		s.Exit = 0
	case errors.As(err, &bad) && bad.Signal == "":
		s.Exit = bad.Status
	default:
		s.err, s.Error = err, err.Error()
	}
	return s
}

// showSaid shows answers that are the same once, with all hosts that gave them.
func (c *cli) showSaid(all []said) {
	type answer struct {
		exit          int
		output, error string
	}
	var order []answer
	hosts := map[answer][]string{}
	for _, s := range all {
		a := answer{s.Exit, s.Output, s.Error}
		if hosts[a] == nil {
			order = append(order, a)
		}
		hosts[a] = append(hosts[a], s.Host)
	}
	for _, a := range order {
		names := strings.Join(hosts[a], " ")
		switch {
		case a.error != "":
			fmt.Fprintf(c.stderr, "%s: %s\n", names, a.error)
		case a.exit != 0:
			fmt.Fprintf(c.stdout, "%s: exit status %d\n%s", names, a.exit, a.output)
		default:
			fmt.Fprintf(c.stdout, "%s:\n%s", names, a.output)
		}
	}
}

// verdictOf is the error with the exit code of all.
func verdictOf(all []said) error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.err)
	}
	if err := errors.Join(errs...); err != nil {
		if err := hostError(err); errors.Is(err, remote.ErrUnreachable) || errors.Is(err, remote.ErrRefused) {
			return exit(exitUnreachable, errSaid)
		}
		return exit(exitFailed, errSaid)
	}
	worst := slices.MaxFunc(all, func(a, b said) int { return a.Exit - b.Exit }).Exit
	if worst == 0 {
		return nil
	}
	return exit(worst, errSaid)
}
