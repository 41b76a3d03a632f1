package report

import (
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

// series is what the repeats of a point measured for one load, or for one
// function of it.
type series struct {
	point    *spec.Point
	load     string
	function string         // "" for all together
	repeats  []spec.Metrics // in order, those that measured something
}

// collect reads the series of a run: for each point and load all functions
// together, and then each function.
func collect(run *result.Run) (loads, functions []series) {
	for i := range run.Experiment.Points {
		p := &run.Experiment.Points[i]
		for _, l := range p.Loads {
			all := series{point: p, load: l.Name}
			byFunction := map[string][]spec.Metrics{}
			for _, rep := range run.Repeats {
				m, ok := rep.Metrics[l.Name]
				if rep.Point != p.ID || !ok {
					continue
				}
				all.repeats = append(all.repeats, m.Metrics)
				for name, fm := range m.Functions {
					byFunction[name] = append(byFunction[name], fm)
				}
			}
			loads = append(loads, all)
			for _, name := range slices.Sorted(maps.Keys(byFunction)) {
				functions = append(functions, series{p, l.Name, name, byFunction[name]})
			}
		}
	}
	return loads, functions
}

// measured is a column: one number of each repeat.
type measured struct {
	name  string
	group string // of durations that are read together and have one unit, "" for none
	unit  string // of what is no duration
	get   func(*spec.Metrics) (value float64, seen bool)
}

func counted(get func(*spec.Metrics) int64) func(*spec.Metrics) (float64, bool) {
	return func(m *spec.Metrics) (float64, bool) { return float64(get(m)), true }
}

func quantile(of func(*spec.Metrics) spec.Quantiles, get func(spec.Quantiles) time.Duration) func(*spec.Metrics) (float64, bool) {
	return func(m *spec.Metrics) (float64, bool) {
		q := of(m)
		return float64(get(q)), q.Count > 0
	}
}

func latency(m *spec.Metrics) spec.Quantiles  { return m.Latency }
func overhead(m *spec.Metrics) spec.Quantiles { return m.Overhead }
func exec(m *spec.Metrics) spec.Quantiles     { return m.Exec }
func lag(m *spec.Metrics) spec.Quantiles      { return m.Lag }

func p50(q spec.Quantiles) time.Duration     { return q.P50 }
func p90(q spec.Quantiles) time.Duration     { return q.P90 }
func p99(q spec.Quantiles) time.Duration     { return q.P99 }
func maximum(q spec.Quantiles) time.Duration { return q.Max }

// The columns of the tables of calls, of times, and of functions.
var (
	callColumns = []measured{
		{name: "offered", get: counted(func(m *spec.Metrics) int64 { return m.Offered })},
		{name: "completed", get: counted(func(m *spec.Metrics) int64 { return m.Completed })},
		{name: "failed", get: counted(func(m *spec.Metrics) int64 { return m.Failed })},
		{name: "cold", get: counted(func(m *spec.Metrics) int64 { return m.Cold })},
		{name: "throughput", unit: "/s", get: func(m *spec.Metrics) (float64, bool) { return m.ThroughputPerSecond, m.Duration > 0 }},
	}
	timeColumns = []measured{
		{name: "p50", group: "latency", get: quantile(latency, p50)},
		{name: "p90", group: "latency", get: quantile(latency, p90)},
		{name: "p99", group: "latency", get: quantile(latency, p99)},
		{name: "max", group: "latency", get: quantile(latency, maximum)},
		{name: "overhead p50", group: "overhead", get: quantile(overhead, p50)},
		{name: "overhead p99", group: "overhead", get: quantile(overhead, p99)},
		{name: "lag p99", group: "lag", get: quantile(lag, p99)},
	}
	functionColumns = []measured{
		callColumns[0], callColumns[2], callColumns[3],
		timeColumns[0], timeColumns[2], timeColumns[3],
		{name: "exec p50", group: "exec", get: quantile(exec, p50)},
		timeColumns[4],
	}
)

// section is a titled table of the summary.
type section struct {
	Title string
	Table Table
}

// summary is the tables of a run.
func summary(run *result.Run) []section {
	loads, functions := collect(run)
	sections := []section{{"Calls", table(run, loads, callColumns)}, {"Latency from the " + origin(run) + " time", table(run, loads, timeColumns)}}
	if len(functions) > len(loads) {
		sections = append(sections, section{"Functions", table(run, functions, functionColumns)})
	}
	return sections
}

// origin is the time that latency counts from, "intended" or "actual".
func origin(run *result.Run) string {
	from := ""
	for _, p := range run.Experiment.Points {
		for _, l := range p.Loads {
			if from != "" && from != l.MeasureFrom {
				return "intended or actual"
			}
			from = l.MeasureFrom
		}
	}
	return from
}

// table has a row for each of all; with several repeats three: median, minimum
// and maximum over them. Columns that say the same everywhere are left out.
func table(run *result.Run, all []series, columns []measured) Table {
	exp := run.Experiment
	var t Table
	var key []func(series) string
	add := func(name string, get func(series) string) {
		numeric := len(all) > 0
		for _, s := range all {
			numeric = numeric && strings.Trim(get(s), "0123456789.") == ""
		}
		t.Columns, key = append(t.Columns, Column{Name: name, Number: numeric}), append(key, get)
	}
	for i, a := range exp.Points[0].Axes {
		add(a.Name, func(s series) string { return result.AxisText(s.point.Axes[i]) })
	}
	if slices.ContainsFunc(exp.Points, func(p spec.Point) bool { return len(p.Loads) > 1 }) {
		add("load", func(s series) string { return s.load })
	}
	if slices.ContainsFunc(all, func(s series) bool { return s.function != "" }) {
		add("function", func(s series) string { return s.function })
	}
	repeated := exp.Repeat > 1
	if repeated {
		t.Columns = append(t.Columns, Column{Name: "repeats"})
	}
	groups := map[string]unit{"": {}}
	for _, c := range columns {
		if _, ok := groups[c.group]; !ok {
			groups[c.group] = commonUnit(all, c)
		}
		t.Columns = append(t.Columns, Column{c.name, c.unit + groups[c.group].name, true})
	}
	for _, s := range all {
		rows := [3][]string{}
		for i, label := range []string{"median of " + fmt.Sprint(len(s.repeats)), "min", "max"} {
			for _, k := range key {
				rows[i] = append(rows[i], k(s))
			}
			if repeated {
				rows[i] = append(rows[i], label)
			}
		}
		for _, c := range columns {
			for i, v := range spread(s.repeats, c) {
				rows[i] = append(rows[i], cell(v, c, groups[c.group]))
			}
		}
		t.Rows = append(t.Rows, rows[0])
		if repeated && len(s.repeats) > 1 {
			t.Rows = append(t.Rows, rows[1], rows[2])
		}
	}
	return t
}

// spread is the median, the least and the greatest of c over repeats; nil where
// none was seen.
func spread(repeats []spec.Metrics, c measured) [3]*float64 {
	var values []float64
	for i := range repeats {
		if v, seen := c.get(&repeats[i]); seen {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return [3]*float64{}
	}
	slices.Sort(values)
	median := (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	return [3]*float64{&median, &values[0], &values[len(values)-1]}
}

// cell writes a value of c, a duration in u.
func cell(v *float64, c measured, u unit) string {
	switch {
	case v == nil:
		return none
	case c.group != "":
		return u.in(*v)
	case c.unit == "": // a count, or halfway between two
		return strconv.FormatFloat(*v, 'f', -1, 64)
	default:
		return number(*v)
	}
}

// commonUnit is the unit in which the median of a column is read best.
func commonUnit(all []series, c measured) unit {
	var medians []float64
	for _, s := range all {
		if v := spread(s.repeats, c)[0]; v != nil {
			medians = append(medians, *v)
		}
	}
	if len(medians) == 0 {
		return unitOf(0)
	}
	slices.Sort(medians)
	return unitOf(time.Duration(medians[len(medians)/2]))
}

// tables is those of the summary, and what takes the calls of every repeat to know.
func tables(run *result.Run) ([]section, error) {
	boxes, err := sandboxes(run)
	if err != nil || len(boxes.Table.Rows) == 0 {
		return summary(run), err
	}
	return append(summary(run), boxes), nil
}

// Summary writes what the metrics of the run say: calls and latency for each point, and
// by function. With repeats, numbers are medians over repeats with the least
// and the greatest below.
func Summary(w io.Writer, run *result.Run) error { return write(w, summary(run)) }

// Tables writes the Summary, and how near to the best possible sandboxes were kept. It reads the calls
// of every repeat, one at a time.
func Tables(w io.Writer, run *result.Run) error {
	all, err := tables(run)
	if err != nil {
		return err
	}
	return write(w, all)
}

func write(w io.Writer, all []section) error {
	for i, s := range all {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w, s.Title); err != nil {
			return err
		}
		if err := s.Table.Write(w); err != nil {
			return err
		}
	}
	return nil
}
