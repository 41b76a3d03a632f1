package graph

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// SVG draws g as a picture that needs nothing else: it runs to the right,
// follows the reader's light or dark colours, and holds no script. The lines
// of a loop are double. What is cut short, or pointed at, is told in full by
// its <title>.
func SVG(w io.Writer, g Graph) error {
	p, err := newPlan(g)
	if err != nil {
		return err
	}
	d := newPicture(p)
	d.b = bufio.NewWriter(w)
	d.write()
	return d.b.Flush()
}

// A picture is a drawing in pixels. Along is x, across is y.
type picture struct {
	*placing
	texts
	b      *bufio.Writer  // holds back the first error until Flush
	kindNo map[string]int // colours of the kinds
	start  []int          // x of each rank
	size   []int          // width of each rank
	top    int            // y of what is placed at 0
	width  int
	height int
}

// Pixels.
const (
	edgeRoom   = 20 // around the picture
	rowHeight  = 17 // of a label
	kindHeight = 14
	boxPad     = 12
	frameRoom  = 12 // between a frame and the ranks it holds
	titleRoom  = 20 // from a frame to its first item: the title
	headLength = 9
	loopDepth  = 26 // of a loop under its box
	channelMin = 44 // between two ranks
	channelMax = 130
)

// Widths of text in pixels: of labels, of what is smaller, and of the title.
func labelWidth(s string) int { return (width(s)*79 + 9) / 10 }
func smallWidth(s string) int { return (width(s)*67 + 9) / 10 }
func titleWidth(s string) int { return (width(s)*92 + 9) / 10 }

func newPicture(p *plan) *picture {
	d := &picture{texts: newTexts(p, 32), kindNo: map[string]int{}}
	var kinds []string
	for _, n := range p.Nodes {
		kinds = append(kinds, n.Kind)
	}
	slices.Sort(kinds)
	for i, kind := range slices.Compact(kinds) {
		d.kindNo[kind] = i
	}
	d.placing = place(p, d.measure(p))
	d.stretch()
	return d
}

// boxSize is how many pixels the box of node v takes at least.
func (d *picture) boxSize(p *plan, v int) (wide, high int) {
	for _, l := range d.labels[v] {
		wide = max(wide, labelWidth(l))
	}
	wide = max(wide, smallWidth(d.kinds[v])) + 2*boxPad
	high = len(d.labels[v])*rowHeight + boxPad
	if d.kinds[v] != "" {
		high += kindHeight
	}
	if len(p.loops[v]) > 0 {
		wide = max(wide, 64+smallWidth(d.says[v]))
	}
	return wide, high
}

func (d *picture) measure(p *plan) measure {
	m := measure{across: make([]int, len(p.items)), box: make([]int, len(p.Nodes)), gap: pictureGap, pitch: 12, margin: 9}
	for v, it := range p.items {
		switch it.kind {
		case nodeItem:
			_, high := d.boxSize(p, v)
			m.box[v] = max(high, m.boxFor(len(p.sides[v].up)), m.boxFor(len(p.sides[v].down)))
			m.across[v] = m.box[v]
			if len(p.loops[v]) > 0 {
				m.across[v] += loopDepth
			}
		case openItem:
			m.across[v] = titleRoom
		case labelItem:
			m.across[v] = kindHeight
		default:
			m.across[v] = 1
		}
	}
	return m
}

// pictureGap is the room between two items of a rank, a first.
func pictureGap(a, b *item) int {
	switch {
	case a.kind == openItem:
		return 4
	case b.kind == closeItem:
		return frameRoom
	case a.kind == nodeItem && b.kind == nodeItem:
		return 20
	}
	return 12
}

