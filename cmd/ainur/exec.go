package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/printable"
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
one cannot be reached. Control characters that a host prints are shown as �; with
-o json the output is as it was.`,
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
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		out := &printed{over: func() {
			cancel(fmt.Errorf("it printed more than %d MiB: have it write a file, and fetch that with ainur cp", mostPrinted>>20))
		}}
		command.Stdout, command.Stderr = out, out
		err = errors.Join(conn.Run(ctx, command), conn.Close())
		s.Output = out.text()
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

// mostPrinted bounds what is kept of a command on one host, in bytes.
const mostPrinted = 16 << 20

// printed is what a command prints on standard output and standard error, which come at
// the same time.
type printed struct {
	mu   sync.Mutex
	b    bytes.Buffer
	over func() // is called with what there is no room for
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := mostPrinted - p.b.Len()
	p.b.Write(b[:min(len(b), room)])
	if len(b) > room {
		p.over()
	}
	return len(b), nil
}

func (p *printed) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
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
		names, output := strings.Join(hosts[a], " "), printable.Text(a.output)
		if output != "" && !strings.HasSuffix(output, "\n") {
			output += "\n"
		}
		switch {
		case a.error != "":
			fmt.Fprintf(c.stderr, "%s: %s\n", names, printable.Text(a.error))
		case a.exit != 0:
			fmt.Fprintf(c.stdout, "%s: exit status %d\n%s", names, a.exit, output)
		default:
			fmt.Fprintf(c.stdout, "%s:\n%s", names, output)
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
