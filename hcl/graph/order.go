package graph

import (
	"cmp"
	"slices"
)

// An ordering is the state of the search for few crossings: ranks, swept up
// and down, each item going to the mean place of its neighbours, then swaps of
// neighbours that help. The items of a group stay together, and groups keep
// one order in all ranks, so that each can have a box.
type ordering struct {
	*plan
	order     [][]int // items of each rank
	at        []int   // place of each item in its rank
	groupRank []int   // place of each group among the groups
}

// allSweeps is the number of sweeps for a graph that is not large.
const allSweeps = 24

// order settles p.ranks. Its work is bounded: large graphs get fewer sweeps
// and fewer beginnings.
func order(p *plan) {
	sweeps := min(max(300_000/(len(p.links)+1), 1), allSweeps)
	best := -1
	try := func(groupRank []int, first []int) bool {
		o := ordering{plan: p, at: make([]int, len(p.items)), groupRank: groupRank}
		o.start(first)
		ranks, crossings := o.search(sweeps)
		if best >= 0 && crossings >= best {
			return false
		}
		p.ranks, best = ranks, crossings
		return true
	}
	starts := p.byRank()
	walk := p.walk(starts)
	groupRank := p.firstGroups(walk)
	try(groupRank, walk)
	if sweeps < allSweeps || best == 0 {
		return
	}
	slices.Reverse(starts)
	try(groupRank, p.walk(starts))
	if len(p.groups) > 6 || len(p.links) > 500 {
		return
	}
	for k := 1; k < len(groupRank) && best > 0; k++ {
		other := slices.Clone(groupRank)
		a, b := slices.Index(other, k-1), slices.Index(other, k)
		other[a], other[b] = other[b], other[a]
		if try(other, walk) {
			groupRank = other
		}
	}
}

// walk lists the items so that connected ones are near: depth first, from
// each of starts not met before.
func (p *plan) walk(starts []int) []int {
	seen := make([]bool, len(p.items))
	out := make([]int, 0, len(p.items))
	var waiting []int
	for _, first := range starts {
		waiting = append(waiting, first)
		for len(waiting) > 0 {
			v := waiting[len(waiting)-1]
			waiting = waiting[:len(waiting)-1]
			if seen[v] {
				continue
			}
			seen[v] = true
			out = append(out, v)
			near := slices.Concat(p.items[v].down, p.items[v].up)
			slices.Reverse(near)
			waiting = append(waiting, near...)
		}
	}
	return out
}

// byRank lists the items by rank.
func (p *plan) byRank() []int {
	var ranks [][]int
	for v, it := range p.items {
		for len(ranks) <= it.rank {
			ranks = append(ranks, nil)
		}
		ranks[it.rank] = append(ranks[it.rank], v)
	}
	return slices.Concat(ranks...)
}

// firstGroups gives each group a place by the mean place of its nodes in walk.
func (p *plan) firstGroups(walk []int) []int {
	sum, count := make([]int, len(p.groups)), make([]int, len(p.groups))
	for i, v := range walk {
		if k := p.items[v].group; k >= 0 && p.items[v].kind == nodeItem {
			sum[k] += i
			count[k]++
		}
	}
	sorted := make([]int, len(p.groups))
	for k := range sorted {
		sorted[k] = k
	}
	slices.SortStableFunc(sorted, func(a, b int) int { return cmp.Compare(sum[a]/count[a], sum[b]/count[b]) })
	rank := make([]int, len(p.groups))
	for i, k := range sorted {
		rank[k] = i
	}
	return rank
}

