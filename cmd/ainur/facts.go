package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

func (c *cli) factsCommand() *cobra.Command {
	var f clusterFlags
	var diff string
	cmd := &cobra.Command{
		Use:   "facts [PATH]",
		Short: "Show what the hosts of a cluster are, or how they differ from those of a run",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			f.bare, f.full = true, true
			s, err := c.openTestbed(cmd.Context(), args, &f, false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			hosts := map[string]*facts.Host{}
			var columns []factColumn
			for _, h := range s.Hosts {
				if h.Facts != nil {
					hosts[h.Name] = h.Facts
					columns = append(columns, factColumn{h.Name, factsOf(h.Facts)})
				}
			}
			c.data = map[string]any{"hosts": hosts}
			if cmd.Flags().Changed("diff") {
				var then []factColumn
				if diff != betweenHosts {
					if then, err = c.factsThen(diff); err != nil {
						return err
					}
				}
				columns = differing(columns, then)
				c.data = map[string]any{"different": columns}
			}
			if c.output == "table" {
				err = c.showFacts(columns)
			}
			return errors.Join(err, hostError(s.Failed()))
		},
	}
	f.add(c, cmd)
	cmd.Flags().StringVar(&diff, "diff", "", "only what differs, between the hosts, or with --diff=RUN from those of a run")
	cmd.Flags().Lookup("diff").NoOptDefVal = betweenHosts
	return cmd
}

// betweenHosts is --diff without a run.
const betweenHosts = "hosts"

// fact is one of a host, in words.
type fact struct{ Name, Value string }

// factColumn is the facts of one host, at one time.
type factColumn struct {
	Host  string
	Facts []fact
}

// factsOf is what a host is, in the order that it is shown in.
func factsOf(h *facts.Host) []fact {
	all := hardware(h.Facts)
	free := "unknown"
	if len(h.FreeKiB) > 0 {
		free = units.FormatBytes(spec.Bytes(slices.Min(h.FreeKiB)) * spec.KiB)
	}
	all = append(all, fact{"load", strconv.FormatFloat(h.Load1, 'f', 2, 64)}, fact{"free disk", free}, fact{"users", strconv.Itoa(len(h.Users))},
		fact{"clock", fmt.Sprintf("%+.2f ms, give or take %.2f", ms(h.Offset), ms(h.OffsetErr))})
	for _, name := range []string{"containerd", "runc", "crun", "docker"} {
		version := h.Versions[name]
		if version == "" {
			version = "none"
		}
		all = append(all, fact{name, version})
	}
	return append(all, fact{"listens", strings.Join(h.Listening, " ")})
}

// hardware is what a host is as long as nobody changes it.
func hardware(f spec.Facts) []fact {
	turbo := "unknown"
	if f.Turbo != nil {
		turbo = map[bool]string{true: "on", false: "off"}[*f.Turbo]
	}
	return []fact{
		{"os", f.OS},
		{"kernel", f.Kernel},
		{"command line", f.Cmdline},
		{"architecture", f.Arch},
		{"cpu", f.CPUModel},
		{"sockets", strconv.Itoa(f.Sockets)},
		{"cores", strconv.Itoa(f.PhysicalCores)},
		{"logical cores", strconv.Itoa(f.LogicalCores)},
		{"numa nodes", strconv.Itoa(f.NUMANodes)},
		{"smt", f.SMT},
		{"governor", f.Governor},
		{"turbo", turbo},
		{"memory", units.FormatBytes(f.MemoryTotal)},
		{"swap", units.FormatBytes(f.SwapTotal)},
		{"thp", f.THP},
		{"cgroup", f.Cgroup},
		{"virtual", f.Virt},
	}
}

// factsThen are those of the hosts of a run.
func (c *cli) factsThen(ref string) (all []factColumn, err error) {
	run, err := result.Open(ref, c.results)
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	for _, name := range slices.Sorted(maps.Keys(run.Manifest.Hosts)) {
		all = append(all, factColumn{name, hardware(run.Manifest.Hosts[name])})
	}
	return all, nil
}

// differing is the facts that are not the same on all hosts; with then, those that
// are not as they were on the host of the same name.
func differing(now, then []factColumn) []factColumn {
	var all []factColumn
	if then == nil {
		all = now
	}
	for _, before := range then {
		for _, h := range now {
			if h.Host == before.Host {
				all = append(all, factColumn{h.Host + " then", before.Facts}, factColumn{h.Host + " now", h.Facts})
			}
		}
	}
	different := map[string]bool{}
	for i, column := range all {
		with := all[0]
		if then != nil {
			with = all[i-i%2]
		}
		for _, f := range with.Facts {
			at := slices.IndexFunc(column.Facts, func(g fact) bool { return g.Name == f.Name })
			if at >= 0 && column.Facts[at].Value != f.Value {
				different[f.Name] = true
			}
		}
	}
	for i := range all {
		all[i].Facts = slices.DeleteFunc(slices.Clone(all[i].Facts), func(f fact) bool { return !different[f.Name] })
	}
	return all
}

// showFacts writes a row for each fact and a column for each host.
func (c *cli) showFacts(columns []factColumn) error {
	if len(columns) == 0 || len(columns[0].Facts) == 0 {
		_, err := fmt.Fprintln(c.stdout, "no difference")
		return err
	}
	t := report.Table{Columns: []report.Column{{Name: "fact"}}}
	for _, column := range columns {
		t.Columns = append(t.Columns, report.Column{Name: column.Host})
	}
	for _, f := range columns[0].Facts {
		row := []string{f.Name}
		for _, column := range columns {
			value := ""
			if at := slices.IndexFunc(column.Facts, func(g fact) bool { return g.Name == f.Name }); at >= 0 {
				value = column.Facts[at].Value
			}
			row = append(row, value)
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Write(c.stdout)
}
