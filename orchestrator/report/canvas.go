package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// canvas is an SVG drawing. Its colours and fonts are classes of the page.
type canvas struct {
	b             strings.Builder
	width, height float64
}

// coord writes a coordinate to a tenth of a pixel.
func coord(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, coord(x1), coord(y1), coord(x2), coord(y2), class)
}

func (c *canvas) rect(x, y, w, h float64, class, title string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" class="%s">%s</rect>`, coord(x), coord(y), coord(w), coord(h), class, tooltip(title))
}

// path draws d, which holds coordinates only.
func (c *canvas) path(d, class, title string) {
	fmt.Fprintf(&c.b, `<path d="%s" class="%s">%s</path>`, d, class, tooltip(title))
}

func (c *canvas) circle(x, y, r float64, class, title string) {
	fmt.Fprintf(&c.b, `<circle cx="%s" cy="%s" r="%s" class="%s">%s</circle>`, coord(x), coord(y), coord(r), class, tooltip(title))
}

func (c *canvas) text(x, y float64, class, s string) {
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" class="%s">%s</text>`, coord(x), coord(y), class, html.EscapeString(s))
}

func tooltip(s string) string {
	if s == "" {
		return ""
	}
	return "<title>" + html.EscapeString(s) + "</title>"
}

// svg is the drawing as an element that says what it shows.
func (c *canvas) svg(label string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %s %s" role="img" aria-label="%s">%s</svg>`, //nolint:gosec // every text in it went through html.EscapeString
		coord(c.width), coord(c.height), html.EscapeString(label), c.b.String()))
}

// scale maps values from lo to hi onto pixels from a to b.
type scale struct {
	lo, hi, a, b float64
	log          bool
}

// at is the pixel of v, kept within the scale.
func (s scale) at(v float64) float64 {
	lo, hi := s.lo, s.hi
	v = min(max(v, lo), hi)
	if s.log {
		lo, hi, v = math.Log(lo), math.Log(hi), math.Log(v)
	}
	return s.a + (v-lo)/(hi-lo)*(s.b-s.a)
}

// logScale holds lo to hi in whole steps of 1, 2 and 5 times a power of ten.
func logScale(lo, hi, a, b float64) scale {
	lo = max(lo, 1)
	below, above := math.Pow(10, math.Floor(math.Log10(lo))), math.Pow(10, math.Floor(math.Log10(max(hi, lo))))
	for _, m := range []float64{5, 2} {
		if lo >= m*below {
			below *= m
			break
		}
	}
	for _, m := range []float64{1, 2, 5, 10} {
		if hi <= m*above {
			above *= m
			break
		}
	}
	if above <= below {
		above = 10 * below
	}
	return scale{below, above, a, b, true}
}

// ticks is round values in the scale: about n when linear; when logarithmic the
// powers of ten, and twice and five times these when there are few.
func (s scale) ticks(n int) []float64 {
	var all []float64
	if !s.log {
		step := roundUp((s.hi - s.lo) / float64(n))
		for i := int(math.Ceil(s.lo/step - 1e-9)); float64(i)*step <= s.hi*(1+1e-9); i++ {
			all = append(all, float64(i)*step)
		}
		return all
	}
	steps := []float64{1}
	if s.hi/s.lo <= 1e3 {
		steps = []float64{1, 2, 5}
	}
	for decade := math.Pow(10, math.Floor(math.Log10(s.lo)+1e-9)); decade <= s.hi*(1+1e-9); decade *= 10 {
		for _, m := range steps {
			if v := m * decade; v >= s.lo*(1-1e-9) && v <= s.hi*(1+1e-9) {
				all = append(all, v)
			}
		}
	}
	return all
}

// roundUp is the least of 1, 2 and 5 times a power of ten that is not below v.
func roundUp(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(max(v, 1e-9))))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*decade*(1+1e-9) {
			return m * decade
		}
	}
	return 10 * decade
}

// timeTick writes a round time in ns, such as "50 µs".
func timeTick(ns float64) string {
	u := unitOf(time.Duration(ns * (1 + 1e-9)))
	return strconv.FormatFloat(ns/float64(u.size), 'g', 6, 64) + " " + u.name
}
