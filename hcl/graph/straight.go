package graph

import (
	"cmp"
	"math"
	"slices"
)

// slack is the least and the most that item v may start at, its neighbours
// staying where they are.
func (c *placing) slack(v int) (least, most int) {
	least, most = math.MinInt, math.MaxInt
	row := c.ranks[c.items[v].rank]
	if i := c.at[v]; i > 0 {
		least = c.x[row[i-1]] + c.apart(row[i-1], v)
	}
	if i := c.at[v] + 1; i < len(row) {
		most = c.x[row[i]] - c.apart(v, row[i])
	}
	return least, most
}

// wish is where an item would start for a link to be straight.
type wish struct{ pull, start int }

// straighten moves items within their slack to where most links are straight,
// each rank from both its ends, so that what stands in the way moves first.
func (c *placing) straighten() {
	for _, trunk := range c.trunks {
		for len(trunk) > 0 {
			n := c.run(trunk)
			trunk = trunk[n:]
		}
	}
	for _, row := range c.ranks {
		for _, v := range row {
			c.align(v)
		}
		for _, v := range slices.Backward(row) {
			c.align(v)
		}
	}
}

// align straightens the links of v, a node or a label.
func (c *placing) align(v int) {
	if kind := c.items[v].kind; kind != nodeItem && kind != labelItem {
		return
	}
	c.wishes = c.wishes[:0]
	c.eachLink(v, both, 1, func(_, pull, start int) { c.wishes = append(c.wishes, wish{pull, start}) })
	least, most := c.slack(v)
	c.x[v] = choose(c.wishes, c.x[v], least, most)
}

// run puts as many of the first bends of trunk as can be in one straight line,
// and is their number.
func (c *placing) run(trunk []int) int {
	least, most := c.slack(trunk[0])
	n := 1
	for ; n < len(trunk); n++ {
		l, m := c.slack(trunk[n])
		if max(l, least) > min(m, most) {
			break
		}
		least, most = max(l, least), min(m, most)
	}
	bends := trunk[:n]
	c.wishes = c.wishes[:0]
	for i, v := range bends {
		c.eachLink(v, both, 1, func(to, pull, start int) {
			if (i == 0 || to != bends[i-1]) && (i == n-1 || to != bends[i+1]) {
				c.wishes = append(c.wishes, wish{pull, start})
			}
		})
	}
	x := choose(c.wishes, c.x[bends[0]], least, most)
	for _, v := range bends {
		c.x[v] = x
	}
	return n
}

// choose is the start, from least to most, at which the links with the most
// pull are straight; of several, and where there is none, the one nearest to
// the middle of the wishes. Without wishes it is as near to now as can be.
func choose(wishes []wish, now, least, most int) int {
	if len(wishes) == 0 {
		return min(max(now, least), most)
	}
	slices.SortFunc(wishes, func(a, b wish) int { return cmp.Compare(a.start, b.start) })
	middle := wishes[len(wishes)/2].start
	best, bestPull := min(max(middle, least), most), 0
	for i := 0; i < len(wishes); {
		start, pull := wishes[i].start, 0
		for ; i < len(wishes) && wishes[i].start == start; i++ {
			pull += wishes[i].pull
		}
		if start < least || start > most {
			continue
		}
		if pull > bestPull || pull == bestPull && distance(start, middle) < distance(best, middle) {
			best, bestPull = start, pull
		}
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// snapPins moves pins along the sides of their boxes to where a link becomes
// straight, if none of theirs is.
func (c *placing) snapPins() {
	for _, s := range c.sides {
		c.snap(s.up)
	}
	for _, s := range c.sides {
		c.snap(s.down)
	}
}

func (c *placing) snap(pins []int) {
	for i, at := range pins {
		v := c.pins[at].item
		least, most := c.margin, c.box[v]-1-c.margin
		if i > 0 {
			least = c.pins[pins[i-1]].offset + c.pitch
		}
		if i+1 < len(pins) {
			most = c.pins[pins[i+1]].offset - c.pitch
		}
		now := c.pins[at].offset
		best := now
		for _, l := range c.pins[at].links {
			to := c.pins[c.other(l, at)]
			offset := c.x[to.item] + to.offset - c.x[v]
			if offset == now {
				best = now
				break
			}
			if offset >= least && offset <= most && (best == now || distance(offset, now) < distance(best, now)) {
				best = offset
			}
		}
		c.pins[at].offset = best
	}
}
