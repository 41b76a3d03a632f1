package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/agent/bench"
	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

// coldFlags are those of bench cold.
type coldFlags struct {
	sandboxes   []string
	functions   []string
	concurrency []int
	starts      int
	base        string
	imports     []string
	socket      string
}

func (c *cli) benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure what this host can do", Args: args(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.benchColdCommand(), c.benchFunctionsCommand(), c.benchSimCommand(), c.benchWarmCommand(), c.benchSSHCommand())
	return cmd
}

func (c *cli) benchColdCommand() *cobra.Command {
	flags := coldFlags{sandboxes: []string{"process"}, functions: []string{"builtin", "go", "python3"}, concurrency: []int{1, 16}}
	cmd := &cobra.Command{
		Use:   "cold",
		Short: "How long a new sandbox takes to answer, and what makes it faster",
		Long: `Starts sandboxes, each with one invocation, and removes them: one at a time,
each after a pause of 20 ms, and several at a time. Beside each, in turn, a floor:

  exec   the same program with nothing around it
  fork   a bare fork of an interpreter that is ready
  run    the OCI runtime alone with the same container

Cells are as many as are made at a time, and have been made before each start or burst,
but not for the rate, in starts per second.

What a technique contributes is the factor on the median, over all rows with it
and without (a 2^k factorial design).`,
		Example: `  ainur bench cold
  ainur bench cold --sandbox containerd --function python3 --base 'deb:bookworm?include=python3-minimal,libpython3-stdlib'
  ainur bench cold --function python3 --base 'deb:bookworm?include=python3-numpy' --import numpy`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.benchCold(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&flags.sandboxes, "sandbox", flags.sandboxes, "process, containerd, docker")
	f.StringSliceVar(&flags.functions, "function", flags.functions, "builtin, go, python3")
	f.IntSliceVar(&flags.concurrency, "concurrency", flags.concurrency, "made at a time")
	f.IntVar(&flags.starts, "starts", 50, "of each row")
	f.StringVar(&flags.base, "base", "", "image of python3 functions; default: the files of this host")
	f.StringSliceVar(&flags.imports, "import", nil, "modules that the python3 function imports")
	f.StringVar(&flags.socket, "socket", "", "of the containerd or docker daemon; default: where it listens")
	return cmd
}

// techniques are the ways to start sandboxes of a kind that are compared; cells is
// how many are made ahead where some are.
func techniques(kind, function string, cells int) []spec.Container {
	switch {
	case kind == "process" && function == "python3" && os.Getuid() == 0:
		return []spec.Container{{Network: "none"}, {Network: "none", StemCells: cells}, {Network: "none", Zygote: true}, {Network: "none", Zygote: true, StemCells: cells}}
	case kind == "process" && function == "builtin" && os.Getuid() == 0:
		return []spec.Container{{Network: "none"}, {Network: "none", StemCells: cells}}
	case kind == "process":
		return []spec.Container{{Network: "none"}}
	case kind == "containerd":
		return []spec.Container{{OCIRuntime: "runc"}, {OCIRuntime: "runc", StemCells: cells}, {OCIRuntime: "crun"}, {OCIRuntime: "crun", StemCells: cells}}
	case kind == "docker" && os.Getuid() == 0:
		return []spec.Container{{}, {StemCells: cells}}
	default:
		return []spec.Container{{}}
	}
}

// technique names what is in c.
func technique(c spec.Container) string {
	var names []string
	if c.OCIRuntime == "crun" {
		names = append(names, "crun")
	}
	if c.Zygote {
		names = append(names, "zygote")
	}
	if c.StemCells > 0 {
		names = append(names, "stem_cells")
	}
	return strings.Join(names, "+")
}

func (c *cli) benchCold(ctx context.Context, flags coldFlags) (err error) {
	if flags.starts < 1 || slices.ContainsFunc(flags.concurrency, func(n int) bool { return n < 1 }) {
		return exit(exitUsage, errors.New("--starts and --concurrency are 1 or more"))
	}
	dir, err := os.MkdirTemp("", "ainur-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // functions may run as another user
		return err
	}
	store := images()
	var rows []bench.Row
	for _, function := range flags.functions {
		config, err := coldFunction(ctx, function, flags, filepath.Join(dir, function), store)
		if err != nil {
			return fmt.Errorf("function %s: %w", function, err)
		}
		for _, kind := range flags.sandboxes {
			for _, container := range techniques(kind, function, slices.Max(flags.concurrency)) {
				container.Socket = flags.socket
				more, err := c.coldRows(ctx, kind, function, container, config, flags, dir, store)
				if err != nil {
					return fmt.Errorf("%s in %s: %w", function, kind, err)
				}
				rows = append(rows, more...)
			}
		}
	}
	effects := bench.Effects(rows)
	c.data = map[string]any{"rows": rows, "effects": effects}
	if c.output == "json" {
		return nil
	}
	return writeCold(c.stdout, rows, effects)
}

// coldFunction is a function to start, with its code in dir.
func coldFunction(ctx context.Context, name string, flags coldFlags, dir string, store *oci.Store) (c sandbox.Config, err error) {
	c.Function = spec.Function{Name: name, Memory: 256 * spec.MiB, MilliCPU: 1000}
	source := filepath.Join(dir, "source")
	write := func(file, content string) error {
		return errors.Join(os.MkdirAll(source, 0o755), os.WriteFile(filepath.Join(source, file), []byte(content), 0o644))
	}
	switch name {
	case "builtin":
		c.Function.Builtin = "hello"
		return c, nil
	case "go":
		c.Function.Runtime = "go"
		err = write("main.go", goFunction)
	case "python3":
		c.Function.Runtime = "python3"
		err = write("main.py", importLines(flags.imports)+"def main(args):\n    return args\n")
		if err == nil && flags.base != "" {
			c.Image, err = store.Pull(ctx, flags.base)
		}
	default:
		return c, exit(exitUsage, fmt.Errorf("--function is %q, want builtin, go or python3", name))
	}
	if err != nil {
		return c, err
	}
	c.Function.Source = source
	archive, _, err := image.Stage(ctx, c.Function)
	if err != nil {
		return c, err
	}
	c.Code = filepath.Join(dir, "code")
	return c, image.Unpack(archive, c.Code)
}

func importLines(modules []string) string {
	if len(modules) == 0 {
		return ""
	}
	return "import " + strings.Join(modules, ", ") + "\n"
}

// goFunction is a function in Go that does nothing.
const goFunction = `package main

import (
	"context"

	"github.com/ainur-faas/ainur/agent/shim/fn"
)

func main() {
	fn.Serve(func(_ context.Context, args map[string]any) (any, error) { return args, nil })
}
`

func (c *cli) coldRows(ctx context.Context, kind, function string, container spec.Container, config sandbox.Config, flags coldFlags, dir string, store *oci.Store) (rows []bench.Row, err error) {
	runID := fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano())
	isolation, err := openIsolation(ctx, spec.Worker{Isolation: kind, Container: container}, filepath.Join(dir, runID), runID, store, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, isolation.Close()) }()
	subject := bench.Subject{Sandbox: kind, Function: function, Technique: technique(container), Isolation: isolation, Config: config, Args: []byte("{}")}
	floor, closer, err := coldFloor(ctx, isolation, container, config, flags, dir, store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closer()) }()
	subject.Floor = floor
	for _, n := range flags.concurrency {
		if !c.quiet {
			fmt.Fprintf(c.stderr, "%s in %s %s, %d at a time\n", function, kind, subject.Technique, n)
		}
		row, err := bench.Measure(ctx, subject, flags.starts, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// coldFloor is the floor of a way to start sandboxes, and what ends it.
func coldFloor(ctx context.Context, isolation sandbox.Isolation, container spec.Container, config sandbox.Config, flags coldFlags, dir string, store *oci.Store) (bench.Floor, func() error, error) {
	nothing := func() error { return nil }
	if direct, ok := isolation.(*containerd.Isolation); ok {
		return bench.Floor{Name: container.OCIRuntime + " run", Start: func(ctx context.Context) (bench.Start, error) {
			ready, answered, err := direct.Direct(ctx, config, []byte("{}"))
			return bench.Start{Ready: ready, Answered: answered}, err
		}}, nothing, nil
	}
	if container.Zygote {
		python := []string{"python3"}
		if config.Image != "" {
			root, err := store.Unpack(ctx, config.Image)
			if err != nil {
				return bench.Floor{}, nil, err
			}
			if len(root.Layers) == 1 { // else there is no folder with all of it
				python = []string{"chroot", root.Layers[0], "/usr/bin/python3"}
			}
		}
		floor, closer, err := bench.Fork(strings.TrimSpace(importLines(flags.imports)), python...)
		if err != nil {
			return bench.Floor{}, nil, err
		}
		return floor, closer.Close, nil
	}
	if config.Image != "" {
		return bench.Floor{}, nothing, nil
	}
	floor, err := bench.Exec(config, []byte("{}"), dir)
	return floor, nothing, err
}

func writeCold(w io.Writer, rows []bench.Row, effects []bench.Effect) error {
	number := func(name, unit string) report.Column { return report.Column{Name: name, Unit: unit, Number: true} }
	t := report.Table{Columns: []report.Column{
		{Name: "sandbox"},
		{Name: "function"},
		{Name: "technique"},
		number("at a time", ""), number("ready p50", "ms"), number("answer p50", "ms"), number("answer p99", "ms"),
		number("removal p50", "ms"), number("starts /s", ""),
		{Name: "floor"},
		number("floor p50", "ms"), number("ratio", ""),
	}}
	ms := func(ns int64) string {
		if ns == 0 {
			return "-"
		}
		return strconv.FormatFloat(float64(ns)/1e6, 'f', 2, 64)
	}
	for _, r := range rows {
		ratio := "-"
		if r.Ratio > 0 {
			ratio = strconv.FormatFloat(r.Ratio, 'f', 2, 64)
		}
		t.Rows = append(t.Rows, []string{
			r.Sandbox, r.Function, dash(r.Technique), strconv.Itoa(r.Concurrency), ms(r.ReadyP50), ms(r.P50), ms(r.P99), ms(r.RemoveP50),
			strconv.FormatFloat(r.PerSecond, 'f', 0, 64), dash(r.Floor), ms(r.FloorP50), ratio,
		})
	}
	if err := t.Write(w); err != nil || len(effects) == 0 {
		return err
	}
	e := report.Table{Columns: []report.Column{{Name: "sandbox"}, {Name: "function"}, {Name: "technique"}, number("time x", "")}}
	for _, f := range effects {
		e.Rows = append(e.Rows, []string{f.Sandbox, f.Function, f.Technique, strconv.FormatFloat(f.Factor, 'f', 3, 64)})
	}
	fmt.Fprintln(w)
	return e.Write(w)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