// start orders each rank as the walk met its items.
func (o *ordering) start(walk []int) {
	for _, v := range walk {
		for len(o.order) <= o.items[v].rank {
			o.order = append(o.order, nil)
		}
	}
	met := make([][]int, len(o.order))
	for _, v := range walk {
		met[o.items[v].rank] = append(met[o.items[v].rank], v)
	}
	same := make([]int, len(o.items))
	for r, all := range met {
		members := map[int][]int{}
		for _, v := range all {
			members[o.items[v].group] = append(members[o.items[v].group], v)
		}
		for _, v := range all {
			if k := o.items[v].group; k < 0 {
				o.order[r] = append(o.order[r], v)
			} else {
				o.order[r] = append(o.order[r], members[k]...)
				delete(members, k)
			}
		}
		o.arrange(r, same)
	}
}

// search sweeps and is the best order met, with its crossings.
func (o *ordering) search(sweeps int) (best [][]int, fewest int) {
	fewest = -1
	stale := 0
	key := make([]int, len(o.items))
	for s := 0; s <= sweeps && stale < 5; s++ {
		o.swaps(min(4, sweeps))
		n := 0
		for r := range len(o.order) - 1 {
			n += o.crossings(r)
		}
		stale++
		if fewest < 0 || n < fewest {
			fewest, stale = n, 0
			best = make([][]int, len(o.order))
			for r := range o.order {
				best[r] = slices.Clone(o.order[r])
			}
		}
		if fewest == 0 {
			break
		}
		for i := range o.order {
			if s%2 == 0 {
				o.sweep(i, key, func(it *item) []int { return it.up })
			} else {
				o.sweep(len(o.order)-1-i, key, func(it *item) []int { return it.down })
			}
		}
	}
	return best, fewest
}

// free is the key of an item that keeps its place.
const free = -1

// sweep orders rank r by the mean place of near, neighbours in another rank.
func (o *ordering) sweep(r int, key []int, near func(*item) []int) {
	for _, v := range o.order[r] {
		key[v] = free
		if others := near(&o.items[v]); len(others) > 0 {
			sum := 0
			for _, w := range others {
				sum += o.at[w]
			}
			key[v] = sum * 1024 / len(others)
		}
	}
	o.arrange(r, key)
}

// unit is what moves as one: an item, or all of a group in a rank.
type unit struct {
	key   int
	was   int // place before
	group int
	items []int
}

// arrange orders rank r by key, within groups and then among them.
func (o *ordering) arrange(r int, key []int) {
	row := o.order[r]
	units := make([]unit, 0, len(row))
	for i := 0; i < len(row); {
		k := o.items[row[i]].group
		end := i + 1
		for k >= 0 && end < len(row) && o.items[row[end]].group == k {
			end++
		}
		u := unit{key: key[row[i]], group: k, items: row[i:end]}
		if k >= 0 {
			u = o.groupUnit(k, row[i:end], key)
		}
		units = append(units, u)
		i = end
	}
	sortKeyed(units)
	var groups []unit
	for _, u := range units {
		if u.group >= 0 {
			groups = append(groups, u)
		}
	}
	slices.SortFunc(groups, func(a, b unit) int { return o.groupRank[a.group] - o.groupRank[b.group] })
	sorted := make([]int, 0, len(row))
	for _, u := range units {
		if u.group >= 0 {
			u, groups = groups[0], groups[1:]
		}
		sorted = append(sorted, u.items...)
	}
	o.order[r] = sorted
	for i, v := range sorted {
		o.at[v] = i
	}
}

// groupUnit orders the items of group k by key, its ends outside.
func (o *ordering) groupUnit(k int, members, key []int) unit {
	var inner []unit
	ends := [2]int{}
	sum, count := 0, 0
	for _, v := range members {
		if key[v] != free {
			sum += key[v]
			count++
		}
		switch o.items[v].kind {
		case openItem:
			ends[0] = v
		case closeItem:
			ends[1] = v
		default:
			inner = append(inner, unit{key: key[v], items: []int{v}})
		}
	}
	sortKeyed(inner)
	u := unit{key: free, group: k, items: []int{ends[0]}}
	for _, i := range inner {
		u.items = append(u.items, i.items[0])
	}
	u.items = append(u.items, ends[1])
	if count > 0 {
		u.key = sum / count
	}
	return u
}

