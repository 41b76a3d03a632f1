package graph

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyGraph draws a small graph with groups, labels, loops and hostile texts.
func anyGraph(t *rapid.T) Graph {
	texts := rapid.SampledFrom([]string{"", "on", "worker.pool", "a long label of many words", "two\nlines", `"<script>\`, "関数"})
	n := rapid.IntRange(1, 14).Draw(t, "nodes")
	g := Graph{Title: texts.Draw(t, "title")}
	for i := range n {
		g.Nodes = append(g.Nodes, Node{
			ID:    fmt.Sprint("n", i),
			Label: texts.Draw(t, "label"),
			Kind:  rapid.SampledFrom([]string{"", "host", "experiment"}).Draw(t, "kind"),
			Group: rapid.SampledFrom([]string{"", "", "", "lab", "a cluster of a long name"}).Draw(t, "group"),
		})
	}
	node := rapid.IntRange(0, n-1)
	label := rapid.SampledFrom([]string{"", "", "", "on", "workers"})
	for range rapid.IntRange(0, 24).Draw(t, "edges") {
		g.Edges = append(g.Edges, Edge{
			From: g.Nodes[node.Draw(t, "from")].ID, To: g.Nodes[node.Draw(t, "to")].ID,
			Label: label.Draw(t, "caption"), Cycle: rapid.Bool().Draw(t, "cycle"),
		})
	}
	return g
}

// area is a rectangle, both corners in it.
type area struct {
	what           string
	x0, y0, x1, y1 int
}

func (a area) meets(b area) bool {
	return a.x0 <= b.x1 && b.x0 <= a.x1 && a.y0 <= b.y1 && b.y0 <= a.y1
}

func (a area) holds(b area) bool {
	return a.x0 < b.x0 && b.x1 < a.x1 && a.y0 < b.y0 && b.y1 < a.y1
}

// apartAndFramed fails if boxes or captions overlap, or if a frame does not
// hold its nodes and no others.
func apartAndFramed(t *rapid.T, p *plan, boxes, captions, frames []area) {
	all := slices.Concat(boxes, captions)
	for i, a := range all {
		for _, b := range all[:i] {
			if a.meets(b) {
				t.Errorf("%+v and %+v overlap", a, b)
			}
		}
	}
	_, of := p.Graph.groups()
	for k, f := range frames {
		for v, b := range boxes {
			if of[v] == k && !f.holds(b) || of[v] != k && f.meets(b) {
				t.Errorf("frame %+v, box %+v of group %d", f, b, of[v])
			}
		}
		for _, other := range frames[:k] {
			if f.meets(other) {
				t.Errorf("frames %+v and %+v overlap", f, other)
			}
		}
	}
}

func TestSheetHasRoomForAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(t)
		p, err := newPlan(g)
		if err != nil {
			t.Fatal(err)
		}
		s := newSheet(p, rapid.Bool().Draw(t, "lies"), 16)
		turn := func(what string, a, b spot) area {
			if s.lies {
				return area{what, a.along, a.across, b.along, b.across}
			}
			return area{what, a.across, a.along, b.across, b.along}
		}
		var boxes, captions, frames []area
		for v, it := range s.items {
			first := spot{s.start[it.rank], s.x[v]}
			switch it.kind {
			case nodeItem:
				boxes = append(boxes, turn(g.Nodes[v].ID, first, spot{first.along + s.size[it.rank] - 1, first.across + s.across[v] - 1}))
			case labelItem:
				captions = append(captions, turn("caption", first, spot{first.along + s.size[it.rank] - 1, first.across + s.across[v] - 1}))
			}
		}
		for k := range s.groups {
			first, last := s.frameOf(k)
			frames = append(frames, turn(s.groups[k], first, last))
		}
		apartAndFramed(t, p, boxes, captions, frames)
	})
}

func TestPictureHasRoomForAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(t)
		p, err := newPlan(g)
		if err != nil {
			t.Fatal(err)
		}
		d := newPicture(p)
		var boxes, captions, frames []area
		for v, it := range d.items {
			a := area{"", d.start[it.rank], d.x[v], d.start[it.rank] + d.size[it.rank], d.x[v] + d.across[v]}
			switch it.kind {
			case nodeItem:
				boxes = append(boxes, a)
			case labelItem:
				captions = append(captions, a)
			}
		}
		for k, span := range d.spans {
			first, last := d.frame(k)
			frames = append(frames, area{d.groups[k], d.start[span.first] - frameRoom, first, d.start[span.last] + d.size[span.last] + frameRoom, last})
		}
		apartAndFramed(t, p, boxes, captions, frames)
		for _, b := range boxes {
			if b.y0 < 0 || b.y1+d.top > d.height || b.x0 < 0 || b.x1 > d.width {
				t.Errorf("%+v is outside of %d by %d", b, d.width, d.height)
			}
		}
		for e, edge := range g.Edges {
			d.connects(t, e, edge)
		}
	})
}

// connects fails if the path of edge e does not begin and end at its boxes.
func (d *picture) connects(t *rapid.T, e int, edge Edge) {
	path := d.path(e)
	var x0, y0, x1, y1 int
	if _, err := fmt.Sscanf(path, "M%d %d", &x0, &y0); err != nil {
		t.Fatalf("%q: %v", path, err)
	}
	last := path[strings.LastIndexAny(path, "MHC")+1:]
	if _, err := fmt.Sscanf(last, "%d %d %d %d %d %d", &x1, &x1, &x1, &x1, &x1, &y1); err != nil {
		if _, err := fmt.Sscanf(last, "%d", &x1); err != nil {
			t.Fatalf("%q: %v", path, err)
		}
	}
	if edge.From == edge.To {
		return
	}
	from := slices.IndexFunc(d.Nodes, func(n Node) bool { return n.ID == edge.From })
	to := slices.IndexFunc(d.Nodes, func(n Node) bool { return n.ID == edge.To })
	right := func(v int) int { return d.start[d.items[v].rank] + d.size[d.items[v].rank] }
	left := func(v int) int { return d.start[d.items[v].rank] }
	wantX0, wantX1, first := right(from), left(to)-headLength, from
	if d.turned[e] {
		wantX0, wantX1, first = right(to)+headLength, left(from), to
	}
	if x0 != wantX0 || x1 != wantX1 || y0 <= d.top+d.x[first] || y0 >= d.top+d.x[first]+d.box[first] {
		t.Errorf("edge %+v: path %q from %d,%d to x %d, want x %d to %d", edge, path, x0, y0, x1, wantX0, wantX1)
	}
}

// A reader follows lines: where one is broken by another, or by a text, it
// goes on behind it. She finds from each node the nodes its edges lead to, and
// no others.
func TestLinesLeadWhereEdgesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(t)
		p, err := newPlan(g)
		if err != nil {
			t.Fatal(err)
		}
		s := newSheet(p, rapid.Bool().Draw(t, "lies"), 16)
		c := s.draw()
		want, got := map[string]bool{}, map[string]bool{}
		for _, e := range g.Edges {
			want[e.From+" "+e.To] = true
		}
		r := newReader(s, c)
		for v := range g.Nodes {
			for _, to := range r.follow(v) {
				got[g.Nodes[v].ID+" "+g.Nodes[to].ID] = true
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			var b bytes.Buffer
			_ = c.write(&b, false)
			t.Errorf("edges read off the drawing (-want +got):\n%s\n%s", diff, b.String())
		}
	})
}

// reader reads a canvas.
type reader struct {
	c    *canvas
	box  []area
	node map[[2]int]int // cell of a box -> node
}

func newReader(s *sheet, c *canvas) *reader {
	r := &reader{c: c, node: map[[2]int]int{}}
	for v := range s.Nodes {
		x0, y0 := c.screen(spot{s.start[s.items[v].rank], s.x[v]})
		x1, y1 := c.screen(spot{s.start[s.items[v].rank] + s.size[s.items[v].rank] - 1, s.x[v] + s.box[v] - 1})
		r.box = append(r.box, area{"", x0, y0, x1, y1})
		for y := y0; y <= y1; y++ {
			for x := x0; x <= x1; x++ {
				r.node[[2]int{x, y}] = v
			}
		}
	}
	return r
}

// steps are the four directions, with their stroke, that of the way back, and
// the arrow head that points so.
var steps = []struct {
	dx, dy     int
	away, back cell
	head       rune
}{
	{0, -1, up, down, '▲'},
	{1, 0, right, left, '▶'},
	{0, 1, down, up, '▼'},
	{-1, 0, left, right, '◀'},
}

// follow lists the nodes that lines from node v lead to.
func (r *reader) follow(v int) []int {
	type place struct{ x, y, step int }
	seen := map[place]bool{}
	var waiting []place
	at := func(x, y int) cell {
		if x < 0 || y < 0 || x >= r.c.width || y >= r.c.height {
			return 0
		}
		return r.c.cells[y*r.c.width+x]
	}
	leave := func(x, y int) {
		for i, step := range steps {
			if _, inside := r.node[[2]int{x + step.dx, y + step.dy}]; inside {
				continue
			}
			here, next := at(x, y), at(x+step.dx, y+step.dy)
			// The kind of a box may stand over the end of a line.
			if here&textBit == 0 && here&(step.away*3) != 0 || here&textBit != 0 && next&textBit == 0 && next&(step.back*3) != 0 {
				waiting = append(waiting, place{x, y, i})
			}
		}
	}
	b := r.box[v]
	for y := b.y0; y <= b.y1; y++ {
		for x := b.x0; x <= b.x1; x++ {
			leave(x, y)
		}
	}
	var found []int
	for len(waiting) > 0 {
		last := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if seen[last] {
			continue
		}
		seen[last] = true
		step := steps[last.step]
		x, y := last.x+step.dx, last.y+step.dy
		if x < 0 || y < 0 || x >= r.c.width || y >= r.c.height {
			continue
		}
		value := at(x, y)
		if to, inside := r.node[[2]int{x + step.dx, y + step.dy}]; inside && value == textBit|cell(step.head)<<8 {
			found = append(found, to)
			continue
		}
		if value&textBit != 0 || value&(step.back*3) == 0 {
			waiting = append(waiting, place{x, y, last.step}) // behind something
			continue
		}
		leave(x, y)
	}
	return found
}

func TestNearestKeepsDistancesAndIsNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		want := rapid.SliceOfN(rapid.IntRange(-8, 8), n, n).Draw(t, "want")
		need := rapid.SliceOfN(rapid.IntRange(0, 4), n, n).Draw(t, "need")
		mass := rapid.SliceOfN(rapid.IntRange(1, 3), n, n).Draw(t, "mass")
		need[0] = 0
		const scale = 1000
		got := make([]int, n)
		for i := range got {
			got[i] = want[i] * scale
			need[i] *= scale
		}
		nearest(got, mass, need, nil)
		cost := func(x []int) (sum int) {
			for i := range x {
				far := x[i] - want[i]*scale
				sum += far * far * mass[i]
			}
			return sum
		}
		for i := 1; i < n; i++ {
			if got[i] < got[i-1]+need[i] {
				t.Fatalf("nearest = %v, want distances %v", got, need)
			}
		}
		// No other spacing found by chance is nearer, rounding apart.
		other := slices.Clone(got)
		for i := range other {
			other[i] += rapid.IntRange(-3*scale, 3*scale).Draw(t, "shift")
			if i > 0 {
				other[i] = max(other[i], other[i-1]+need[i])
			}
		}
		if slack := n * 40 * scale; cost(other)+slack < cost(got) {
			t.Errorf("nearest = %v costs %d, but %v costs %d", got, cost(got), other, cost(other))
		}
	})
}

func TestCrossingsAgreeWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := newPlan(anyGraph(t))
		if err != nil {
			t.Fatal(err)
		}
		o := ordering{plan: p, at: make([]int, len(p.items)), order: p.ranks}
		for _, row := range p.ranks {
			for i, v := range row {
				o.at[v] = i
			}
		}
		for r := range len(p.ranks) - 1 {
			want := 0
			for _, a := range p.gaps[r] {
				for _, b := range p.gaps[r] {
					ends := func(l int) (int, int) {
						return o.at[p.pins[p.links[l].upper].item], o.at[p.pins[p.links[l].lower].item]
					}
					a0, a1 := ends(a)
					b0, b1 := ends(b)
					if a0 < b0 && a1 > b1 {
						want++
					}
				}
			}
			if got := o.crossings(r); got != want {
				t.Errorf("crossings(%d) = %d, want %d", r, got, want)
			}
		}
	})
}

func TestRanksRise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := newPlan(anyGraph(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.links {
			upper, lower := p.items[p.pins[l.upper].item].rank, p.items[p.pins[l.lower].item].rank
			if lower != upper+1 {
				t.Errorf("a link from rank %d to %d", upper, lower)
			}
		}
		for v := range p.Nodes {
			count := 0
			for _, row := range p.ranks {
				for _, w := range row {
					if w == v {
						count++
					}
				}
			}
			if count != 1 {
				t.Errorf("node %d is drawn %d times", v, count)
			}
		}
	})
}
