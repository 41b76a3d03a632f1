package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Runs writes a row for each run, for ainur list.
func Runs(w io.Writer, runs []*result.Run) error {
	t := Table{Columns: []Column{
		{Name: "run"},
		{Name: "experiment"},
		{Name: "mode"},
		{Name: "started"},
		{Name: "points", Number: true},
		{Name: "repeats", Number: true},
		{Name: "calls", Number: true},
		{Name: "p50", Unit: "ms", Number: true},
		{Name: "p99", Unit: "ms", Number: true},
		{Name: "numbers"},
		{Name: "assertions"},
	}}
	for _, run := range runs {
		m := &run.Manifest
		loads, _ := collect(run)
		var calls int64
		for _, s := range loads {
			for _, r := range s.repeats {
				calls += r.Offered
			}
		}
		p50, p99 := none, none
		if len(loads) == 1 { // one number for several points would mean nothing
			p50, p99 = milliseconds(loads[0], timeColumns[0]), milliseconds(loads[0], timeColumns[2])
		}
		t.Rows = append(t.Rows, []string{
			m.RunID, m.Experiment, string(m.Mode), m.Started.Local().Format("2006-01-02 15:04:05"), strconv.Itoa(len(run.Experiment.Points)),
			fmt.Sprintf("%d/%d", len(run.Repeats), len(run.Steps)), strconv.FormatInt(calls, 10), p50, p99, state(run), asserted(run),
		})
	}
	return t.Write(w)
}

// state is the validity of a run in a word.
func state(run *result.Run) string {
	valid, _ := run.Verdict()
	switch {
	case run.Active:
		return "running"
	case run.Manifest.Validity == nil:
		return "killed"
	case run.Manifest.Interrupted:
		return "interrupted"
	case valid:
		return "VALID"
	default:
		return "INVALID"
	}
}

// milliseconds is the median of a time over repeats.
func milliseconds(s series, c measured) string {
	return cell(spread(s.repeats, c)[0], c, unit{"ms", time.Millisecond})
}

// asserted is the tally of assertions in a word or two.
func asserted(run *result.Run) string {
	t := run.Tally()
	switch {
	case len(run.Manifest.Assertions) == 0:
		return none
	case t.Failed > 0:
		return fmt.Sprintf("FAILED %d", t.Failed)
	default:
		return fmt.Sprintf("PASSED %d", t.Passed)
	}
}

// group is a titled list of names and values.
type group struct {
	Title string
	Items [][2]string
}

// provenance is the manifest for people: what was run, with what, and where.
func provenance(run *result.Run) []group {
	m := &run.Manifest
	what := group{"Run", [][2]string{
		{"id", m.RunID},
		{"experiment", m.Experiment},
		{"mode", string(m.Mode)},
		{"state", stateText(run)},
		{"started", m.Started.Format(time.RFC3339Nano)},
	}}
	if !m.Ended.IsZero() {
		what.Items = append(what.Items, [2]string{"ended", fmt.Sprintf("%s, after %s", m.Ended.Format(time.RFC3339Nano), duration(m.Ended.Sub(m.Started)))})
	}
	what.Items = append(what.Items, [2]string{"plan", fmt.Sprintf("%s × %s, %s; %d of %d repeats begun", plural(len(run.Experiment.Points), "point"), plural(run.Experiment.Repeat, "repeat"), run.Experiment.Order, len(run.Repeats), len(run.Steps))})
	if m.Error != "" {
		what.Items = append(what.Items, [2]string{"stopped by", m.Error})
	}

	made := group{"Provenance", [][2]string{
		{"command", strings.Join(m.Command, " ")},
		{"seed", strconv.FormatUint(m.Seed, 10)},
		{"semantic sha256", m.SemanticSHA256},
		{"text sha256", m.TextSHA256},
		{"ainur", build(m.Build)},
	}}
	if m.DecisionLogSHA256 != "" {
		made.Items = append(made.Items, [2]string{"decision log sha256", m.DecisionLogSHA256})
	}
	if g := m.Git; g != nil {
		made.Items = append(made.Items, [2]string{"git", gitText(g)})
	}
	for _, s := range run.Experiment.Sources {
		made.Items = append(made.Items, [2]string{"file", s.Path + "  " + s.SHA256})
	}
	for _, v := range m.Variables {
		made.Items = append(made.Items, [2]string{"var." + v.Name, fmt.Sprintf("%s  (%s)", v.Value, v.Origin)})
	}
	for _, t := range m.Traces {
		made.Items = append(made.Items, [2]string{"trace " + t.Name, fmt.Sprintf("%s in %s, %s  %s", plural(t.Calls, "call"), duration(t.Duration), t.Path, t.SHA256)})
	}

	groups := []group{what, made}
	for _, host := range slices.Sorted(maps.Keys(m.Hosts)) {
		groups = append(groups, group{"Host " + host, facts(m.Hosts[host])})
	}
	limits := group{Title: "Limitations"}
	for _, worker := range slices.Sorted(maps.Keys(m.Limitations)) {
		for _, l := range m.Limitations[worker] {
			limits.Items = append(limits.Items, [2]string{worker, l})
		}
	}
	if len(limits.Items) > 0 {
		groups = append(groups, limits)
	}
	return groups
}