// stretch settles the places of the ranks.
func (d *picture) stretch() {
	n := len(d.ranks)
	d.start, d.size = make([]int, n), make([]int, n)
	opens, closes := make([]bool, n+1), make([]bool, n+1)
	for k, span := range d.spans {
		opens[span.first], closes[span.last] = true, true
		d.size[span.first] = smallWidth(d.titles[k])
	}
	at := edgeRoom
	for r := range n {
		if opens[r] {
			at += frameRoom
		}
		d.start[r] = at
		for _, v := range d.ranks[r] {
			switch it := &d.items[v]; it.kind {
			case nodeItem:
				wide, _ := d.boxSize(d.plan, v)
				d.size[r] = max(d.size[r], wide)
			case labelItem:
				d.size[r] = max(d.size[r], smallWidth(d.captions[it.edge])+16)
			}
		}
		at += d.size[r]
		if closes[r] {
			at += frameRoom
		}
		if r+1 < n {
			at += d.channel(r)
		}
	}
	d.top = edgeRoom
	if d.Title != "" {
		d.top += 30
	}
	d.width = max(at, edgeRoom+titleWidth(line(d.Title))) + edgeRoom
	d.height = d.top + d.extent() + edgeRoom
	if d.anyCycle() {
		d.height += 28
	}
}

// channel is the room from rank r to the next: more where lines are steep.
func (d *picture) channel(r int) int {
	steep := 0
	for _, l := range d.gaps[r] {
		steep = max(steep, distance(d.column(d.links[l].upper), d.column(d.links[l].lower)))
	}
	return min(channelMin+steep/5, channelMax)
}

// style is the look. The colours are those of the report.
const style = `
.ainur-graph { --page: #fff; --ink: #1c1f23; --soft: #5b6470; --line: #7a828c; --rule: #c3c9d1; --band: #f4f6f8; --loop: #b3261e;
  --k0: #0072b2; --k1: #d55e00; --k2: #009e73; --k3: #c4689c; --k4: #c98a00; --k5: #3d9bd6; --k6: #5d3a9b; --k7: #7a828c;
  max-width: 100%; height: auto; font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (prefers-color-scheme: dark) {
  .ainur-graph { --page: #14171b; --ink: #e6e9ed; --soft: #9ba5b1; --line: #808b97; --rule: #47515c; --band: #1c2127; --loop: #ff8a80;
    --k0: #4ea8de; --k1: #ff8c42; --k2: #2bc79b; --k3: #e59ac6; --k4: #f2bd3f; --k5: #93d1f5; --k6: #ab8fe3; --k7: #98a2ad; }
}
.ainur-graph .page { fill: var(--page); }
.ainur-graph text { fill: var(--ink); white-space: pre; }
.ainur-graph .title { font-size: 15px; font-weight: 600; }
.ainur-graph .small { font-size: 11px; fill: var(--soft); }
.ainur-graph .mid { text-anchor: middle; }
.ainur-graph .frame { fill: none; stroke: var(--soft); stroke-dasharray: 2 4; }
.ainur-graph .box { fill: var(--band); stroke: var(--rule); }
.ainur-graph .line, .ainur-graph .loop, .ainur-graph .core { fill: none; stroke: var(--line); stroke-width: 1.4; }
.ainur-graph .loop { stroke: var(--loop); stroke-width: 5; }
.ainur-graph .core { stroke: var(--page); stroke-width: 2; }
.ainur-graph .head { fill: var(--line); }
.ainur-graph .head.of { fill: var(--loop); }
.ainur-graph g:hover > .line { stroke: var(--ink); stroke-width: 2.4; }
.ainur-graph g:hover > .box { stroke: var(--ink); }
`

