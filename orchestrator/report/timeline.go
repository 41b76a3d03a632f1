package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/loadgen/measure"
)

// The x range of the timeline's panels, and the room for the names of phases above.
const timelineLeft, timelineRight, phaseHead = 62, 830, 40

// timeline draws one repeat over time: rates, calls in flight, and the latency
// of each call at its intended time, with the phases behind.
func timeline(o *observed) template.HTML {
	if len(o.calls) == 0 {
		return ""
	}
	const top, rateHeight, flightHeight, latencyHeight, gap = 46, 84, 60, 170, 30
	c := &canvas{width: figureWidth, height: top + rateHeight + gap + flightHeight + gap + latencyHeight + 40}
	bottom := c.height - 40
	end := int64(1)
	for _, call := range o.calls {
		end = max(end, call.Intended, call.Received)
	}
	x := scale{0, float64(end), timelineLeft, timelineRight, false}
	drawPhases(c, o, x, top, bottom)
	drawRates(c, o.calls, x, top, top+rateHeight)
	drawInFlight(c, o.calls, x, top+rateHeight+gap, top+rateHeight+gap+flightHeight)
	drawLatencies(c, o, x, bottom-latencyHeight, bottom)

	c.line(timelineLeft, bottom, timelineRight, bottom, "axis")
	for _, v := range (scale{0, x.hi / 1e9, 0, 0, false}).ticks(8) {
		c.line(x.at(v*1e9), bottom, x.at(v*1e9), bottom+5, "axis")
		c.text(x.at(v*1e9), bottom+18, "tick middle", fmt.Sprintf("%.6g", v))
	}
	c.text((timelineLeft+timelineRight)/2, c.height-4, "label middle", "seconds since the load began")
	return c.svg(fmt.Sprintf("Rates, calls in flight and latencies of repeat %d over time", o.shown))
}

// drawPhases shades every other phase of the first load, and hatches what is not recorded.
func drawPhases(c *canvas, o *observed, x scale, top, bottom float64) {
	var at time.Duration
	for i, ph := range o.point.Loads[0].Phases {
		from, to := x.at(float64(at)), x.at(float64(at+ph.Duration))
		at += ph.Duration
		name, class := ph.Name, fmt.Sprintf("phase%d", i%2)
		if !ph.Record {
			name, class = name+", not recorded", "unrecorded"
		}
		c.rect(from, top-phaseHead, to-from, bottom-top+phaseHead, class, name)
		if fit := int((to - from) / 6.2); fit >= 3 {
			c.text((from+to)/2, top-phaseHead+13, "tick middle", shorten(name, fit))
		}
	}
}

// panelAxis draws the value axis of a panel.
func panelAxis(c *canvas, y scale, label string, ticks []float64, text func(float64) string) {
	for _, v := range ticks {
		c.line(timelineLeft, y.at(v), timelineRight, y.at(v), "grid")
		c.text(timelineLeft-8, y.at(v)+4, "tick end", text(v))
	}
	c.text(timelineLeft+5, y.b-6, "label", label)
}

func plainTick(v float64) string { return fmt.Sprintf("%g", v) }

// drawRates draws arrivals and completions per second, in bins of round length.
func drawRates(c *canvas, calls []measure.Call, x scale, top, bottom float64) {
	bin := roundUp(x.hi / 1e9 / 100) // seconds
	n := max(1, int(x.hi/1e9/bin))   // the last holds the remainder, too
	last := x.hi/1e9 - float64(n-1)*bin
	arrivals, completions := make([]float64, n), make([]float64, n)
	add := func(rates []float64, at int64) {
		if i := int(float64(at) / 1e9 / bin); i < n-1 {
			rates[i] += 1 / bin
		} else {
			rates[n-1] += 1 / last
		}
	}
	for _, call := range calls {
		add(arrivals, call.Intended)
		if call.Status == measure.OK {
			add(completions, call.Received)
		}
	}
	y := scale{0, max(1, slices.Max(arrivals), slices.Max(completions)), bottom, top, false}
	panelAxis(c, y, fmt.Sprintf("calls per second, in bins of %g s", bin), y.ticks(3), plainTick)
	for i, rates := range [][]float64{arrivals, completions} {
		name := []string{"arrivals", "completions"}[i]
		var b strings.Builder
		for j, v := range rates {
			to := x.hi
			if j < n-1 {
				to = float64(j+1) * bin * 1e9
			}
			if j == 0 {
				fmt.Fprintf(&b, "M%s %s", coord(x.a), coord(y.at(v)))
			} else {
				fmt.Fprintf(&b, "V%s", coord(y.at(v)))
			}
			fmt.Fprintf(&b, "H%s", coord(x.at(to)))
		}
		c.path(b.String(), "curve thin "+seriesClass(i), name)
		c.text(timelineRight+8, top+12+16*float64(i), "key "+seriesClass(i), name)
	}
}

