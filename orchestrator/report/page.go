// Package report turns a run into tables, one page of figures, and exports,
// computed from what the result directory holds and nothing else.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

//go:embed page.html.tmpl
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// detailed is how many points have figures of their own.
const detailed = 12

// pageData is what page.html.tmpl shows.
type pageData struct {
	Run                  *result.Run
	Title                string
	Validity, Assertions [2]string
	Valid, Passed        bool
	Reasons              []string
	Checks               []check
	Outputs              []result.Output
	Overview             []figure
	Points               []pointFigures
	Omitted              int // points without figures of their own
	Tables               []section
	Provenance           []group
	Seal                 string
}

// check is an assertion as shown.
type check struct {
	spec.Assertion
	Mark, Class, Where string
}

// figure is a drawing with its caption.
type figure struct {
	Drawing        template.HTML
	Title, Caption string
}

type pointFigures struct {
	Label, Anchor string
	Figures       []figure
}

// HTML writes the run as one page that needs nothing else: no script, no
// network. It reads the calls of every repeat, one at a time, and checks the seal.
func HTML(w io.Writer, run *result.Run) error {
	all, err := tables(run)
	if err != nil {
		return err
	}
	d := pageData{
		Run: run, Title: title(run), Validity: validity(run), Assertions: assertions(run), Outputs: run.Manifest.Outputs,
		Tables: all, Provenance: provenance(run), Seal: seal(run),
	}
	d.Valid, d.Reasons = run.Verdict()
	d.Passed = d.Assertions[0] == "PASSED"
	for _, a := range run.Manifest.Assertions {
		switch {
		case a.Passed:
			d.Checks = append(d.Checks, check{a, "✓ passed", "good", where(run, a)})
		case a.Severity == "warning":
			d.Checks = append(d.Checks, check{a, "! warning", "warn", where(run, a)})
		default:
			d.Checks = append(d.Checks, check{a, "✗ failed", "bad", where(run, a)})
		}
	}
	var curves []curve
	for i := range run.Experiment.Points {
		p := &run.Experiment.Points[i]
		o, err := observe(run, p)
		if err != nil {
			return err
		}
		label := result.Label(p)
		curves = append(curves, curve{label, merge(label, o.functions).latency})
		if i >= detailed {
			d.Omitted++
			continue
		}
		if figures := pointsFigures(run, o); len(figures) > 0 {
			d.Points = append(d.Points, pointFigures{label, "point-" + p.ID, figures})
		}
	}
	if len(curves) > 1 {
		if drawing := ecdf(thin(curves), "point"); drawing != "" {
			d.Overview = []figure{{drawing, "Latency by point", "Share of completed calls that took no longer, all functions and repeats pooled. Dots: p50, p90, p99." + thinned(curves)}}
		}
	}
	return page.Execute(w, d)
}

// thin keeps as many curves as colours tell apart: evenly, with both ends.
func thin(curves []curve) []curve {
	if len(curves) <= most+1 {
		return curves
	}
	var kept []curve
	for i := range most + 1 {
		kept = append(kept, curves[i*(len(curves)-1)/most])
	}
	return kept
}

func thinned(curves []curve) string {
	if len(curves) <= most+1 {
		return ""
	}
	return fmt.Sprintf(" %d of %d points, evenly chosen.", most+1, len(curves))
}

// pointsFigures is the figures of one point, those there are calls for.
func pointsFigures(run *result.Run, o *observed) []figure {
	var curves []curve
	var failed, total int64
	for _, f := range o.shownFunctions() {
		curves = append(curves, curve{f.name, f.latency})
		for _, n := range f.kinds {
			total += n
		}
		failed += f.kinds[len(f.kinds)-1]
	}
	pooled := ""
	if o.repeats > 1 {
		pooled = fmt.Sprintf(", %d repeats pooled", o.repeats)
	}
	var figures []figure
	for _, f := range []figure{
		{ecdf(curves, "function"), "Latency", fmt.Sprintf("Share of completed calls that took no longer, from the %s send time%s. Dots: p50, p90, p99. %s of %s recorded calls failed and are not in the curves.", origin(run), pooled, count(failed), count(total))},
		{timeline(o), "Timeline", fmt.Sprintf("Repeat %d. Each dot is one call, at its intended send time; of calls closer than %d pixels one is drawn for each kind, so every extreme is shown.", o.shown, cellSize)},
		{breakdown(o), "Where the time goes", "Shares of the mean latency of completed calls" + pooled + "."},
		{starts(o), "Warm and cold", "How recorded calls found their sandbox" + pooled + "."},
	} {
		if f.Drawing != "" {
			figures = append(figures, f)
		}
	}
	return figures
}