func (d *picture) write() {
	fmt.Fprintf(d.b, `<svg xmlns="http://www.w3.org/2000/svg" class="ainur-graph" role="img" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n", d.width, d.height, d.width, d.height)
	title := line(d.Title)
	if title == "" {
		title = "graph"
	}
	fmt.Fprintf(d.b, "<title>%s</title>\n<style>%s", html.EscapeString(title), style)
	for i := range min(len(d.kindNo), kindColours) {
		fmt.Fprintf(d.b, ".ainur-graph .k%d { fill: var(--k%d); }\n", i, i)
	}
	fmt.Fprintf(d.b, "</style>\n"+`<rect class="page" width="%d" height="%d"/>`+"\n", d.width, d.height)
	if d.Title != "" {
		d.text(edgeRoom, edgeRoom+14, "title", title)
	}
	for k := range d.groups {
		d.drawFrame(k)
	}
	d.lines()
	d.heads()
	for v := range d.Nodes {
		d.drawBox(v)
	}
	d.legend()
	d.b.WriteString("</svg>\n")
}

// kindColours is how many kinds have a colour of their own.
const kindColours = 8

func (d *picture) text(x, y int, class, s string) {
	if s != "" {
		fmt.Fprintf(d.b, `<text x="%d" y="%d" class="%s">%s</text>`+"\n", x, y, class, html.EscapeString(s))
	}
}

func (d *picture) rect(x, y, wide, high, round int, class string) {
	fmt.Fprintf(d.b, `<rect x="%d" y="%d" width="%d" height="%d" rx="%d" class="%s"/>`+"\n", x, y, wide, high, round, class)
}

// drawFrame draws the box of group k.
func (d *picture) drawFrame(k int) {
	span := d.spans[k]
	first, last := d.frame(k)
	x := d.start[span.first] - frameRoom
	wide := d.start[span.last] + d.size[span.last] + frameRoom - x
	d.rect(x, d.top+first, wide, last-first, 8, "frame")
	d.text(x+frameRoom, d.top+first+15, "small", d.titles[k])
}

// drawBox draws node v.
func (d *picture) drawBox(v int) {
	n, r := d.Nodes[v], d.items[v].rank
	x, y, wide, high := d.start[r], d.top+d.x[v], d.size[r], d.box[v]
	said := n.label()
	if n.Kind != "" {
		said = n.Kind + ": " + said
	}
	fmt.Fprintf(d.b, "<g><title>%s</title>\n", html.EscapeString(line(said)))
	d.rect(x, y, wide, high, 4, "box")
	if n.Kind != "" {
		d.rect(x, y, 5, high, 2, fmt.Sprintf("k%d", d.kindNo[n.Kind]%kindColours))
	}
	rows := d.labels[v]
	text := len(rows) * rowHeight
	if d.kinds[v] != "" {
		text += kindHeight
	}
	y += (high - text) / 2
	if d.kinds[v] != "" {
		d.text(x+wide/2, y+11, "small mid", d.kinds[v])
		y += kindHeight
	}
	for i, row := range rows {
		d.text(x+wide/2, y+13+i*rowHeight, "mid", row)
	}
	d.b.WriteString("</g>\n")
}

// lines draws the edges, those of loops below the others.
func (d *picture) lines() {
	for _, cycle := range []bool{true, false} {
		for e, edge := range d.Edges {
			if edge.Cycle != cycle {
				continue
			}
			said := fmt.Sprintf("%s → %s", edge.From, edge.To)
			if edge.Label != "" {
				said += ": " + edge.Label
			}
			fmt.Fprintf(d.b, "<g><title>%s</title>\n", html.EscapeString(line(said)))
			shape := d.path(e)
			if cycle {
				fmt.Fprintf(d.b, `<path class="loop" d="%s"/>`+"\n"+`<path class="core" d="%s"/>`+"\n", shape, shape)
			} else {
				fmt.Fprintf(d.b, `<path class="line" d="%s"/>`+"\n", shape)
			}
			d.b.WriteString("</g>\n")
		}
	}
	for v, it := range d.items {
		if it.kind == labelItem {
			d.text(d.middle(it.rank), d.top+d.x[v]+11, "small mid", d.captions[it.edge])
		}
	}
}

func (d *picture) middle(r int) int { return d.start[r] + d.size[r]/2 }

// path is the shape of edge e.
func (d *picture) path(e int) string {
	if len(d.paths[e]) == 0 {
		return d.loopPath(e)
	}
	var b strings.Builder
	pen := -1 // x that is reached
	for _, l := range d.paths[e] {
		upper, lower := &d.pins[d.links[l].upper], &d.pins[d.links[l].lower]
		r := d.items[upper.item].rank
		x0, y0 := d.start[r]+d.size[r], d.top+d.column(d.links[l].upper)
		x1, y1 := d.start[r+1], d.top+d.column(d.links[l].lower)
		if upper.head {
			x0 += headLength
		}
		if lower.head {
			x1 -= headLength
		}
		if pen < 0 {
			fmt.Fprintf(&b, "M%d %d", x0, y0)
			pen = x0
		}
		if y0 != y1 {
			if pen != x0 {
				fmt.Fprintf(&b, "H%d", x0)
			}
			fmt.Fprintf(&b, "C%d %d %d %d %d %d", (x0+x1)/2, y0, (x0+x1)/2, y1, x1, y1)
			pen = x1
		}
		switch it := &d.items[lower.item]; it.kind {
		case labelItem:
			half := smallWidth(d.captions[it.edge])/2 + 4
			fmt.Fprintf(&b, "H%dM%d %d", d.middle(r+1)-half, d.middle(r+1)+half, y1)
			pen = d.middle(r+1) + half
		case nodeItem:
			if pen != x1 {
				fmt.Fprintf(&b, "H%d", x1)
			}
		}
	}
	return b.String()
}

// loopEnds are where the edges of node v to itself leave it and come back.
func (d *picture) loopEnds(v int) (out, back, y int) {
	x := d.start[d.items[v].rank]
	return x + 16, x + 44, d.top + d.x[v] + d.box[v]
}

func (d *picture) loopPath(e int) string {
	v := slices.IndexFunc(d.loops, func(loops []int) bool { return slices.Contains(loops, e) })
	out, back, y := d.loopEnds(v)
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", out, y, out, y+loopDepth+4, back, y+loopDepth+4, back, y+headLength)
}

// heads draws the arrow heads, and the labels of edges from a node to itself.
func (d *picture) heads() {
	for i, at := range d.pins {
		if !at.head {
			continue
		}
		r, y := d.items[at.item].rank, d.top+d.column(i)
		if l := d.links[at.links[0]]; l.lower == i {
			d.head(d.start[r], y, -headLength, 0, l.cycle)
		} else {
			d.head(d.start[r]+d.size[r], y, headLength, 0, l.cycle)
		}
	}
	for v, loops := range d.loops {
		if len(loops) == 0 {
			continue
		}
		_, back, y := d.loopEnds(v)
		cycle := slices.ContainsFunc(loops, func(e int) bool { return d.Edges[e].Cycle })
		d.head(back, y, 0, headLength, cycle)
		d.text(back+10, y+18, "small", d.says[v])
	}
}

// head draws an arrow head with its tip at x, y; its foot is dx, dy from there.
func (d *picture) head(x, y, dx, dy int, cycle bool) {
	class := "head"
	half := 4
	if cycle {
		class, half = "head of", 6
	}
	wx, wy := half*dy/headLength, half*dx/headLength
	fmt.Fprintf(d.b, `<path class="%s" d="M%d %dL%d %dL%d %dZ"/>`+"\n", class, x, y, x+dx-wx, y+dy-wy, x+dx+wx, y+dy+wy)
}

// legend says what a double line means.
func (d *picture) legend() {
	if !d.anyCycle() {
		return
	}
	y := d.height - edgeRoom
	for _, class := range []string{"loop", "core"} {
		fmt.Fprintf(d.b, `<path class="%s" d="M%d %dH%d"/>`+"\n", class, edgeRoom, y-4, edgeRoom+32)
	}
	d.text(edgeRoom+42, y, "small", "part of a loop")
}
