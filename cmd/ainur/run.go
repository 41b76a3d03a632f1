package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/client"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// executeFlags are those of run and simulate.
type executeFlags struct {
	experiment string
	repeat     int
	seed       uint64
	from       string // a finished run with the durations for simulate
	resume     string // a run to go on with
	anew       bool   // also when one of the experiment was left on its hosts
	noUp       bool   // the hosts are as they should be
	jobs       int    // of simulate
	records    string // of simulate

	// Where it is set the experiment is this one made from it, which asserts nothing, and
	// finish is given what it measured.
	derive func(*spec.Experiment) (*spec.Experiment, error)
	finish func(*result.Run) error
}

func (f *executeFlags) add(c *cli, cmd *cobra.Command) {
	c.varFlags(cmd)
	cmd.Flags().StringVar(&f.experiment, "experiment", "", "the experiment, where there are several")
	cmd.Flags().IntVar(&f.repeat, "repeat", 0, "repeats of each point, instead of the experiment's")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "seed, instead of the experiment's")
}

// apply overrides what flags were given for; the manifest records the command.
func (f *executeFlags) apply(cmd *cobra.Command, exp *spec.Experiment) error {
	if cmd.Flags().Changed("repeat") {
		if f.repeat < 1 {
			return exit(exitUsage, fmt.Errorf("--repeat is %d, want 1 or more", f.repeat))
		}
		exp.Repeat = f.repeat
	}
	if cmd.Flags().Changed("seed") {
		exp.Seed = f.seed
	}
	if cmd.Flags().Changed("jobs") {
		if f.jobs < 1 {
			return exit(exitUsage, fmt.Errorf("--jobs is %d, want 1 or more", f.jobs))
		}
		exp.Simulate.Jobs = f.jobs
	}
	if cmd.Flags().Changed("records") {
		if f.records != "all" && f.records != "aggregate" {
			return exit(exitUsage, fmt.Errorf("--records is %q, want all or aggregate", f.records))
		}
		exp.Simulate.Records = f.records
	}
	return nil
}

