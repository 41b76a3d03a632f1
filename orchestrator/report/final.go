package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Final writes the end of a run: the assertions that did not hold, and then
// always the same four lines.
func Final(w io.Writer, run *result.Run) error {
	var b strings.Builder
	for _, a := range run.Manifest.Assertions {
		if !a.Passed {
			writeAssertion(&b, run, a)
		}
	}
	for _, line := range [][2]string{validity(run), assertions(run), {"RESULTS", results(run)}, {"NEXT", next(run)}} {
		fmt.Fprintf(&b, "%-9s %s\n", line[0], line[1])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeAssertion writes an assertion that did not hold, for instance
//
//	assertion "fast" failed at point 1f2e3d4c (rate = 50/s), repeat 2: p99 is over 50 ms
//	    that    result.latency.p99 < "50ms"
//	    values  result.latency.p99 = 61.2ms
func writeAssertion(b *strings.Builder, run *result.Run, a spec.Assertion) {
	fmt.Fprintf(b, "%s %q failed", severity(a), a.Name)
	if place := where(run, a); place != "" {
		fmt.Fprintf(b, " at %s", place)
	}
	if a.Message != "" {
		fmt.Fprintf(b, ": %s", a.Message)
	}
	b.WriteByte('\n')
	for _, l := range [][2]string{{"that", a.Source}, {"values", a.Values}} {
		if l[1] != "" {
			fmt.Fprintf(b, "    %-7s %s\n", l[0], strings.ReplaceAll(l[1], "\n", "\n            "))
		}
	}
	b.WriteByte('\n')
}

// where says which point and repeat an assertion is about, "" for the run.
func where(run *result.Run, a spec.Assertion) string {
	var parts []string
	if p := run.Point(a.Point); p != nil {
		parts = append(parts, "point "+p.ID)
		if len(p.Axes) > 0 {
			parts[0] += " (" + result.Label(p) + ")"
		}
	}
	if a.Repeat > 0 {
		parts = append(parts, fmt.Sprintf("repeat %d", a.Repeat))
	}
	return strings.Join(parts, ", ")
}

// severity is what an assertion that does not hold is called.
func severity(a spec.Assertion) string {
	if a.Severity == "warning" {
		return "warning"
	}
	return "assertion"
}

// validity is the first line: whether the numbers can be trusted, and what shows it.
func validity(run *result.Run) [2]string {
	valid, reasons := run.Verdict()
	if !valid {
		return [2]string{"INVALID", strings.Join(reasons, "; ")}
	}
	loads, _ := collect(run)
	var total spec.Metrics
	var seconds float64
	var worst, limit time.Duration
	sent := false
	for _, s := range loads {
		for _, m := range s.repeats {
			total.Offered += m.Offered
			total.Completed += m.Completed
			total.Failed += m.Failed
			seconds += m.Duration.Seconds()
			if m.Lag.Count > 0 && m.Lag.P99 >= worst {
				sent, worst, limit = true, m.Lag.P99, lagLimit(s)
			}
		}
	}
	parts := []string{plural(total.Offered, "call") + " offered", fmt.Sprintf("%d completed", total.Completed), fmt.Sprintf("%d failed", total.Failed)}
	if len(loads) == 1 && seconds > 0 {
		parts = append([]string{fmt.Sprintf("offered %s/s, achieved %s/s", number(float64(total.Offered)/seconds), number(float64(total.Completed)/seconds))}, parts[2:]...)
	}
	if sent {
		parts = append(parts, "lag p99 "+duration(worst))
		if limit > 0 {
			parts[len(parts)-1] += fmt.Sprintf(" (limit %s)", duration(limit))
		}
	}
	return [2]string{"VALID", strings.Join(parts, ", ")}
}

func lagLimit(s series) time.Duration {
	for _, l := range s.point.Loads {
		if l.Name == s.load {
			return l.LagLimit
		}
	}
	return 0
}

// assertions is the second line: whether the claims held.
func assertions(run *result.Run) [2]string {
	all := run.Manifest.Assertions
	tally := run.Tally()
	warned := len(all) - tally.Passed - tally.Failed
	word, text := "PASSED", fmt.Sprintf("%d of %s", tally.Passed, plural(len(all), "assertion"))
	switch {
	case run.Manifest.Validity == nil:
		word, text = "FAILED", "the assertions were not checked"
	case len(all) == 0:
		text = "no assertions declared"
	case tally.Failed > 0:
		word, text = "FAILED", fmt.Sprintf("%d of %s", tally.Failed, plural(len(all), "assertion"))
	}
	if warned > 0 {
		text += ", " + plural(warned, "warning")
	}
	return [2]string{word, text}
}

func results(run *result.Run) string {
	var parts []string
	if files, err := run.Files(); err == nil {
		var size int64
		for _, f := range files {
			size += f.Size
		}
		parts = append(parts, bytesText(size))
	}
	if run.SealSHA256 == "" {
		parts = append(parts, "not sealed")
	} else {
		parts = append(parts, "seal sha256 "+run.SealSHA256[:12]+"…")
	}
	return fmt.Sprintf("%s (%s)", run.Dir, strings.Join(parts, ", "))
}

func next(run *result.Run) string {
	return fmt.Sprintf("ainur report %s    ainur show %[1]s", run.Manifest.RunID)
}
