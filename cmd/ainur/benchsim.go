package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// simRow is how fast a simulation is on one core.
type simRow struct {
	Workers   int     `json:"workers"`
	Balancer  string  `json:"balancer"` // "" without one
	Records   string  `json:"records"`  // "all" or "aggregate"
	Calls     int64   `json:"invocations"`
	PerSecond float64 `json:"invocations_per_s"`
	MaxRSS    int64   `json:"max_rss_bytes"`
}

func (c *cli) benchSimCommand() *cobra.Command {
	calls, rounds, workers, row := 2_000_000, 3, []int{1, 100}, ""
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "How many invocations a second one core simulates",
		Long: `Simulates a load like that of the Azure trace: 200 functions on workers of 16 cores, 70 % of
them busy, with the files written that a run writes. Each simulation is a process of its own on one
core; the median of the rounds is shown.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if calls < 1 || rounds < 1 || slices.ContainsFunc(workers, func(n int) bool { return n < 1 }) {
				return exit(exitUsage, errors.New("--calls, --rounds and --workers are 1 or more"))
			}
			if row != "" {
				return c.benchSimOnce(cmd.Context(), workers[0], calls, row)
			}
			return c.benchSim(cmd.Context(), workers, calls, rounds)
		},
	}
	cmd.Flags().IntVar(&calls, "calls", calls, "invocations of one simulation, about")
	cmd.Flags().IntVar(&rounds, "rounds", rounds, "simulations of each kind")
	cmd.Flags().IntSliceVar(&workers, "workers", workers, "how many, of each kind of simulation; several are behind a balancer")
	cmd.Flags().StringVar(&row, "records", "", "simulate here, once, with these records")
	if err := cmd.Flags().MarkHidden("records"); err != nil {
		panic(err)
	}
	return cmd
}

// benchSimOnce simulates in this process.
func (c *cli) benchSimOnce(ctx context.Context, workers, calls int, records string) (err error) {
	dir, err := os.MkdirTemp("", "ainur-bench-sim-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	point, model := sim.AzureLike(200, workers, calls)
	began := time.Now()
	metrics, err := orchestrator.SimulateOnce(ctx, point, model, 1, records, dir)
	if err != nil {
		return err
	}
	r := simRow{Workers: workers, Records: records, Calls: metrics[point.Loads[0].Name].Offered}
	r.PerSecond = float64(r.Calls) / time.Since(began).Seconds()
	if point.Balancer != nil {
		r.Balancer = point.Balancer.Policy.Name
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	r.MaxRSS = usage.Maxrss * 1024
	return json.NewEncoder(c.stdout).Encode(r)
}

func (c *cli) benchSim(ctx context.Context, workers []int, calls, rounds int) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	type kind struct {
		workers int
		records string
	}
	var kinds []kind
	for _, n := range workers {
		kinds = append(kinds, kind{n, "all"}, kind{n, "aggregate"})
	}
	seen := map[kind][]simRow{}
	for range rounds {
		for _, k := range kinds {
			cmd := exec.CommandContext(ctx, executable, "bench", "sim", "--workers", strconv.Itoa(k.workers), "--calls", strconv.Itoa(calls), "--records", k.records)
			cmd.Env, cmd.Stderr = append(os.Environ(), "GOMAXPROCS=1"), os.Stderr
			out, err := cmd.Output()
			var r simRow
			if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
				return fmt.Errorf("simulate %d workers with records %s: %w", k.workers, k.records, err)
			}
			seen[k] = append(seen[k], r)
		}
	}
	table := report.Table{Columns: []report.Column{
		{Name: "workers", Number: true},
		{Name: "balancer"},
		{Name: "records"},
		{Name: "invocations", Number: true},
		{Name: "a second", Number: true},
		{Name: "max RSS", Unit: "MiB", Number: true},
	}}
	var rows []simRow
	for _, k := range kinds {
		all := seen[k]
		slices.SortFunc(all, func(a, b simRow) int { return int(a.PerSecond - b.PerSecond) })
		r := all[len(all)/2]
		rows = append(rows, r)
		table.Rows = append(table.Rows, []string{
			strconv.Itoa(r.Workers), r.Balancer, r.Records, strconv.FormatInt(r.Calls, 10),
			strconv.FormatFloat(r.PerSecond, 'f', 0, 64), strconv.FormatInt(r.MaxRSS>>20, 10),
		})
	}
	c.data = map[string]any{"rows": rows}
	if c.output == "json" {
		return nil
	}
	return table.Write(c.stdout)
}
