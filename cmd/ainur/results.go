package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Verbs that read result directories.

func (c *cli) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the runs",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			runs, err := result.List(c.results)
			if err != nil {
				return err
			}
			if c.output == "json" {
				manifests := make([]result.Manifest, len(runs))
				for i, r := range runs {
					manifests[i] = r.Manifest
				}
				c.data = map[string]any{"runs": manifests}
				return nil
			}
			return report.Runs(c.stdout, runs)
		},
	}
}

// open is the run that an argument names, the latest without one.
func (c *cli) open(args []string) (*result.Run, error) {
	ref := "latest"
	if len(args) > 0 {
		ref = args[0]
	}
	return result.Open(ref, c.results)
}

func (c *cli) showCommand() *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use:   "show [RUN]",
		Short: "Show what a run was and what it came to",
		Long:  "RUN is an id or the beginning of one, a result folder, or latest, which is the default.",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := c.open(args)
			if err != nil {
				return err
			}
			if verify {
				if err := result.Verify(run.Dir); err != nil {
					return err
				}
				if c.output != "json" {
					fmt.Fprintf(c.stdout, "%s: every file is as it was sealed\n", run.Dir)
				}
				return nil
			}
			if c.output == "json" {
				c.data = run.Manifest
				return nil
			}
			return report.Show(c.stdout, run)
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "check every file against the seal")
	return cmd
}

// formats of report, in the order they are listed.
var formats = []struct {
	name  string
	write func(io.Writer, *result.Run) error
}{
	{"table", report.Tables}, {"html", report.HTML}, {"md", report.Markdown}, {"csv", report.CSV},
}

func (c *cli) reportCommand() *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Report a run: tables, or a page with figures",
		Long:  "RUN is an id or the beginning of one, a result folder, or latest, which is the default.",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			i := slices.IndexFunc(formats, func(f struct {
				name  string
				write func(io.Writer, *result.Run) error
			},
			) bool {
				return f.name == format
			})
			if i < 0 {
				return exit(exitUsage, fmt.Errorf("--format is %q, want %s", format, formatNames()))
			}
			run, err := c.open(args)
			if err != nil {
				return err
			}
			if c.output == "json" {
				c.data = result.Document(run)
				return nil
			}
			if out == "" && format == "html" {
				out = filepath.Join(".", run.Manifest.Experiment+"-"+run.Manifest.RunID+".html")
			}
			if out == "" || out == "-" {
				return formats[i].write(c.stdout, run)
			}
			if err := writeReport(out, run, formats[i].write); err != nil {
				return err
			}
			fmt.Fprintln(c.stdout, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", formatNames())
	cmd.Flags().StringVar(&out, "out", "", "file to write, - for standard output (which is the default but for html)")
	return cmd
}

func formatNames() string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func writeReport(path string, run *result.Run, write func(io.Writer, *result.Run) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f, run), f.Close())
}
