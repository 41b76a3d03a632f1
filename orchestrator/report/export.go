package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Markdown writes the run as a Markdown page: verdicts, tables, provenance.
func Markdown(w io.Writer, run *result.Run) error {
	m := &run.Manifest
	p := &printer{w: w}
	v, a := validity(run), assertions(run)
	p.printf("# %s\n\nRun `%s` of `%s`, %s, %s.\n\n- **%s**: %s\n- **%s**: %s\n", title(run), m.RunID, m.Experiment, m.Mode,
		m.Started.Format("2006-01-02 15:04 UTC"), v[0], v[1], a[0], a[1])
	sections, err := tables(run)
	if err != nil {
		return err
	}
	if len(m.Assertions) > 0 {
		sections = append(sections, section{"Assertions", assertionTable(run)})
	}
	for _, s := range sections {
		p.printf("\n## %s\n\n", s.Title)
		p.table(s.Table)
	}
	for _, g := range provenance(run) {
		t := Table{Columns: []Column{{Name: g.Title}, {}}}
		for _, item := range g.Items {
			t.Rows = append(t.Rows, item[:])
		}
		p.printf("\n")
		p.table(t)
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(t Table) {
	if p.err == nil {
		p.err = t.Markdown(p.w)
	}
}

func title(run *result.Run) string {
	if run.Manifest.Title != "" {
		return run.Manifest.Title
	}
	return run.Manifest.Experiment
}

func assertionTable(run *result.Run) Table {
	t := Table{Columns: []Column{{Name: "assertion"}, {Name: "verdict"}, {Name: "where"}, {Name: "that"}, {Name: "values"}, {Name: "message"}}}
	for _, a := range run.Manifest.Assertions {
		verdict := "failed"
		switch {
		case a.Passed:
			verdict = "passed"
		case a.Severity == "warning":
			verdict = "warning"
		}
		t.Rows = append(t.Rows, []string{a.Name, verdict, where(run, a), a.Source, a.Values, a.Message})
	}
	return t
}

// CSV writes a row for each repeat, load and function, and one with an empty
// function for all of them together, in full precision: times in nanoseconds,
// empty where nothing was seen.
func CSV(w io.Writer, run *result.Run) error {
	out := csv.NewWriter(w)
	header := []string{"run", "point", "repeat", "seed", "state"}
	for _, a := range run.Experiment.Points[0].Axes {
		header = append(header, a.Name)
	}
	header = append(header, "load", "function", "offered", "completed", "failed", "cold", "duration_ns", "throughput_per_s")
	for _, q := range quantiles(spec.Metrics{}) {
		for _, name := range []string{"count", "mean", "p50", "p90", "p95", "p99", "p999", "max"} {
			header = append(header, q.name+"_"+name)
		}
	}
	out.Write(header)
	for _, rep := range run.Repeats {
		key := []string{run.Manifest.RunID, rep.Point, strconv.Itoa(rep.Repeat), strconv.FormatUint(rep.Seed, 10), string(rep.State)}
		for _, a := range run.Point(rep.Point).Axes {
			key = append(key, result.AxisText(a))
		}
		for _, load := range slices.Sorted(maps.Keys(rep.Metrics)) {
			m := rep.Metrics[load]
			out.Write(slices.Concat(key, []string{load, ""}, fields(m.Metrics)))
			for _, f := range slices.Sorted(maps.Keys(m.Functions)) {
				out.Write(slices.Concat(key, []string{load, f}, fields(m.Functions[f])))
			}
		}
	}
	out.Flush()
	return out.Error()
}

type namedQuantiles struct {
	name string
	q    spec.Quantiles
}

func quantiles(m spec.Metrics) []namedQuantiles {
	return []namedQuantiles{{"latency_ns", m.Latency}, {"overhead_ns", m.Overhead}, {"exec_ns", m.Exec}, {"queue_ns", m.Queue}, {"start_ns", m.Start}, {"lag_ns", m.Lag}}
}

func fields(m spec.Metrics) []string {
	var row []string
	for _, n := range []int64{m.Offered, m.Completed, m.Failed, m.Cold, int64(m.Duration)} {
		row = append(row, strconv.FormatInt(n, 10))
	}
	row = append(row, strconv.FormatFloat(m.ThroughputPerSecond, 'g', -1, 64))
	for _, n := range quantiles(m) {
		row = append(row, strconv.FormatInt(n.q.Count, 10))
		for _, v := range []int64{int64(n.q.Mean), int64(n.q.P50), int64(n.q.P90), int64(n.q.P95), int64(n.q.P99), int64(n.q.P999), int64(n.q.Max)} {
			if n.q.Count == 0 {
				row = append(row, "")
				continue
			}
			row = append(row, strconv.FormatInt(v, 10))
		}
	}
	return row
}