func (c *cli) runCommand() *cobra.Command {
	var flags executeFlags
	cmd := &cobra.Command{
		Use:   "run [PATH]",
		Short: "Run an experiment: start, load, collect, assert, report",
		Long: `Runs an experiment on its cluster, or in virtual time when it says simulate
instead of cluster.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.execute(cmd, args, &flags, schema.Live)
		},
	}
	flags.add(c, cmd)
	cmd.Flags().StringVar(&flags.resume, "resume", "", "go on with a run that was killed, interrupted or failed in part: id, folder or latest")
	cmd.Flags().BoolVar(&flags.anew, "new", false, "start another run, also when one of the same experiment was left on the hosts of its cluster")
	cmd.Flags().BoolVar(&flags.noUp, "no-up", false, "change nothing on the hosts of the cluster before; they have to be as ainur up leaves them")
	cmd.MarkFlagsMutuallyExclusive("resume", "new")
	cmd.MarkFlagsMutuallyExclusive("resume", "repeat")
	cmd.MarkFlagsMutuallyExclusive("resume", "seed")
	return cmd
}

// unfinished opens the run to go on with.
func (c *cli) unfinished(ref string) (*result.Run, error) {
	run, err := result.Open(ref, c.results)
	switch {
	case err != nil:
		return nil, exit(exitUsage, err)
	case run.Manifest.Mode != result.Live:
		return nil, exit(exitUsage, fmt.Errorf("run %s is simulated: simulate it again", run.Manifest.RunID))
	case run.Manifest.State == result.Sealed && len(run.Left()) == 0:
		return nil, exit(exitUsage, fmt.Errorf("run %s: %w", run.Manifest.RunID, result.ErrComplete))
	}
	return run, nil
}

// same makes exp what a run of it executes, unless it has changed since.
func same(exp *spec.Experiment, run *result.Run) error {
	changed := len(exp.Points) != len(run.Experiment.Points)
	for i := range exp.Points {
		changed = changed || exp.Points[i].ID != run.Experiment.Points[i].ID
	}
	if changed {
		return exit(exitSpec, fmt.Errorf("experiment %s is not what run %s began with: its points are others; give the file and the variables of then, which `ainur show %s` tells", exp.Name, run.Manifest.RunID, run.Manifest.RunID))
	}
	exp.Repeat, exp.Seed, exp.Order = run.Experiment.Repeat, run.Experiment.Seed, run.Experiment.Order
	return nil
}

// executeLive is the executor of real time: of a new run, or of what is left of one.
func executeLive(left *result.Run) executor {
	return func(ctx context.Context, exp *spec.Experiment, o orchestrator.Options) (run *result.Run, diags hcllib.Diagnostics, err error) {
		here, err := openHere()
		if err != nil {
			return nil, nil, err
		}
		defer func() { err = errors.Join(err, here.Close()) }()
		site, err := siteHere(ctx, exp, here, o)
		if err != nil {
			return nil, nil, err
		}
		if left != nil {
			return orchestrator.Resume(ctx, left.Dir, exp, site, o)
		}
		return orchestrator.Run(ctx, exp, site, o)
	}
}

// siteHere is this host, without what killed runs have left, and with the code of exp.
func siteHere(ctx context.Context, exp *spec.Experiment, here *node.Supervisor, o orchestrator.Options) (orchestrator.Site, error) {
	err := orchestrator.Leftovers(ctx, here, func(run string, removed []string) {
		if o.Progress != nil {
			o.Progress(orchestrator.Reclaimed(run, removed))
		}
	})
	if err != nil && o.Progress != nil { // it is in nobody's way
		o.Progress(orchestrator.Progress{Stage: orchestrator.Reclaiming, Message: err.Error()})
	}
	store := images()
	code, err := orchestrator.Build(ctx, exp, store)
	if err != nil {
		return orchestrator.Site{}, err
	}
	return orchestrator.Local(exp, here, store, code)
}

// openHere is this host, for runs of this user.
func openHere() (*node.Supervisor, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return node.Open(node.Options{Dir: stateDir(), Executable: executable, Reclaim: reclaim})
}

// stateDir is the folder for what runs on this host need while they run:
// AINUR_STATE_DIR, else one of this user's below the runtime or temporary directory.
func stateDir() string {
	if dir := os.Getenv("AINUR_STATE_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "ainur")
	}
	return filepath.Join(os.TempDir(), "ainur-"+strconv.Itoa(os.Getuid()))
}

func (c *cli) simulateCommand() *cobra.Command {
	var flags executeFlags
	cmd := &cobra.Command{
		Use:   "simulate [PATH]",
		Short: "Run an experiment in virtual time, with the same schedulers",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.execute(cmd, args, &flags, schema.Simulated)
		},
	}
	flags.add(c, cmd)
	cmd.Flags().IntVar(&flags.jobs, "jobs", 0, "repeats at a time, instead of the experiment's; the results are the same for any number")
	cmd.Flags().StringVar(&flags.records, "records", "", "all, or aggregate: write no calls and no decision log, only metrics, histograms and the hash of the log")
	cmd.Flags().StringVar(&flags.from, "from", "", "take durations from this instead of the profiles: a file of ainur calibrate, or a finished run (id, folder or latest)")
	return cmd
}

// simulate is the executor of virtual time, with the durations of a finished
// run, or those of the profiles when from is "".
func (c *cli) simulate(from string) executor {
	return func(ctx context.Context, exp *spec.Experiment, o orchestrator.Options) (*result.Run, hcllib.Diagnostics, error) {
		var model *sim.Model
		switch from := cmp.Or(from, exp.Simulate.Calibration); {
		case from == "":
		case sim.IsCalibration(from):
			measured, err := sim.ReadCalibration(from)
			if err != nil {
				return nil, nil, err
			}
			model = measured.Model()
		default:
			finished, err := result.Open(from, c.results)
			if err != nil {
				return nil, nil, err
			}
			if model, err = orchestrator.Measured(finished); err != nil {
				return nil, nil, err
			}
		}
		return orchestrator.Simulate(ctx, exp, model, o)
	}
}

type executor func(context.Context, *spec.Experiment, orchestrator.Options) (*result.Run, hcllib.Diagnostics, error)

// execute plans, executes and reports. An experiment that says so is simulated,
// whatever the engine.
func (c *cli) execute(cmd *cobra.Command, args []string, flags *executeFlags, engine schema.Engine) (err error) {
	var resumed *result.Run
	if flags.resume != "" {
		if resumed, err = c.unfinished(flags.resume); err != nil {
			return err
		}
		flags.experiment = resumed.Manifest.Experiment
	}
	known := map[string]spec.Facts{}
	m, ok := c.load(args, hcl.Options{Facts: factsIn(known), Measured: flags.from != ""})
	if !ok {
		return errSpec
	}
	if m.Simulated(flags.experiment) {
		engine = schema.Simulated
	}
	do := executeLive(resumed)
	if engine == schema.Simulated {
		do = c.simulate(flags.from)
	}
	var hosts *testbed // nil where all is done here
	if engine == schema.Live {
		if diags := m.Lacking(flags.experiment, engine); diags.HasErrors() { // before anybody waits for hosts
			c.diags = append(c.diags, diags...)
			return errSpec
		}
		if hosts, err = c.hostsOf(cmd.Context(), m, flags.experiment, known); err != nil {
			return err
		}
	}
	if hosts != nil {
		defer func() { err = errors.Join(err, hosts.Close()) }()
	}
	exp, err := c.evaluate(m, flags.experiment, engine)
	if err != nil {
		return err
	}
	if err := flags.apply(cmd, exp); err != nil {
		return err
	}
	conclude := orchestrator.Conclude(m.Conclude)
	if flags.derive != nil {
		if exp, err = flags.derive(exp); err != nil {
			return err
		}
		conclude = func(*spec.Experiment, spec.Run, map[string][]spec.RepeatMetrics) ([]spec.Assertion, []spec.Output, hcllib.Diagnostics) {
			return nil, nil, nil
		}
	}
	if hosts != nil && resumed == nil && !flags.anew {
		resumed = c.left(exp)
	}
	if resumed != nil {
		if err := same(exp, resumed); err != nil {
			return err
		}
	}
	if hosts != nil {
		if err := c.prepare(cmd.Context(), hosts, exp, flags.noUp); err != nil {
			return err
		}
		do = hosts.executeOn(resumed)
	}
	screen := newScreen(c)
	run, diags, err := do(cmd.Context(), exp, orchestrator.Options{
		Results: c.results, Command: redact(os.Args, exp.Variables), Conclude: conclude, Progress: screen.show,
	})
	screen.clear()
	c.diags = append(c.diags, diags...)
	if err != nil {
		return err
	}
	if flags.finish != nil {
		return flags.finish(run)
	}
	if err := c.answer(run); err != nil {
		return err
	}
	return verdict(run, diags)
}

// redact hides the values of sensitive variables in a command line.
func redact(args []string, variables []spec.Variable) []string {
	args = slices.Clone(args)
	for i := range args {
		for _, v := range variables {
			if v.Sensitive() && strings.HasPrefix(strings.TrimPrefix(args[i], "--var="), v.Name+"=") {
				before, _, _ := strings.Cut(args[i], v.Name+"=")
				args[i] = before + v.Name + "=" + spec.Redacted
			}
		}
	}
	return args
}

// answer prints what a run came to.
func (c *cli) answer(run *result.Run) error {
	if c.output == "json" {
		c.data = result.Document(run)
		return nil
	}
	if !c.quiet {
		if err := report.Summary(c.stdout, run); err != nil {
			return err
		}
	}
	return report.Final(c.stdout, run)
}

// verdict is the exit code of a run that was reported.
func verdict(run *result.Run, diags hcllib.Diagnostics) error {
	valid, _ := run.Verdict()
	switch {
	case run.Manifest.Interrupted:
		return exit(exitInterrupted, errSaid)
	case !valid:
		return exit(exitInvalid, errSaid)
	case diags.HasErrors():
		return exit(exitFailed, errSaid)
	case run.Tally().Failed > 0:
		return exit(exitAssertions, errSaid)
	default:
		return nil
	}
}

// screen shows progress on standard error: one line that changes on a terminal,
// else a line for each step.
type screen struct {
	w        io.Writer
	quiet    bool
	terminal bool
	shown    bool // a line that will change is on the terminal
	last     time.Time
}

func newScreen(c *cli) *screen {
	return &screen{w: c.stderr, quiet: c.quiet, terminal: isTerminal(c.stderr)}
}

// heartbeat is how often a load is reported where there is no terminal.
const heartbeat = 30 * time.Second

func (s *screen) show(p orchestrator.Progress) {
	if s.quiet {
		return
	}
	switch p.Stage {
	case orchestrator.Reclaiming:
		s.line(p.Message)
	case orchestrator.Starting:
		s.last = time.Now()
		s.line(fmt.Sprintf("point %s  repeat %d  (%d of %d)", axes(p.Point), p.Repeat, p.Step, p.Steps))
	case orchestrator.Loading:
		text, ok := loaded(p.Load)
		if !ok || !s.terminal && time.Since(s.last) < heartbeat {
			return
		}
		s.last = time.Now()
		if !s.terminal {
			s.line(text)
			return
		}
		fmt.Fprintf(s.w, "\r\x1b[K%s", text)
		s.shown = true
	}
}

// loaded is how a load stands, in a line; ok is false where nothing is known of one.
func loaded(progress json.RawMessage) (text string, ok bool) {
	var l client.Progress
	if json.Unmarshal(progress, &l) != nil {
		return "", false
	}
	return fmt.Sprintf("  %s %5.1fs  %.1f/s  offered %d  completed %d  failed %d  in flight %d  p50 %.2f ms  p99 %.2f ms  lag p99 %.2f ms",
		l.Phase, max(0, l.Elapsed).Seconds(), l.Rate, l.Offered, l.Completed, l.Failed, l.InFlight, ms(l.LatencyP50), ms(l.LatencyP99), ms(l.LagP99)), true
}

func (s *screen) line(text string) {
	s.clear()
	fmt.Fprintln(s.w, text)
}

// clear takes away the line that changes.
func (s *screen) clear() {
	if s.shown {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.shown = false
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func axes(p *spec.Point) string {
	if len(p.Axes) == 0 {
		return p.ID
	}
	parts := make([]string, len(p.Axes))
	for i, a := range p.Axes {
		parts[i] = a.Name + "=" + result.AxisText(a)
	}
	return strings.Join(parts, " ")
}
