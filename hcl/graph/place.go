package graph

import (
	"math"
	"slices"
)

// measure is what a drawing's medium asks of the room across.
type measure struct {
	across []int                // size of each item
	box    []int                // part of a node's size that is its box; the rest is room for its loop
	gap    func(a, b *item) int // least room between two items of a rank, a first
	pitch  int                  // least distance of two pins of a box
	margin int                  // of pins from the ends of a box
}

// boxFor is the least size of a box with pins pins on a side.
func (m *measure) boxFor(pins int) int {
	return 2*m.margin + 1 + m.pitch*max(0, pins-1)
}

// A placing is a plan with positions across: whole cells or pixels. The
// positions are settled in sweeps: each rank goes as near as it can, in the
// sense of least squares, to where its links to other ranks are straight.
type placing struct {
	*plan
	measure
	x  []int // start of each item
	at []int // place of each item in its rank

	want, mass, need []int   // scratch: of the items of a rank
	pool             []block // scratch
	wishes           []wish  // scratch
}

// place gives the items of p positions across, none below zero. It leaves p as
// it is.
func place(p *plan, m measure) *placing {
	own := *p
	own.pins = slices.Clone(p.pins)
	c := &placing{plan: &own, measure: m, x: make([]int, len(p.items)), at: make([]int, len(p.items))}
	c.spreadPins()
	c.pack()
	sweeps := min(max(500_000/(len(p.items)+len(p.links)+1), 1), 8)
	for range sweeps {
		for r := range p.ranks {
			c.settle(r, above)
		}
		for r := range p.ranks {
			c.settle(len(p.ranks)-1-r, below)
		}
	}
	for range sweeps {
		for r := range p.ranks {
			c.settle(r, both)
		}
	}
	c.round()
	c.alignFrames()
	for range min(sweeps, 2) {
		c.straighten()
	}
	c.shrink()
	c.snapPins()
	c.normalise()
	return c
}

// spreadPins puts the pins of each box in the middle of its sides.
func (c *placing) spreadPins() {
	for i := range c.pins {
		it := &c.items[c.pins[i].item]
		switch it.kind {
		case bendItem, labelItem:
			c.pins[i].offset = (c.across[c.pins[i].item] - 1) / 2
		case openItem:
			c.pins[i].offset = 0
		case closeItem:
			c.pins[i].offset = c.across[c.pins[i].item] - 1
		}
	}
	for v, s := range c.sides {
		c.spread(s.up, c.box[v])
		c.spread(s.down, c.box[v])
	}
}

func (c *placing) spread(pins []int, size int) {
	n := len(pins)
	if n == 0 {
		return
	}
	room := size - 2*c.margin - 1
	step := max(c.pitch, room/(n+1))
	first := c.margin + (room-step*(n-1))/2
	for i, at := range pins {
		c.pins[at].offset = first + i*step
	}
}

// fine is how finely positions are settled before they are rounded.
const fine = 64

// pack puts the items of each rank side by side, all ranks about one middle.
func (c *placing) pack() {
	for _, row := range c.ranks {
		end := 0
		for i, v := range row {
			c.at[v] = i
			if i > 0 {
				end += c.apart(row[i-1], v)
			}
			c.x[v] = end * fine
		}
		for _, v := range row {
			c.x[v] -= end * fine / 2
		}
	}
}

// apart is the least distance of the starts of a and b, neighbours in a rank.
func (c *placing) apart(a, b int) int {
	return c.across[a] + c.gap(&c.items[a], &c.items[b])
}

// which links of an item pull at it.
type which uint8

const (
	above which = 1 << iota
	below
	both = above | below
)

// pull is how much link l strives to be straight: long lines most, as in E.
// Gansner et al., "A technique for drawing directed graphs", 1993,
// doi:10.1109/32.221135. Links that meet in one pin share what one would have.
func (c *placing) pull(l int) int {
	upper, lower := &c.pins[c.links[l].upper], &c.pins[c.links[l].lower]
	pull := 4096
	for _, end := range []*pin{upper, lower} {
		if c.items[end.item].kind == nodeItem {
			pull /= 4
		}
	}
	return max(pull/max(len(upper.links), len(lower.links)), 1)
}

// eachLink calls f for every link of item v that w names: the item it leads
// to, its pull, and where v would start if the link were straight. Positions
// are in parts, unit to a whole.
func (c *placing) eachLink(v int, w which, unit int, f func(to, pull, start int)) {
	visit := func(at int) {
		for _, l := range c.pins[at].links {
			up := c.links[l].lower == at
			if up && w&above == 0 || !up && w&below == 0 {
				continue
			}
			to := c.pins[c.other(l, at)]
			f(to.item, c.pull(l), c.x[to.item]+(to.offset-c.pins[at].offset)*unit)
		}
	}
	if c.items[v].kind != nodeItem {
		visit(c.items[v].pin)
		return
	}
	for _, at := range c.sides[v].up {
		visit(at)
	}
	for _, at := range c.sides[v].down {
		visit(at)
	}
}