func stateText(run *result.Run) string {
	switch s := string(run.Manifest.State); {
	case run.Active:
		return s + ", its process is alive"
	case run.Manifest.State == result.Running:
		return s + ", but its process is gone: it was killed"
	case run.Manifest.Interrupted:
		return s + ", interrupted"
	default:
		return s
	}
}

func build(b result.Build) string {
	text := b.Version
	if b.Commit != "" {
		text += ", commit " + b.Commit
	}
	if b.Modified {
		text += " with changes"
	}
	return fmt.Sprintf("%s, %s %s/%s", text, b.Go, b.Settings["GOOS"], b.Settings["GOARCH"])
}

func gitText(g *result.Git) string {
	switch {
	case g.Problem != "":
		return "unknown: " + g.Problem
	case len(g.Dirty) > 0:
		return fmt.Sprintf("commit %s with %s", g.Commit, plural(len(g.Dirty), "changed file"))
	default:
		return "commit " + g.Commit
	}
}

// facts is what a host is, for people.
func facts(f spec.Facts) [][2]string {
	turbo := "unknown"
	if f.Turbo != nil {
		turbo = map[bool]string{true: "on", false: "off"}[*f.Turbo]
	}
	return [][2]string{
		{"name", f.Hostname},
		{"system", f.OS + ", Linux " + f.Kernel + " " + f.Arch},
		{"cpu", fmt.Sprintf("%s: %s, %s, %d threads, %s", f.CPUModel, plural(f.Sockets, "socket"), plural(f.PhysicalCores, "core"), f.LogicalCores, plural(f.NUMANodes, "NUMA node"))},
		{"clock speed", fmt.Sprintf("governor %s, turbo %s, SMT %s", cmp.Or(f.Governor, "unknown"), turbo, cmp.Or(f.SMT, "unknown"))},
		{"memory", fmt.Sprintf("%s, swap %s, THP %s", bytesText(int64(f.MemoryTotal)), bytesText(int64(f.SwapTotal)), cmp.Or(f.THP, "unknown"))},
		{"isolation", fmt.Sprintf("cgroup %s, virtualisation %s, uid %d", f.Cgroup, cmp.Or(f.Virt, "none seen"), f.UID)},
		{"load before", number(f.Load1)},
		{"boot id", f.BootID},
		{"kernel cmdline", f.Cmdline},
	}
}

// seal says whether the run is as it was sealed.
func seal(run *result.Run) string {
	err := result.Verify(run.Dir)
	switch {
	case errors.Is(err, result.ErrNotSealed):
		return "none: " + stateText(run)
	case err != nil:
		return err.Error()
	default:
		return "intact, sha256 " + run.SealSHA256
	}
}

// Show writes everything a run's manifest says, its verdicts, files and seal,
// for ainur show. It reads every file to check the seal.
func Show(w io.Writer, run *result.Run) error {
	files, err := run.Files()
	if err != nil {
		return err
	}
	sizes := group{Title: "Files"}
	for _, f := range files {
		sizes.Items = append(sizes.Items, [2]string{f.Path, bytesText(f.Size)})
	}
	v, a := validity(run), assertions(run)
	verdicts := group{"Verdicts", [][2]string{{v[0], v[1]}, {a[0], a[1]}}}
	for _, a := range run.Manifest.Assertions {
		if !a.Passed {
			verdicts.Items = append(verdicts.Items, [2]string{severity(a) + " " + a.Name, fmt.Sprintf("%s  %s", a.Message, a.Values)})
		}
	}
	for _, o := range run.Manifest.Outputs {
		verdicts.Items = append(verdicts.Items, [2]string{"output " + o.Name, string(o.Value)})
	}

	var b strings.Builder
	for _, g := range slices.Concat([]group{verdicts}, provenance(run), []group{sizes, {"Seal", [][2]string{{"seal", seal(run)}}}}) {
		fmt.Fprintln(&b, g.Title)
		width := 0
		for _, item := range g.Items {
			width = max(width, len([]rune(item[0])))
		}
		for _, item := range g.Items {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, item[0], strings.TrimSpace(item[1]))
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(w, b.String())
	return err
}
