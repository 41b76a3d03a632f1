package diag

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Shown is how many diagnostics Write shows; the rest is counted.
const Shown = 20

// Options of Write. The zero value is plain text of any width.
type Options struct {
	Color bool
	Width int // columns of a source line before it is cut; 0 = no limit
}

// Write explains diags, sorted by place, with the source they are about.
func Write(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics, opts Options) error {
	p := printer{files: files, opts: opts}
	sorted := Sort(diags)
	for i, d := range sorted[:min(len(sorted), Shown)] {
		if i > 0 {
			p.WriteByte('\n')
		}
		p.problem(problemOf(d))
	}
	if rest := len(sorted) - Shown; rest > 0 {
		fmt.Fprintf(&p, "\nand %d more\n", rest)
	}
	_, err := p.WriteTo(w)
	return err
}

// Sort orders diags by place, those without one first, and drops repetitions.
func Sort(diags hcl.Diagnostics) hcl.Diagnostics {
	sorted := slices.Clone(diags)
	slices.SortStableFunc(sorted, func(a, b *hcl.Diagnostic) int {
		x, y := place(a), place(b)
		return cmp.Or(cmp.Compare(x.Filename, y.Filename), cmp.Compare(x.Start.Byte, y.Start.Byte), cmp.Compare(a.Severity, b.Severity))
	})
	return slices.CompactFunc(sorted, func(a, b *hcl.Diagnostic) bool {
		return place(a) == place(b) && a.Summary == b.Summary
	})
}

func place(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}

// problemOf is the Problem of d, made up where d comes from elsewhere.
func problemOf(d *hcl.Diagnostic) Problem {
	return *From("AIN1000", d).Extra.(*Problem)
}

type printer struct {
	bytes.Buffer
	files  map[string]*hcl.File
	opts   Options
	gutter int // width of line numbers
}

func (p *printer) problem(pr Problem) {
	severity, color := "error", "31"
	if pr.Warning {
		severity, color = "warning", "33"
	}
	fmt.Fprintf(p, "%s%s\n", p.paint("1;"+color, severity+"["+pr.ID+"]"), p.paint("1", ": "+pr.Summary))
	p.gutter = 2
	for _, at := range pr.places() {
		p.gutter = max(p.gutter, len(fmt.Sprint(at.Start.Line)))
	}
	switch {
	case len(pr.Lines) > 0:
		fmt.Fprintf(p, "%s %s\n", p.rail("-->"), pr.Lines[0].At.Filename)
		p.lines(pr.Lines)
	case len(pr.Facts) > 0:
		if pr.At != nil {
			fmt.Fprintf(p, "%s %s:%d\n", p.rail("-->"), pr.At.Filename, pr.At.Start.Line)
		}
		for _, fact := range pr.Facts {
			fmt.Fprintf(p, "%s   %s\n", p.rail(" |"), fact)
		}
	case pr.At != nil:
		at := *pr.At
		if pr.Whole != nil {
			at = *pr.Whole
		}
		p.snippet("-->", at.Start, *pr.At, "^", color, pr.label())
	}
	for _, r := range pr.Related {
		p.bar()
		p.snippet(":::", r.At.Start, r.At, "-", "34", r.Label)
	}
	if len(pr.Notes) > 0 && !pr.Warning && (pr.At != nil || len(pr.Lines) > 0) {
		p.bar()
	}
	for _, n := range pr.Notes {
		text := strings.ReplaceAll(n.Text, "\n", "\n"+strings.Repeat(" ", p.gutter+9))
		fmt.Fprintf(p, "%s %-5s %s\n", p.rail(" ="), n.Kind+":", text)
	}
}

// places are the ranges whose line numbers the gutter holds.
func (pr Problem) places() []hcl.Range {
	var all []hcl.Range
	if pr.At != nil {
		all = append(all, *pr.At)
	}
	for _, r := range pr.Related {
		all = append(all, r.At)
	}
	for _, l := range pr.Lines {
		all = append(all, l.At)
	}
	return all
}

func (p *printer) bar() { fmt.Fprintln(p, p.rail(" |")) }

func (p *printer) rail(s string) string {
	return strings.Repeat(" ", p.gutter) + p.paint("34", s)
}

func (p *printer) number(line int) string {
	return p.paint("34", fmt.Sprintf("%*d |", p.gutter, line))
}

// snippet shows the line of at with its part underlined and labelled.
func (p *printer) snippet(arrow string, start hcl.Pos, at hcl.Range, underline, color, label string) {
	fmt.Fprintf(p, "%s %s:%d:%d\n", p.rail(arrow), at.Filename, start.Line, start.Column)
	line, from, to, ok := p.line(at)
	if !ok {
		if label != "" {
			fmt.Fprintf(p, "%s %s\n", p.rail(" ="), label)
		}
		return
	}
	line, from, to = p.cut(line, from, to)
	p.bar()
	fmt.Fprintf(p, "%s %s\n", p.number(at.Start.Line), line)
	marks := strings.Repeat(" ", from) + p.paint("1;"+color, strings.TrimRight(strings.Repeat(underline, max(1, to-from))+" "+label, " "))
	fmt.Fprintf(p, "%s %s\n", p.rail(" |"), marks)
}

// lines shows several lines with their remarks in one column.
func (p *printer) lines(lines []Line) {
	text := make([]string, len(lines))
	width := 0
	for i, l := range lines {
		text[i], _, _, _ = p.line(l.At)
		width = max(width, utf8.RuneCountInString(text[i]))
	}
	p.bar()
	for i, l := range lines {
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(text[i])+3)
		fmt.Fprintf(p, "%s %s%s# %s\n", p.number(l.At.Start.Line), text[i], pad, l.Remark)
	}
}

// line is the source line at begins on, and the columns, from 0, of the part
// of at on it. A tab is one column, so that underlines fit.
func (p *printer) line(at hcl.Range) (text string, from, to int, ok bool) {
	f := p.files[at.Filename]
	if f == nil || at.Start.Byte > len(f.Bytes) {
		return "", 0, 0, false
	}
	start := bytes.LastIndexByte(f.Bytes[:at.Start.Byte], '\n') + 1
	end := len(f.Bytes)
	if i := bytes.IndexByte(f.Bytes[at.Start.Byte:], '\n'); i >= 0 {
		end = at.Start.Byte + i
	}
	stop := max(at.Start.Byte, min(at.End.Byte, end))
	line := strings.TrimRight(strings.ReplaceAll(string(f.Bytes[start:end]), "\t", " "), "\r")
	from = utf8.RuneCount(f.Bytes[start:at.Start.Byte])
	return line, from, from + utf8.RuneCount(f.Bytes[at.Start.Byte:stop]), true
}

// cut shortens a line wider than the screen to the part around the underline.
func (p *printer) cut(line string, from, to int) (string, int, int) {
	room := p.opts.Width - p.gutter - 3
	runes := []rune(line)
	if p.opts.Width == 0 || len(runes) <= room || room < 20 {
		return line, from, to
	}
	skip := 0
	if from > room*2/3 {
		skip = from - room/3
		runes = append([]rune("…"), runes[skip+1:]...)
	}
	if len(runes) > room {
		runes = append(runes[:room-1:room-1], '…')
	}
	return string(runes), from - skip, min(to-skip, len(runes))
}

func (p *printer) paint(color, s string) string {
	if !p.opts.Color {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}
