package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/orchestrator"
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
nothing: it may be asked while a run is under way, of which it says how it stands:
the point, the calls of the load that is sent, and how long it will still take.`,
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
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	hosts := make([]*watched, len(s.Hosts))
	for i, h := range s.Hosts {
		hosts[i] = s.watched(h)
		defer func() { _ = hosts[i].close() }() // it was only read from
	}
	for {
		all := make([]hostStatus, len(hosts))
		var group errgroup.Group
		for i, h := range hosts {
			group.Go(func() error {
				all[i] = h.ask(ctx)
				return nil
			})
		}
		_ = group.Wait() // what went wrong is said of each
		var runs []runStatus
		for i, h := range hosts {
			if all[i].Description == nil {
				continue
			}
			if r, ok := h.run(ctx, *all[i].Description, &following); ok {
				runs = append(runs, r)
			}
		}
		c.data = map[string]any{"hosts": all, "runs": append([]runStatus{}, runs...)}
		if err := c.showStatus(all, runs, watch && isTerminal(c.stdout)); err != nil {
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

// watched is a host that is asked again and again how it stands.
type watched struct {
	name   string
	client *node.Client // nil where there is nobody to ask
	why    hostStatus   // where there is not
	close  func() error

	mu        sync.Mutex
	conductor string // of the run that is followed
	last      *orchestrator.Standing
}

func (s *testbed) watched(h *deploy.Host) *watched {
	w := &watched{name: h.Name, why: hostStatus{Host: h.Name}, close: func() error { return nil }}
	if h.Err != nil {
		w.why.Error, w.why.err = h.Err.Error(), h.Err
		return w
	}
	if h.Facts.Binary == "" && !h.Facts.Unchanged {
		w.why.Error = "not set up: ainur up"
		return w
	}
	client, closeAll, err := s.Supervisor(h)
	if err != nil {
		w.why.Error, w.why.err = err.Error(), err
		return w
	}
	w.client, w.close = client, closeAll
	return w
}

// ask asks what runs on the host.
func (w *watched) ask(ctx context.Context) hostStatus {
	if w.client == nil {
		return w.why
	}
	within, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	d, err := w.client.Ask(within)
	if err != nil {
		return hostStatus{Host: w.name, Error: "no supervisor answers, ainur up starts one: " + err.Error(), err: err}
	}
	return hostStatus{Host: w.name, Description: &d}
}

// runStatus is how a run stands that a host executes.
type runStatus struct {
	Run  string `json:"run"`
	Host string `json:"host"`
	*orchestrator.Standing
}

// toldWithin is how long a run may take to say how it stands; a load says it four times a second.
const toldWithin = time.Second

// run is how the run stands that the host executes; ok is false where there is none.
func (w *watched) run(ctx context.Context, d node.Description, following *sync.WaitGroup) (s runStatus, ok bool) {
	run, daemon, lines, ok := orchestrator.Conducted(d)
	if !ok {
		return s, false
	}
	w.mu.Lock()
	if conductor := run + " " + daemon; w.conductor != conductor {
		w.conductor, w.last = conductor, nil
		told := make(chan struct{})
		var once sync.Once
		following.Go(func() {
			_, _ = orchestrator.Watch(ctx, w.client, run, daemon, lines-1, func(s orchestrator.Standing) { // it is asked again what runs
				w.mu.Lock()
				w.last = &s
				w.mu.Unlock()
				once.Do(func() { close(told) })
			})
		})
		w.mu.Unlock()
		select {
		case <-told:
		case <-time.After(toldWithin):
		case <-ctx.Done():
		}
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	return runStatus{run, w.name, w.last}, true
}

func (c *cli) showStatus(all []hostStatus, runs []runStatus, clear bool) error {
	if c.output == "json" {
		return nil
	}
	if clear {
		fmt.Fprint(c.stdout, "\x1b[H\x1b[2J")
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
			row[4] = strings.TrimSpace(row[4] + " " + standing(run.Daemons))
		}
		t.Rows = append(t.Rows, row)
	}
	if err := t.Write(c.stdout); err != nil {
		return err
	}
	for _, r := range runs {
		fmt.Fprintln(c.stdout, r.text())
	}
	return nil
}

// text is how the run stands, in lines.
func (r runStatus) text() string {
	text := fmt.Sprintf("\nrun %s on host %s", r.Run, r.Host)
	if r.Standing == nil || r.Step == 0 {
		return text + ": it begins"
	}
	text += fmt.Sprintf(": point %s  repeat %d  (%d of %d)", r.Point, r.Repeat, r.Step, r.Steps)
	if r.Failed > 0 {
		text += fmt.Sprintf("  %s failed", counted(r.Failed, "repeat"))
	}
	if r.Left > 0 {
		text += "  about " + r.Left.Round(time.Second).String() + " left"
	}
	if l, ok := loaded(r.Load); ok {
		text += "\n" + l
	}
	return text
}

// standing are those daemons that run, or ended badly, and how many others there were.
func standing(daemons []node.Status) string {
	var all []string
	well := 0
	for _, d := range daemons {
		name := d.Name[strings.LastIndex(d.Name, ".")+1:]
		switch {
		case d.Exit == nil:
			all = append(all, name)
		case d.Exit.Err() == nil:
			well++
		default:
			all = append(all, name+" ("+d.Exit.How()+")")
		}
	}
	if well > 0 {
		all = append(all, fmt.Sprintf("(%d ended)", well))
	}
	return strings.Join(all, " ")
}
