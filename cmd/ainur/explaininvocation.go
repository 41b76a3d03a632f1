package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

func (c *cli) explainInvocationCommand() *cobra.Command {
	of := "latest"
	cmd := &cobra.Command{
		Use:   "explain-invocation TID",
		Short: "Why a call went where it did, when it did: candidates, neighbours and choice",
		Long: `Tells of one call of a run, live or simulated, by its transaction id (the column tid of
calls.parquet): where its time went, what each worker had when the balancer chose, and on its
worker what ran, what went before it, and what it was overtaken by. Of a simulated run, which is
simulated again as far as that call, also each decision: what it went by, what there was to choose
from with the loads, ranks and priorities, and the choice.`,
		Example: "  ainur explain-invocation 5ca1ab1e.1.steady.41 --run latest",
		Args:    args(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.explainInvocation(cmd.Context(), of, args[0]) },
	}
	cmd.Flags().StringVar(&of, "run", of, "id, folder or latest")
	return cmd
}

// shownNeighbours bounds the neighbours of a kind that are shown.
const shownNeighbours = 10

func (c *cli) explainInvocation(ctx context.Context, ref, tid string) error {
	run, err := result.Open(ref, c.results)
	if err != nil {
		return err
	}
	e, err := orchestrator.Explain(ctx, run, tid)
	if err != nil {
		return err
	}
	c.data = e
	if c.output == "json" {
		return nil
	}
	var phases []string
	for _, p := range e.Phases {
		phases = append(phases, fmt.Sprintf("%s %v", p.Name, p.Took))
	}
	fmt.Fprintf(c.stdout, "call      %s of function %s at %s, repeat %d: %s\n", e.TID, e.Function, e.Point, e.Repeat, e.Status)
	fmt.Fprintf(c.stdout, "time      %s\n", strings.Join(phases, ", "))
	if e.Balancer != "" {
		fmt.Fprintf(c.stdout, "balancer  %s\n", e.Balancer)
		t := report.Table{Columns: []report.Column{{Name: "worker"}, {Name: "in flight", Number: true}, {Name: ""}}}
		for _, w := range e.Candidates {
			chosen := ""
			if w.Chosen {
				chosen = "chosen"
			}
			t.Rows = append(t.Rows, []string{w.Worker, fmt.Sprint(w.InFlight), chosen})
		}
		if err := t.Write(c.stdout); err != nil {
			return err
		}
	}
	if e.Queue == "" {
		fmt.Fprintln(c.stdout, "it was in no worker's queue")
		return nil
	}
	fmt.Fprintf(c.stdout, "queue     %s on worker %s: %d ran, %d went before it, %d that waited went after it, %d came later and went before it\n",
		e.Queue, e.Worker, len(e.Running), len(e.Ahead), len(e.Overtaken), len(e.Overtook))
	if e.ColdKind != "" {
		fmt.Fprintf(c.stdout, "sandbox   %s (keepalive %s)\n", e.ColdKind, e.KeepAlive)
		if e.Device != "" {
			fmt.Fprintf(c.stdout, "device    %s (placement %s)\n", e.Device, e.Placement)
		}
	}
	t := report.Table{Columns: []report.Column{{Name: "neighbour"}, {Name: "tid"}, {Name: "function"}, {Name: "had waited", Number: true}, {Name: "exec", Number: true}}}
	for _, of := range []struct {
		what string
		all  []orchestrator.Neighbour
	}{{"ran", e.Running}, {"went before", e.Ahead}, {"went after", e.Overtaken}, {"overtook", e.Overtook}} {
		for i, n := range of.all {
			if i == shownNeighbours {
				t.Rows = append(t.Rows, []string{of.what, fmt.Sprintf("… and %d more", len(of.all)-i), "", "", ""})
				break
			}
			exec := "-"
			if n.Exec >= 0 {
				exec = n.Exec.Round(time.Microsecond).String()
			}
			t.Rows = append(t.Rows, []string{of.what, n.TID, n.Function, n.Waited.Round(time.Microsecond).String(), exec})
		}
	}
	if len(t.Rows) > 0 {
		if err := t.Write(c.stdout); err != nil {
			return err
		}
	}
	return c.writeDecisions(e)
}

// writeDecisions writes those of a simulated run, in order.
func (c *cli) writeDecisions(e *orchestrator.Explanation) error {
	if e.Lacking != "" {
		fmt.Fprintf(c.stdout, "decisions: %s\n", e.Lacking)
	}
	for _, d := range e.Decisions {
		fmt.Fprintf(c.stdout, "%-12v %-9s %s: %s", time.Duration(d.At), d.What, d.By, d.Choice)
		if len(d.Inputs) > 0 {
			fmt.Fprintf(c.stdout, " (%s)", strings.Join(d.Inputs, "; "))
		}
		fmt.Fprintln(c.stdout)
		t := report.Table{Columns: []report.Column{{Name: "candidate"}, {Name: "of"}, {Name: "by"}, {Name: ""}}}
		for i, s := range d.Candidates {
			if i >= shownNeighbours && !s.Chosen {
				continue
			}
			chosen := ""
			if s.Chosen {
				chosen = "chosen"
			}
			t.Rows = append(t.Rows, []string{s.Name, s.Of, s.Score, chosen})
		}
		if more := len(d.Candidates) - len(t.Rows); more > 0 {
			t.Rows = append(t.Rows, []string{fmt.Sprintf("… and %d more", more), "", "", ""})
		}
		if len(t.Rows) > 0 {
			if err := t.Write(c.stdout); err != nil {
				return err
			}
		}
	}
	return nil
}
