package graph

import "slices"

// A sheet is a drawing in characters before it is drawn.
type sheet struct {
	*placing
	texts
	lies      bool  // it runs to the right
	start     []int // first place along of each rank
	size      []int // places along of each rank
	channels  []channel
	tracks    []int  // first place along of the tracks after each rank
	opens     []int  // place along of the frames that begin with each rank
	closes    []int  // place along of the frames that end with each rank
	titleAt   []spot // of each group
	along     int
	acrossAll int
}

// spot is a place in a drawing.
type spot struct{ along, across int }

func newSheet(p *plan, lies bool, room int) *sheet {
	s := &sheet{lies: lies, texts: newTexts(p, room)}
	reserved := make([]bool, len(p.groups))
	for again := true; again; {
		s.placing = place(p, s.measure(p, reserved))
		s.stretch()
		again = !s.lies && s.placeTitles(reserved)
	}
	return s
}

// width is how many columns of a terminal the sheet takes.
func (s *sheet) width() int {
	if s.lies {
		return s.along
	}
	return s.acrossAll
}

// loopRoom is how far a loop stands out of its box.
const loopRoom = 2

// boxSize is how many places along and across the box of node v takes at
// least.
func (s *sheet) boxSize(p *plan, v int) (along, across int) {
	rows, wide := len(s.labels[v])+2, max(widest(s.labels[v]), width(s.kinds[v]))+4
	loop := len(p.loops[v]) > 0
	if s.lies {
		if loop {
			wide = max(wide, 6+width(s.says[v]))
		}
		return wide, rows
	}
	if loop {
		rows = max(rows, 4)
	}
	return rows, wide
}

func (s *sheet) measure(p *plan, reserved []bool) measure {
	m := measure{across: make([]int, len(p.items)), box: make([]int, len(p.Nodes)), pitch: 2, margin: 2}
	if s.lies {
		m.pitch, m.margin = 1, 1
	}
	m.gap = s.gap
	for v, it := range p.items {
		switch it.kind {
		case nodeItem:
			_, across := s.boxSize(p, v)
			m.box[v] = max(across, m.boxFor(len(p.sides[v].up)), m.boxFor(len(p.sides[v].down)))
			m.across[v] = m.box[v]
			if len(p.loops[v]) > 0 {
				m.across[v] += loopRoom
				if !s.lies && s.says[v] != "" {
					m.across[v] += 1 + width(s.says[v])
				}
			}
		case labelItem:
			m.across[v] = 1
			if !s.lies {
				m.across[v] = width(s.captions[it.edge])
			}
		default:
			m.across[v] = 1
		}
	}
	if !s.lies {
		s.widen(p, &m, reserved)
	}
	return m
}

// gap is the room between two items of a rank, a first.
func (s *sheet) gap(a, b *item) int {
	bare := func(it *item) bool { return it.kind == bendItem || it.kind == labelItem }
	inside := a.kind == openItem || b.kind == closeItem
	switch {
	case s.lies && (inside || bare(a) && bare(b)):
		return 0
	case s.lies, inside:
		return 1
	case a.kind == nodeItem && b.kind == nodeItem:
		return 3
	}
	return 2
}

// widen gives each group the room for its title in its first rank; where
// reserved, before its first item, so that no line passes there.
func (s *sheet) widen(p *plan, m *measure, reserved []bool) {
	for k, title := range s.titles {
		need := width(title) + 4
		row := p.ranks[p.spans[k].first]
		open, shut, size := -1, -1, 0
		for i, v := range row {
			if p.items[v].group != k {
				continue
			}
			size += m.across[v]
			switch p.items[v].kind {
			case openItem:
				open = v
			case closeItem:
				shut = v
			}
			if p.items[v].kind != closeItem {
				size += m.gap(&p.items[v], &p.items[row[i+1]])
			}
		}
		if reserved[k] {
			m.across[open] += need - 2
			size += need - 2
		}
		if lack := need - size; lack > 0 {
			m.across[open] += lack / 2
			m.across[shut] += lack - lack/2
		}
	}
}

// alongOf is how many places along item v takes at least.
func (s *sheet) alongOf(v int) int {
	switch it := s.items[v]; {
	case it.kind == nodeItem:
		along, _ := s.boxSize(s.plan, v)
		return along
	case it.kind == labelItem && s.lies:
		return width(s.captions[it.edge]) + 2
	}
	return 1
}

