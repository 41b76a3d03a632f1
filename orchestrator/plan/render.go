package plan

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
	"github.com/ainur-faas/ainur/internal/printable"
)

// Render writes what a run of exp would do: its hosts, functions, loads and
// points, how long it takes and how many calls it makes.
func Render(w io.Writer, exp *spec.Experiment) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "experiment.%s   %s\n", exp.Name, exp.Title)
	first := &exp.Points[0]
	many := len(exp.Points) > 1
	fmt.Fprintf(&b, "\ncluster.%s   %s\n\n", first.Cluster.Name, Count(len(first.Cluster.Hosts), "host"))
	Columns(&b, hosts(first))
	section(&b, "workers", workers(first), many)
	section(&b, "functions", functions(first), many)
	section(&b, "loads", loads(first), many)
	if many {
		b.WriteString("\npoints\n\n")
		Columns(&b, points(exp))
	}
	for _, s := range exp.Skipped {
		reason := ""
		if s.Reason != "" {
			reason = ": " + s.Reason
		}
		fmt.Fprintf(&b, "  left out  %s%s\n", axes(s.Axes), reason)
	}
	b.WriteString("\n")
	summary(&b, exp)
	_, err := b.WriteTo(w)
	return err
}

func section(b *bytes.Buffer, title string, rows [][]string, many bool) {
	if many {
		title += " at the first point"
	}
	fmt.Fprintf(b, "\n%s\n\n", title)
	Columns(b, rows)
}

func hosts(p *spec.Point) [][]string {
	rows := [][]string{{"host", "address", "connection", "runs"}}
	for _, h := range p.Cluster.Hosts {
		var runs []string
		for _, w := range p.Workers {
			if w.Host == h.Name {
				runs = append(runs, "worker "+w.Name)
			}
		}
		if p.Balancer != nil && p.Balancer.Host == h.Name {
			runs = append(runs, "balancer "+p.Balancer.Name)
		}
		rows = append(rows, []string{h.Name, h.Address, h.Connection, strings.Join(runs, ", ")})
	}
	return rows
}

func workers(p *spec.Point) [][]string {
	rows := [][]string{{"worker", "isolation", "cores", "memory", "queue", "keepalive"}}
	for _, w := range p.Workers {
		rows = append(rows, []string{w.Name, w.Isolation, number(float64(w.MilliCPU) / 1000), units.FormatBytes(w.Memory), w.Queue.Name, w.KeepAlive.Name})
	}
	if p.Balancer != nil {
		rows = append(rows, []string{p.Balancer.Name, "balancer", "", "", p.Balancer.Policy.Name, ""})
	}
	return rows
}

// maxFunctions bounds the rows of functions: traces have thousands.
const maxFunctions = 30

func functions(p *spec.Point) [][]string {
	rows := [][]string{{"function", "code", "memory", "cores", "timeout", "prewarm"}}
	for i, f := range p.Functions {
		if i == maxFunctions {
			rows = append(rows, []string{fmt.Sprintf("and %d more", len(p.Functions)-i)})
			break
		}
		code := "builtin " + f.Builtin
		if f.Builtin == "" {
			code = f.Runtime + " " + short(f.SourceSHA256)
		}
		rows = append(rows, []string{f.Name, code, units.FormatBytes(f.Memory), number(float64(f.MilliCPU) / 1000), span(f.Timeout), number(float64(f.Prewarm))})
	}
	return rows
}

func short(sum string) string { return sum[:min(8, len(sum))] }

func loads(p *spec.Point) [][]string {
	rows := [][]string{{"load", "phase", "duration", "arrivals", "recorded", "calls"}}
	for _, l := range p.Loads {
		for _, phase := range l.Phases {
			record := "yes"
			if !phase.Record {
				record = "no"
			}
			rows = append(rows, []string{l.Name, phase.Name, span(phase.Duration), arrivals(phase.Arrival), record, mix(l, phase)})
		}
	}
	return rows
}

func arrivals(a spec.Arrival) string {
	switch {
	case a.Trace != nil:
		return fmt.Sprintf("trace %s x %s", a.Trace.Name, number(a.Speed))
	case !a.Open():
		return fmt.Sprintf("closed, %s", Count(a.Clients, "client"))
	case a.Model == "ramp":
		return ramp(a)
	}
	return fmt.Sprintf("%s %s/s", a.Model, number(a.RatePerSecond))
}

func ramp(a spec.Arrival) string {
	s := fmt.Sprintf("ramp %s/s to %s/s", number(a.FromPerSecond), number(a.ToPerSecond))
	if a.Shape == "exponential" {
		s += ", exponential"
	}
	if a.Even {
		s += ", even"
	}
	return s
}

func mix(l spec.Load, p spec.Phase) string {
	weights := p.Mix
	if len(weights) == 0 {
		weights = l.Mix
	}
	if p.Arrival.Trace != nil {
		return Count(len(p.Arrival.Trace.Map), "function")
	}
	var parts []string
	for _, w := range weights {
		parts = append(parts, fmt.Sprintf("%s %s %%", w.Function, number(w.Weight*100)))
	}
	return strings.Join(parts, ", ")
}

func points(exp *spec.Experiment) [][]string {
	head := []string{"point"}
	for _, a := range exp.Points[0].Axes {
		head = append(head, a.Name)
	}
	rows := [][]string{head}
	for _, p := range exp.Points {
		row := []string{p.ID}
		for _, a := range p.Axes {
			row = append(row, strings.Trim(string(a.Value), `"`))
		}
		rows = append(rows, row)
	}
	return rows
}

func axes(values []spec.AxisValue) string {
	var parts []string
	for _, a := range values {
		parts = append(parts, fmt.Sprintf("%s = %s", a.Name, a.Value))
	}
	return strings.Join(parts, ", ")
}

func summary(b *bytes.Buffer, exp *spec.Experiment) {
	c := Estimate(exp)
	fmt.Fprintf(b, "%s x %s, %s, seed %d\n", Count(len(exp.Points), "point"), Count(exp.Repeat, "repeat"), exp.Order, exp.Seed)
	fmt.Fprintf(b, "  about %s", span(c.Duration.Round(time.Second)))
	if exp.Cooldown > 0 {
		fmt.Fprintf(b, ", %s between repeats", span(exp.Cooldown))
	}
	b.WriteString(" + set-up\n")
	calls := fmt.Sprintf("about %s calls   peak %s/s", large(c.Calls), number(c.Peak))
	if c.Closed {
		calls += "   and what closed loads make"
	}
	fmt.Fprintf(b, "  %s   in-flight cap %s\n", calls, large(float64(c.InFlight)))
}

// large groups thousands with thin gaps, or shortens to millions: 11 868, 1.38 M.
func large(n float64) string {
	if n >= 1e6 {
		return fmt.Sprintf("%.3g M", n/1e6)
	}
	digits := fmt.Sprintf("%.0f", n)
	if len(digits) > 3 {
		digits = digits[:len(digits)-3] + " " + digits[len(digits)-3:]
	}
	return digits
}

func number(f float64) string { return fmt.Sprintf("%.4g", f) }

// span writes a duration without its zeros: 1m, 1h30m.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Count is a number of things: "1 host", "2 hosts".
func Count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// Columns writes rows one below the other, each cell as wide as its column. Cells may be what
// hosts say, and are shown on terminals.
func Columns(b *bytes.Buffer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable.Text(cell)
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString("  " + cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