// drawInFlight draws the calls sent and not yet ended: of each pixel the most.
func drawInFlight(c *canvas, calls []measure.Call, x scale, top, bottom float64) {
	type change struct {
		at    int64
		delta int
	}
	var changes []change
	for _, call := range calls {
		if call.Sent != measure.Missing && call.Received != measure.Missing {
			changes = append(changes, change{call.Sent, 1}, change{call.Received, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.delta, b.delta)) })
	columns := make([]int, int(x.b-x.a)+1)
	flight, last := 0, 0
	for _, ch := range changes {
		column := int(x.at(float64(ch.at)) - x.a)
		for i := last + 1; i <= column; i++ {
			columns[i] = flight
		}
		flight += ch.delta
		columns[column], last = max(columns[column], flight), column
	}
	y := scale{0, max(1, float64(slices.Max(columns))), bottom, top, false}
	ticks := slices.DeleteFunc(y.ticks(2), func(v float64) bool { return v != math.Trunc(v) })
	panelAxis(c, y, "calls in flight, the most in each pixel", ticks, plainTick)
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", coord(x.a), coord(bottom))
	level := 0
	for i, v := range columns {
		if v != level {
			fmt.Fprintf(&b, "H%sV%s", coord(x.a+float64(i)), coord(y.at(float64(v))))
			level = v
		}
	}
	fmt.Fprintf(&b, "H%sV%sZ", coord(x.b), coord(bottom))
	c.path(b.String(), "area s0", "calls in flight")
}

// cellSize is the side of the squares of which the scatter shows at most one
// dot of each kind, in pixels: that bounds the drawing and keeps every extreme.
const cellSize = 4

// drawLatencies draws a dot for each call, a cross where it failed.
func drawLatencies(c *canvas, o *observed, x scale, top, bottom float64) {
	lo, hi := math.Inf(1), 1.0
	for i := range o.calls {
		if l := o.latency(&o.calls[i]); l != measure.Missing {
			lo, hi = min(lo, float64(l)), max(hi, float64(l))
		}
	}
	y := logScale(min(lo, hi), hi, bottom, top)
	panelAxis(c, y, "latency (log scale)", y.ticks(0), timeTick)
	var paths [len(callKinds)]strings.Builder
	type dot struct{ kind, x, y int }
	drawn := map[dot]bool{}
	for i := range o.calls {
		call := &o.calls[i]
		kind, l := kindOf(call), o.latency(call)
		px, py := x.at(float64(call.Intended)), top // a call that never ended is drawn above all
		if l != measure.Missing {
			py = y.at(float64(l))
		}
		if d := (dot{kind, int(px / cellSize), int(py / cellSize)}); drawn[d] {
			continue
		} else {
			drawn[d] = true
		}
		if callKinds[kind] == "failed" {
			fmt.Fprintf(&paths[kind], "M%s %sl4 4m0-4l-4 4", coord(px-2), coord(py-2))
		} else {
			fmt.Fprintf(&paths[kind], "M%s %sh0", coord(px), coord(py))
		}
	}
	line := 0
	for kind, name := range callKinds {
		if paths[kind].Len() == 0 {
			continue
		}
		class, mark := "dots", "● "
		if name == "failed" {
			class, mark = "crosses", "× "
		}
		c.path(paths[kind].String(), fmt.Sprintf("%s kind%d", class, kind), name)
		c.text(timelineRight+8, top+12+16*float64(line), fmt.Sprintf("key kind%d", kind), mark+name)
		line++
	}
}