// stretch settles the places along: of ranks, frames and tracks.
func (s *sheet) stretch() {
	n := len(s.ranks)
	s.start, s.size, s.tracks = make([]int, n), make([]int, n), make([]int, n)
	s.opens, s.closes, s.channels = make([]int, n), make([]int, n), make([]channel, n)
	opens, closes := make([]bool, n), make([]bool, n)
	for k, span := range s.spans {
		opens[span.first], closes[span.last] = true, true
		if s.lies {
			s.size[span.first] = max(s.size[span.first], width(s.titles[k]))
		}
	}
	at := 0
	for r := range n {
		if opens[r] {
			if r > 0 && s.lies && s.channels[r-1].tracks > 0 {
				at++ // else the frame would touch the last track
			}
			s.opens[r] = at
			at++
		}
		at = s.enter(r, at, opens[r])
		s.start[r] = at
		for _, v := range s.ranks[r] {
			s.size[r] = max(s.size[r], s.alongOf(v))
		}
		at += s.size[r]
		if r+1 < n {
			s.channels[r] = route(s.placing, r)
		}
		at = s.leave(r, at, closes[r])
	}
	s.along, s.acrossAll = at, s.extent()
	for _, ch := range s.channels {
		for _, line := range ch.strands {
			s.acrossAll = max(s.acrossAll, line.to()+1)
		}
	}
}

// enter is where rank r starts if the tracks, or the frame, before it end at.
func (s *sheet) enter(r, at int, framed bool) int {
	if r == 0 {
		if framed && s.lies {
			at++
		}
		return at
	}
	least := 1
	if s.channels[r-1].headLow {
		at++
		least++ // a line and its arrow
	}
	if s.lies {
		return at + 1
	}
	return max(at, s.start[r-1]+s.size[r-1]+least)
}

// leave is where the places of rank r and its tracks end if the rank itself
// ends at.
func (s *sheet) leave(r, at int, framed bool) int {
	ch := &s.channels[r]
	if ch.headUp {
		at++
	}
	if s.lies && (framed || r+1 < len(s.ranks)) {
		at++
	}
	if framed {
		s.closes[r] = at
		at++
	}
	s.tracks[r] = at
	return at + ch.tracks
}

// placeTitles finds for each group a stretch of its frame that no line
// crosses. Where there is none it reserves one, and says that the nodes have
// to be placed again.
func (s *sheet) placeTitles(reserved []bool) (again bool) {
	s.titleAt = make([]spot, len(s.groups))
	for k := range s.groups {
		first, last := s.frameOf(k)
		before, after := s.crossed(k)
		need := width(s.titles[k]) + 2
		if x, ok := freeStretch(first.across+1, last.across, before, need); ok {
			s.titleAt[k] = spot{first.along, x}
		} else if x, ok := freeStretch(first.across+1, last.across, after, need); ok {
			s.titleAt[k] = spot{last.along, x}
		} else {
			again = again || !reserved[k]
			reserved[k] = true
		}
	}
	return again
}

// crossed lists the places across, rising, at which lines pass the beginning
// and the end of group k.
func (s *sheet) crossed(k int) (before, after []int) {
	list := func(r int, end func(link) int) []int {
		var at []int
		if r < 0 {
			return nil
		}
		for _, l := range s.gaps[r] {
			if pin := end(s.links[l]); s.links[l].wire >= 0 && s.items[s.pins[pin].item].group == k {
				at = append(at, s.column(pin))
			}
		}
		slices.Sort(at)
		return at
	}
	before = list(s.spans[k].first-1, func(l link) int { return l.lower })
	return before, list(s.spans[k].last, func(l link) int { return l.upper })
}

// freeStretch is the first place of need free ones from lo to below hi.
func freeStretch(lo, hi int, taken []int, need int) (at int, ok bool) {
	for _, x := range taken {
		if x-lo >= need {
			return lo, true
		}
		lo = max(lo, x+1)
	}
	return lo, hi-lo >= need
}

// frameOf is the first and the last corner of the frame of group k.
func (s *sheet) frameOf(k int) (first, last spot) {
	first.along, last.along = s.opens[s.spans[k].first], s.closes[s.spans[k].last]
	first.across, last.across = s.placing.frame(k)
	return first, last
}
