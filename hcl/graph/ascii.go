package graph

import (
	"fmt"
	"io"
	"strings"
)

// Terminal is what the reader's screen can show.
type Terminal struct {
	Plain   bool // 7-bit characters only
	Columns int  // 0 = 80
}

// ASCII draws g with boxes and lines of characters. It runs to the right if
// that fits the terminal, else down if that fits, else whichever is narrower.
// The lines of a loop are double; a line that is broken where another passes
// goes behind it.
func ASCII(w io.Writer, g Graph, t Terminal) error {
	p, err := newPlan(g)
	if err != nil {
		return err
	}
	if t.Columns == 0 {
		t.Columns = 80
	}
	s := fitting(p, t.Columns)
	if s.along > mostCells/max(s.acrossAll, 1) {
		return fmt.Errorf("the graph takes %d by %d characters: draw less of it, or write it as SVG or DOT", s.along, s.acrossAll)
	}
	if g.Title != "" {
		title := strings.Join(lines(g.Title), "\n")
		if t.Plain {
			title = plainText(title)
		}
		if _, err := fmt.Fprintf(w, "%s\n\n", title); err != nil {
			return err
		}
	}
	if err := s.draw().write(w, t.Plain); err != nil {
		return err
	}
	if !g.anyCycle() {
		return nil
	}
	line := "═══"
	if t.Plain {
		line = "==="
	}
	_, err = fmt.Fprintf(w, "\n%s part of a loop\n", line)
	return err
}

// fitting is the first of several ways to draw p that fits the columns, or the
// narrowest. A large graph, which no terminal holds, is drawn in one way only.
func fitting(p *plan, columns int) *sheet {
	if len(p.links) > 20_000 {
		return newSheet(p, true, 28)
	}
	var best *sheet
	for _, room := range []int{28, 16} {
		for _, lies := range []bool{true, false} {
			s := newSheet(p, lies, room)
			if best == nil || s.width() < best.width() {
				best = s
			}
			if best.width() <= columns {
				return best
			}
		}
	}
	return best
}

// draw draws the sheet: what is drawn later covers what is below.
func (s *sheet) draw() *canvas {
	c := newCanvas(s.along, s.acrossAll, s.lies)
	for k := range s.groups {
		s.drawFrame(c, k)
	}
	for r := range s.channels {
		s.drawChannel(c, r)
	}
	for v, it := range s.items {
		if it.kind == bendItem || it.kind == labelItem {
			c.drop(s.column(it.pin), s.start[it.rank], s.start[it.rank]+s.size[it.rank]-1, s.weight(it.pin))
		}
		if it.kind == labelItem {
			s.drawCaption(c, v)
		}
	}
	for v := range s.Nodes {
		s.drawBox(c, v)
		s.drawLoop(c, v)
	}
	return c
}

// weight is how heavy the lines at a pin are drawn.
func (s *sheet) weight(pin int) cell { return weightOf(s.links[s.pins[pin].links[0]].cycle) }

func weightOf(cycle bool) cell {
	if cycle {
		return double
	}
	return thin
}

func (s *sheet) drawFrame(c *canvas, k int) {
	first, last := s.frameOf(k)
	title := spot{first.along + 1, first.across}
	if !s.lies {
		title = s.titleAt[k]
	}
	x0, y0 := c.screen(first)
	x1, y1 := c.screen(last)
	for x := x0; x <= x1; x++ {
		c.text(x, y0, "┄")
		c.text(x, y1, "┄")
	}
	for y := y0; y <= y1; y++ {
		c.text(x0, y, "┆")
		c.text(x1, y, "┆")
	}
	c.text(x0, y0, "╭")
	c.text(x1, y0, "╮")
	c.text(x0, y1, "╰")
	c.text(x1, y1, "╯")
	x, y := c.screen(title)
	c.text(x, y, " "+s.titles[k]+" ")
}

func (s *sheet) drawChannel(c *canvas, r int) {
	if r+1 == len(s.ranks) {
		return
	}
	top, bottom := s.start[r]+s.size[r]-1, s.start[r+1]
	strands := s.channels[r].strands
	for _, line := range strands {
		if line.track >= 0 {
			c.bar(s.tracks[r]+line.track, line.from(), line.to(), weightOf(line.cycle))
		}
	}
	for _, line := range strands {
		weight := weightOf(line.cycle)
		if line.track < 0 {
			c.drop(line.tops[0], top, bottom, weight)
			continue
		}
		at, from := s.tracks[r]+line.track, top
		if line.resumes >= 0 {
			from = s.tracks[r] + line.resumes
		}
		for _, x := range line.tops {
			c.drop(x, from, at, weight)
		}
		if line.detour > 0 && line.resumes < 0 {
			continue
		}
		for _, x := range line.bottoms {
			c.drop(x, at, bottom, weight)
		}
	}
}

// drawCaption writes the label of an edge over its line.
func (s *sheet) drawCaption(c *canvas, v int) {
	it := &s.items[v]
	text := s.captions[it.edge]
	at := spot{s.start[it.rank], s.x[v]}
	if s.lies {
		at.along += (s.size[it.rank] - width(text)) / 2
	}
	x, y := c.screen(at)
	c.text(x, y, text)
}

// drawBox draws node v: its box, its texts, and where lines meet it.
func (s *sheet) drawBox(c *canvas, v int) {
	r := s.items[v].rank
	first := spot{s.start[r], s.x[v]}
	last := spot{first.along + s.size[r] - 1, first.across + s.box[v] - 1}
	x0, y0 := c.screen(first)
	x1, y1 := c.screen(last)
	c.box(x0, y0, x1, y1)
	if s.kinds[v] != "" {
		c.text(x0+2, y0, s.kinds[v])
	}
	rows := s.labels[v]
	for i, text := range rows {
		c.text(x0+1+(x1-x0-width(text))/2, y0+(y1-y0-len(rows)+1)/2+i, text)
	}
	for _, at := range s.sides[v].up {
		s.drawPin(c, at, first.along, first.along-1, c.behind(), c.headAhead())
	}
	for _, at := range s.sides[v].down {
		s.drawPin(c, at, last.along, last.along+1, c.ahead(), c.headBehind())
	}
}

// drawPin draws where lines meet a box: a stroke in its border, or an arrow
// head beside it.
func (s *sheet) drawPin(c *canvas, at, border, beside int, stroke cell, head rune) {
	if s.pins[at].head {
		c.put(beside, s.column(at), head)
	} else if *c.cell(border, s.column(at))&textBit == 0 {
		c.stroke(border, s.column(at), stroke, s.weight(at))
	}
}

// drawLoop draws the edges of node v to itself as one.
func (s *sheet) drawLoop(c *canvas, v int) {
	if len(s.loops[v]) == 0 {
		return
	}
	weight := thin
	for _, e := range s.loops[v] {
		if s.Edges[e].Cycle {
			weight = double
		}
	}
	border := s.x[v] + s.box[v] - 1
	out := s.start[s.items[v].rank] + 1
	back := out + 1
	text := spot{back, border + loopRoom + 2}
	if s.lies {
		back++
		text = spot{back + 2, border + loopRoom}
	}
	c.bar(out, border, border+loopRoom, weight)
	c.bar(back, border+1, border+loopRoom, weight)
	c.drop(border+loopRoom, out, back, weight)
	c.put(back, border+1, c.headFirst())
	x, y := c.screen(text)
	c.text(x, y, s.says[v])
}
