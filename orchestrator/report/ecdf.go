package report

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// figureWidth is the width of every figure, in pixels before it is fitted to the page.
const figureWidth = 920

// curve is a sample with its name.
type curve struct {
	name   string
	sorted []int64 // ns
}

// quantileOf is the nearest-rank quantile of a sorted sample, as in measure.
func quantileOf(sorted []int64, permille int) int64 {
	return sorted[(len(sorted)*permille+999)/1000-1]
}

// ecdf draws the share of calls that are no slower than a latency. A curve is
// exact to half a pixel and keeps its ends, whatever the number of calls.
func ecdf(curves []curve, what string) template.HTML {
	const left, right, top, bottom, height = 52, 590, 12, 286, 326
	c := &canvas{width: figureWidth, height: height}
	lo, hi := math.Inf(1), 0.0
	for _, k := range curves {
		if len(k.sorted) > 0 {
			lo, hi = min(lo, float64(k.sorted[0])), max(hi, float64(k.sorted[len(k.sorted)-1]))
		}
	}
	if hi == 0 {
		return ""
	}
	x, y := logScale(lo, hi, left, right), scale{0, 1, bottom, top, false}
	for _, v := range []float64{0, 0.25, 0.5, 0.75, 1} {
		c.line(left, y.at(v), right, y.at(v), "grid")
		c.text(left-8, y.at(v)+4, "tick end", strconv.FormatFloat(100*v, 'g', 4, 64)+" %")
	}
	for _, v := range x.ticks(0) {
		c.line(x.at(v), bottom, x.at(v), bottom+5, "axis")
		c.text(x.at(v), bottom+18, "tick middle", timeTick(v))
	}
	c.line(left, bottom, right, bottom, "axis")
	c.text((left+right)/2, height-4, "label middle", "latency (log scale)")

	c.text(right+46, top+4, "label", what)
	c.text(right+190, top+4, "label end", "p50")
	c.text(right+250, top+4, "label end", "p99")
	c.text(right+322, top+4, "label end", "calls")
	for i, k := range curves {
		at := float64(top + 26 + 20*i)
		c.line(right+16, at-4, right+38, at-4, "curve "+seriesClass(i))
		c.text(right+46, at, "key", shorten(k.name, 15))
		c.text(right+322, at, "key end", count(int64(len(k.sorted))))
		if len(k.sorted) == 0 {
			continue
		}
		c.path(steps(k.sorted, x, y), "curve "+seriesClass(i), fmt.Sprintf("%s, %d calls", k.name, len(k.sorted)))
		c.text(right+190, at, "key end", duration(time.Duration(quantileOf(k.sorted, 500))))
		c.text(right+250, at, "key end", duration(time.Duration(quantileOf(k.sorted, 990))))
		for _, q := range []int{500, 900, 990} {
			v := quantileOf(k.sorted, q)
			c.circle(x.at(float64(v)), y.at(float64(q)/1000), 3, "dot "+seriesClass(i), fmt.Sprintf("%s: p%d = %s", k.name, q/10, duration(time.Duration(v))))
		}
	}
	return c.svg("Share of calls by latency, by " + what)
}

// steps is the path of the distribution of a sorted sample. Steps smaller than
// half a pixel both ways are drawn as one.
func steps(sorted []int64, x, y scale) string {
	var b strings.Builder
	px, py := x.at(float64(sorted[0])), y.at(0)
	fmt.Fprintf(&b, "M%s %s", coord(px), coord(py))
	for i, v := range sorted {
		nx, ny := x.at(float64(v)), y.at(float64(i+1)/float64(len(sorted)))
		if math.Abs(nx-px) < 0.5 && math.Abs(ny-py) < 0.5 && i+1 < len(sorted) {
			continue
		}
		fmt.Fprintf(&b, "H%sV%s", coord(nx), coord(ny))
		px, py = nx, ny
	}
	return b.String()
}

// seriesClass is the colour and dash of the i-th series.
func seriesClass(i int) string { return "s" + strconv.Itoa(i%(most+1)) }

// shorten cuts s to n runes.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
