package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

// functionsFlags are those of bench functions.
type functionsFlags struct {
	isolation, base, socket, memory string
	calls                           int
	zygote                          bool
}

func (c *cli) benchFunctionsCommand() *cobra.Command {
	var flags functionsFlags
	cmd := &cobra.Command{
		Use:   "functions FOLDER",
		Short: "How long the functions in Python in a folder take, cold and warm, and their memory",
		Long: `Makes a sandbox of each function in Python that is a folder in FOLDER, calls it
without arguments, and says how long it took until the first answer and how long
the following calls took, and the memory it had in use at most after a call. One
that cannot run here says why.`,
		Example: `  ainur bench functions examples/functions/functionbench
  ainur bench functions examples/functions/functionbench --base 'deb:bookworm?include=python3-minimal,libpython3-stdlib,python3-numpy'`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return c.benchFunctions(cmd.Context(), args[0], flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.isolation, "sandbox", "process", "process, containerd or docker")
	f.StringVar(&flags.base, "base", "", "image below the functions; default: the files of this host")
	f.StringVar(&flags.socket, "socket", "", "of the containerd or docker daemon; default: where it listens")
	f.StringVar(&flags.memory, "memory", "1GiB", "limit of a sandbox")
	f.IntVar(&flags.calls, "calls", 20, "warm calls of each function")
	f.BoolVar(&flags.zygote, "zygote", false, "fork sandboxes from one that has imported the code")
	return cmd
}

// functionRow is what one function takes.
type functionRow struct {
	Function string `json:"function"`
	Error    string `json:"error,omitempty"` // why it does not run here
	Cold     int64  `json:"cold_ns"`         // until the first answer
	WarmP50  int64  `json:"warm_p50_ns"`
	WarmMax  int64  `json:"warm_max_ns"`
	Memory   int64  `json:"memory_bytes"` // in use after a call, at most; -1 when unknown
}

func (c *cli) benchFunctions(ctx context.Context, folder string, flags functionsFlags) (err error) {
	memory, err := units.Bytes(flags.memory)
	if err != nil || flags.calls < 1 {
		return exit(exitUsage, errors.Join(err, fmt.Errorf("--memory is a size such as 1GiB, and --calls 1 or more")))
	}
	mains, err := filepath.Glob(filepath.Join(folder, "*", "main.py"))
	if err != nil || len(mains) == 0 {
		return exit(exitUsage, fmt.Errorf("%s has no folder with main.py", folder))
	}
	store := images()
	digest := ""
	if flags.base != "" {
		if digest, err = store.Pull(ctx, flags.base); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "ainur-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // functions may run as another user
		return err
	}
	var rows []functionRow
	for _, path := range mains {
		source := filepath.Dir(path)
		f := spec.Function{Name: filepath.Base(source), Runtime: "python3", Source: source, Memory: memory, MilliCPU: 1000}
		row, err := benchFunction(ctx, f, digest, filepath.Join(dir, f.Name), flags, store)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	c.data = map[string]any{"rows": rows}
	if c.output == "json" {
		return nil
	}
	return c.writeFunctions(rows)
}

func benchFunction(ctx context.Context, f spec.Function, digest, dir string, flags functionsFlags, store *oci.Store) (row functionRow, err error) {
	row = functionRow{Function: f.Name, Memory: -1}
	archive, _, err := image.Stage(ctx, f)
	if err != nil {
		return row, err
	}
	code := filepath.Join(dir, "code")
	if err := image.Unpack(archive, code); err != nil {
		return row, err
	}
	runID := fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano())
	container := spec.Container{Network: "none", Zygote: flags.zygote, Socket: flags.socket}
	isolation, err := openIsolation(ctx, spec.Worker{Isolation: flags.isolation, Container: container}, filepath.Join(dir, "sandboxes"), runID, store, slog.New(slog.DiscardHandler))
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, isolation.Close()) }()
	began := time.Now()
	box, err := isolation.Create(ctx, sandbox.Config{ID: "f-1", Function: f, Code: code, Image: digest})
	var failed *sandbox.Error
	if errors.As(err, &failed) {
		row.Error = lastLine(failed.Message)
		return row, nil
	}
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, box.Remove()) }()
	var warm []int64
	for n := range flags.calls + 1 {
		called := time.Now()
		_, err := box.Invoke(ctx, []byte("{}"))
		if errors.As(err, &failed) {
			row.Error = lastLine(failed.Message)
			return row, nil
		}
		if err != nil {
			return row, err
		}
		if n == 0 {
			row.Cold = int64(time.Since(began))
		} else {
			warm = append(warm, int64(time.Since(called)))
		}
		row.Memory = max(row.Memory, box.Memory())
	}
	slices.Sort(warm)
	row.WarmP50, row.WarmMax = warm[(len(warm)-1)/2], warm[len(warm)-1]
	return row, nil
}

func (c *cli) writeFunctions(rows []functionRow) error {
	number := func(name, unit string) report.Column { return report.Column{Name: name, Unit: unit, Number: true} }
	t := report.Table{Columns: []report.Column{{Name: "function"}, number("cold", "ms"), number("warm p50", "ms"), number("warm max", "ms"), number("memory", "MiB"), {Name: "does not run because"}}}
	ms := func(ns int64) string { return strconv.FormatFloat(float64(ns)/1e6, 'f', 2, 64) }
	for _, r := range rows {
		if r.Error != "" {
			t.Rows = append(t.Rows, []string{r.Function, "-", "-", "-", "-", r.Error})
			continue
		}
		memory := "-"
		if r.Memory >= 0 {
			memory = strconv.FormatFloat(float64(r.Memory)/float64(spec.MiB), 'f', 1, 64)
		}
		t.Rows = append(t.Rows, []string{r.Function, ms(r.Cold), ms(r.WarmP50), ms(r.WarmMax), memory, ""})
	}
	return t.Write(c.stdout)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