// sortKeyed sorts units by key; those that are free keep their places.
func sortKeyed(units []unit) {
	keyed := make([]unit, 0, len(units))
	for _, u := range units {
		if u.key != free {
			u.was = len(keyed)
			keyed = append(keyed, u)
		}
	}
	slices.SortFunc(keyed, func(a, b unit) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.was, b.was)) })
	for i := range units {
		if units[i].key != free {
			units[i], keyed = keyed[0], keyed[1:]
		}
	}
}

// crossings counts the links between ranks r and r+1 that cross: the
// inversions of their lower ends, in a Fenwick tree. W. Barth, M. Jünger, P.
// Mutzel, "Simple and efficient bilayer cross counting", 2002,
// doi:10.1007/3-540-36151-0_13.
func (o *ordering) crossings(r int) int {
	size := len(o.order[r+1])
	count := make([]int, size+1)
	total, n := 0, 0
	var ends []int
	for _, v := range o.order[r] {
		ends = ends[:0]
		for _, w := range o.items[v].down {
			ends = append(ends, o.at[w])
		}
		for _, e := range ends {
			total += n
			for i := e + 1; i > 0; i -= i & -i {
				total -= count[i]
			}
		}
		for _, e := range ends {
			n++
			for i := e + 1; i <= size; i += i & -i {
				count[i]++
			}
		}
	}
	return total
}

// swaps exchanges neighbours in a rank while that takes crossings away.
func (o *ordering) swaps(rounds int) {
	for range rounds {
		better := false
		for _, row := range o.order {
			for i := 1; i < len(row); i++ {
				a, b := row[i-1], row[i]
				if !o.mayswap(a, b) {
					continue
				}
				if o.between(b, a) < o.between(a, b) {
					row[i-1], row[i] = b, a
					o.at[a], o.at[b] = i, i-1
					better = true
				}
			}
		}
		if !better {
			return
		}
	}
}

func (o *ordering) mayswap(a, b int) bool {
	x, y := &o.items[a], &o.items[b]
	return x.group == y.group && x.kind < openItem && y.kind < openItem
}

// between counts the crossings of the links of a and b with a first. Items
// with very many links are left to the sweeps.
func (o *ordering) between(a, b int) int {
	x, y := &o.items[a], &o.items[b]
	if len(x.up)*len(y.up)+len(x.down)*len(y.down) > 4096 {
		return 0
	}
	n := 0
	for _, near := range [2][2][]int{{x.up, y.up}, {x.down, y.down}} {
		for _, v := range near[0] {
			for _, w := range near[1] {
				if o.at[v] > o.at[w] {
					n++
				}
			}
		}
	}
	return n
}

// sortPins orders the pins of each node, and so the lines that meet it, by
// where they lead.
func (p *plan) sortPins() {
	at := make([]int, len(p.items))
	for _, row := range p.ranks {
		for i, v := range row {
			at[v] = i
		}
	}
	p.sides = make([]sides, len(p.Nodes))
	key := make([]int, len(p.pins))
	for i, pin := range p.pins {
		if pin.item >= len(p.Nodes) {
			continue
		}
		s := &p.sides[pin.item]
		for _, l := range pin.links {
			key[i] += at[p.pins[p.other(l, i)].item] * 1024
		}
		key[i] /= len(pin.links)
		if p.links[pin.links[0]].lower == i {
			s.up = append(s.up, i)
		} else {
			s.down = append(s.down, i)
		}
	}
	for _, s := range p.sides {
		for _, side := range [][]int{s.up, s.down} {
			slices.SortStableFunc(side, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
		}
	}
}

// other is the pin link l joins to pin at.
func (p *plan) other(l, at int) int {
	if p.links[l].upper == at {
		return p.links[l].lower
	}
	return p.links[l].upper
}