// settle moves the items of rank r to where the links named by w want them.
func (c *placing) settle(r int, w which) {
	row := c.ranks[r]
	c.want, c.mass, c.need = c.want[:0], c.mass[:0], c.need[:0]
	for i, v := range row {
		sum, mass := 0, 0
		c.eachLink(v, w, fine, func(_, pull, start int) {
			sum += pull * start
			mass += pull
		})
		if mass == 0 {
			sum, mass = c.x[v], 1
		}
		c.want, c.mass = append(c.want, floorDiv(sum, mass)), append(c.mass, mass)
		c.need = append(c.need, 0)
		if i > 0 {
			c.need[i] = c.apart(row[i-1], v) * fine
		}
	}
	c.pool = nearest(c.want, c.mass, c.need, c.pool)
	for i, v := range row {
		c.x[v] = c.want[i]
	}
}

// block is a run of items that touch.
type block struct{ sum, mass, count int }

// nearest replaces want by the positions nearest to it, by squares times mass,
// in which each is at least need[i] after the one before: pool adjacent
// violators, R. Barlow et al., "Statistical inference under order
// restrictions", 1972. pool is scratch, and returned to be used again.
func nearest(want, mass, need []int, pool []block) []block {
	pool = pool[:0]
	offset := 0
	for i := range want {
		offset += need[i]
		b := block{(want[i] - offset) * mass[i], mass[i], 1}
		for len(pool) > 0 {
			last := pool[len(pool)-1]
			if floorDiv(last.sum, last.mass) < floorDiv(b.sum, b.mass) {
				break
			}
			b = block{last.sum + b.sum, last.mass + b.mass, last.count + b.count}
			pool = pool[:len(pool)-1]
		}
		pool = append(pool, b)
	}
	i := 0
	offset = 0
	for _, b := range pool {
		for range b.count {
			offset += need[i]
			want[i] = floorDiv(b.sum, b.mass) + offset
			i++
		}
	}
	return pool
}

// floorDiv is a/b rounded down, for b > 0.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// round turns fine positions into whole ones. Distances that were enough stay
// enough, since they are whole.
func (c *placing) round() {
	for v := range c.x {
		c.x[v] = floorDiv(c.x[v]+fine/2, fine)
	}
}

// alignFrames gives both ends of each group one position in all its ranks, and
// pushes on what that leaves too little room.
func (c *placing) alignFrames() {
	open, shut := make([]int, len(c.groups)), make([]int, len(c.groups))
	for k := range c.groups {
		open[k], shut[k] = math.MinInt/2, math.MinInt/2
	}
	for moved := true; moved; {
		moved = false
		for _, row := range c.ranks {
			least := math.MinInt
			for i, v := range row {
				if i > 0 {
					least = c.x[row[i-1]] + c.apart(row[i-1], v)
				}
				x := max(c.x[v], least)
				switch k := c.items[v].group; c.items[v].kind {
				case openItem:
					x = max(x, open[k])
					moved = moved || x > open[k]
					open[k] = x
				case closeItem:
					x = max(x, shut[k]-c.across[v])
					moved = moved || x+c.across[v] > shut[k]
					shut[k] = x + c.across[v]
				}
				c.x[v] = x
			}
		}
	}
}

// shrink draws the ends of each group together around its items.
func (c *placing) shrink() {
	shut, open := make([]int, len(c.groups)), make([]int, len(c.groups))
	for k := range c.groups {
		shut[k], open[k] = math.MinInt, math.MaxInt
	}
	c.ends(closeItem, func(v, i int, row []int) {
		k := c.items[v].group
		shut[k] = max(shut[k], c.x[row[i-1]]+c.apart(row[i-1], v)+c.across[v])
	})
	c.ends(closeItem, func(v, _ int, _ []int) { c.x[v] = shut[c.items[v].group] - c.across[v] })
	c.ends(openItem, func(v, i int, row []int) {
		k := c.items[v].group
		open[k] = min(open[k], c.x[row[i+1]]-c.apart(v, row[i+1]))
	})
	c.ends(openItem, func(v, _ int, _ []int) { c.x[v] = open[c.items[v].group] })
}

// ends calls f for each item of that kind, the i-th of its row.
func (c *placing) ends(kind itemKind, f func(v, i int, row []int)) {
	for _, row := range c.ranks {
		for i, v := range row {
			if c.items[v].kind == kind {
				f(v, i, row)
			}
		}
	}
}

// normalise moves all so that the least position is 0.
func (c *placing) normalise() {
	least := math.MaxInt
	for _, x := range c.x {
		least = min(least, x)
	}
	for v := range c.x {
		c.x[v] -= least
	}
}

// column is the position of a pin across.
func (c *placing) column(at int) int { return c.x[c.pins[at].item] + c.pins[at].offset }

// extent is the end of all items.
func (c *placing) extent() int {
	end := 0
	for v, x := range c.x {
		end = max(end, x+c.across[v])
	}
	return end
}

// frame is where the frame of group k begins and ends across, both in it.
func (c *placing) frame(k int) (first, last int) {
	for _, v := range c.ranks[c.spans[k].first] {
		switch it := &c.items[v]; {
		case it.group != k:
		case it.kind == openItem:
			first = c.x[v]
		case it.kind == closeItem:
			last = c.x[v] + c.across[v] - 1
		}
	}
	return first, last
}
