package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

func (c *cli) fidelityCommand() *cobra.Command {
	percent := orchestrator.Limits{P50: 5, P99: 15, Throughput: 3, Cold: 1}
	cmd := &cobra.Command{
		Use:   "fidelity SIMULATED LIVE",
		Short: "How far a simulated run is from the live one",
		Long: `Compares the runs load by load at each point: latency p50, p90 and p99, throughput and cold ratio, with
confidence intervals where both have three repeats or more, and the Wasserstein distance of the
latencies. Fails when an error is over its limit, in percent (points of a percent for the cold ratio).`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			limits := percent
			for _, l := range []*float64{&limits.P50, &limits.P90, &limits.P99, &limits.Throughput, &limits.Cold} {
				if *l < 0 {
					return exit(exitUsage, errors.New("limits are 0, which is none, or more"))
				}
				*l /= 100
			}
			return c.fidelity(args[0], args[1], limits)
		},
	}
	for _, l := range []struct {
		name  string
		value *float64
	}{{"p50", &percent.P50}, {"p90", &percent.P90}, {"p99", &percent.P99}, {"throughput", &percent.Throughput}, {"cold", &percent.Cold}} {
		cmd.Flags().Float64Var(l.value, l.name, *l.value, "largest error, in percent; 0 is any")
	}
	return cmd
}

func (c *cli) fidelity(simulated, live string, limits orchestrator.Limits) error {
	a, err := result.Open(simulated, c.results)
	if err != nil {
		return err
	}
	b, err := result.Open(live, c.results)
	if err != nil {
		return err
	}
	all, err := orchestrator.Fidelities(a, b)
	if err != nil {
		return err
	}
	table := report.Table{Columns: []report.Column{
		{Name: "point"},
		{Name: "load"},
		{Name: "metric"},
		{Name: "simulated", Number: true},
		{Name: "live", Number: true},
		{Name: "error", Unit: "%", Number: true},
		{Name: "95 % CI", Number: true},
	}}
	var over []error
	for _, f := range all {
		for _, m := range f.Metrics {
			interval := "too few repeats"
			if m.Low != nil {
				interval = fmt.Sprintf("%+.1f … %+.1f", 100**m.Low, 100**m.High)
			}
			table.Rows = append(table.Rows, []string{f.Point, f.Load, m.Metric, value(m.Metric, m.Simulated), value(m.Metric, m.Live), fmt.Sprintf("%+.1f", 100*m.Error), interval})
		}
		table.Rows = append(table.Rows, []string{
			f.Point, f.Load, "Wasserstein distance", "", time.Duration(f.Latency.NS).Round(time.Microsecond).String(),
			fmt.Sprintf("%.1f", 100*f.Latency.Relative), "",
		})
		for _, what := range limits.Over(f) {
			over = append(over, errors.New(what))
		}
	}
	c.data = map[string]any{"loads": all, "passed": len(over) == 0}
	if c.output != "json" {
		if err := table.Write(c.stdout); err != nil {
			return err
		}
	}
	if len(over) > 0 {
		return exit(exitAssertions, errors.Join(over...))
	}
	return nil
}

// value is a metric in its unit.
func value(metric string, v float64) string {
	switch metric {
	case "throughput":
		return fmt.Sprintf("%.1f/s", v)
	case "cold_ratio":
		return fmt.Sprintf("%.2f %%", 100*v)
	}
	return time.Duration(v).Round(time.Microsecond).String()
}
