package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

func (c *cli) calibrateCommand() *cobra.Command {
	flags := executeFlags{anew: true}
	each, out := 20*time.Second, "calibration.json"
	cmd := &cobra.Command{
		Use:   "calibrate [PATH]",
		Short: "Measure on a real worker what simulations take: phases of a call, and how executions slow each other down",
		Long: `Runs the functions of an experiment on its first worker, each as often as any other: one call at
a time, as many at a time as the worker has cores, and each in a new sandbox; then its first point
with other arrivals. What was measured goes to a file for ainur simulate --from FILE, and simulate { calibrate = "FILE" }.`,
		Example: `  ainur calibrate exp.ainur.hcl --out calibration.json
  ainur simulate exp.ainur.hcl --from calibration.json
  ainur run exp.ainur.hcl
  ainur fidelity SIMULATED LIVE`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if each < time.Second {
				return exit(exitUsage, fmt.Errorf("--each is %v, want 1s or more", each))
			}
			flags.derive = func(exp *spec.Experiment) (*spec.Experiment, error) { return orchestrator.CalibrationOf(exp, each) }
			flags.finish = func(run *result.Run) error { return c.calibrated(run, out) }
			return c.execute(cmd, args, &flags, schema.Live)
		},
	}
	c.varFlags(cmd)
	cmd.Flags().StringVar(&flags.experiment, "experiment", "", "the experiment, where there are several")
	cmd.Flags().Uint64Var(&flags.seed, "seed", 0, "seed, instead of the experiment's")
	cmd.Flags().DurationVar(&each, "each", each, "how long each way to call is measured")
	cmd.Flags().StringVar(&out, "out", out, "the file")
	return cmd
}

// calibrated writes what run measured to path.
func (c *cli) calibrated(run *result.Run, path string) error {
	measured, err := orchestrator.Calibrate(run)
	if err == nil {
		err = measured.Write(path)
	}
	if err != nil {
		return errors.Join(err, verdict(run, nil))
	}
	if c.output == "json" {
		c.data = map[string]any{"run_id": measured.Run, "path": path, "functions": len(measured.Functions), "slowdown": measured.Slowdown}
		return nil
	}
	c.tell("wrote", fmt.Sprintf("%s: %d functions; %d at a time take %.2f times as long as one", path, len(measured.Functions), len(measured.Slowdown), measured.Slowdown[len(measured.Slowdown)-1]))
	return nil
}
