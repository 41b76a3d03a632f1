package report

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// bar is a row of shares.
type bar struct {
	name   string
	values []float64
	titles []string // of the values
	note   string   // at the right end
}

// bars draws each row as shares of the whole, so that short and long ones can
// both be read; the note says how much the whole is.
func bars(names []string, class string, rows []bar, label string) template.HTML {
	const left, right, top, step, thick = 170, 690, 40, 24, 15
	c := &canvas{width: figureWidth, height: float64(top + step*len(rows) + 30)}
	at := float64(left)
	for i, name := range names {
		c.rect(at, 6, 12, 12, fmt.Sprintf("%s%d", class, i), "")
		c.text(at+17, 16, "key", name)
		at += 36 + 7*float64(len(name))
	}
	x := scale{0, 1, left, right, false}
	bottom := float64(top + step*len(rows))
	for _, v := range []float64{0, 0.25, 0.5, 0.75, 1} {
		c.line(x.at(v), top-6, x.at(v), bottom, "grid")
		c.text(x.at(v), bottom+16, "tick middle", fmt.Sprintf("%g %%", 100*v))
	}
	for i, r := range rows {
		y := float64(top + step*i)
		c.text(left-10, y+12, "key end", shorten(r.name, 24))
		total, seen := 0.0, 0.0
		for _, v := range r.values {
			total += v
		}
		for j, v := range r.values {
			if v > 0 {
				from := x.at(seen / total)
				seen += v
				c.rect(from, y, x.at(seen/total)-from, thick, fmt.Sprintf("%s%d", class, j), fmt.Sprintf("%s: %s (%s %%)", names[j], r.titles[j], number(100*v/total)))
			}
		}
		c.text(right+12, y+12, "key", r.note)
	}
	return c.svg(label)
}

// breakdown draws where the mean latency of each function goes, cold starts apart.
func breakdown(o *observed) template.HTML {
	var rows []bar
	for _, f := range o.shownFunctions() {
		for i, kind := range []string{"warm", "cold"} {
			p := f.parts[i]
			if p.n == 0 {
				continue
			}
			r := bar{name: f.name + ", " + kind, note: fmt.Sprintf("mean %s of %s", duration(time.Duration(p.total()/p.n)), count(p.n))}
			for _, v := range p.sum {
				r.values, r.titles = append(r.values, float64(v)), append(r.titles, duration(time.Duration(v/p.n)))
			}
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return bars(partNames[:], "part", rows, "Parts of the mean latency by function")
}

// starts draws how the calls of each function found their sandbox.
func starts(o *observed) template.HTML {
	var rows []bar
	for _, f := range o.shownFunctions() {
		r := bar{name: f.name}
		var notes []string
		for i, n := range f.kinds {
			r.values, r.titles = append(r.values, float64(n)), append(r.titles, count(n))
			if i > 0 && n > 0 {
				notes = append(notes, fmt.Sprintf("%s %s", count(n), callKinds[i]))
			}
		}
		r.note = strings.Join(notes, ", ")
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return ""
	}
	return bars(callKinds[:], "kind", rows, "Warm, prewarmed and cold calls by function")
}
