package graph

import (
	"fmt"
	"math"
	"slices"
)

// A plan is a layered drawing before it has sizes: nodes in ranks, lines cut
// into links between neighbouring ranks, and an order in each rank. K.
// Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of
// hierarchical system structures", 1981, doi:10.1109/TSMC.1981.4308636.
//
// Two words for directions, since a drawing may run down or to the right:
// along is from rank to rank, across is within a rank.
type plan struct {
	Graph
	groups []string
	items  []item // the first are the nodes
	pins   []pin
	links  []link
	ranks  [][]int // items of each rank, in order across
	gaps   [][]int // links of each rank to the next
	spans  []span  // of each group
	trunks [][]int // bends of each line that several edges may share, from its root
	paths  [][]int // links of each edge from its lower rank to its higher; none for an edge to itself
	turned []bool  // for each edge: it points from a higher rank to a lower
	loops  [][]int // for each node its edges to itself
	sides  []sides // pins of each node
}

type itemKind uint8

const (
	nodeItem  itemKind = iota
	bendItem           // where a line passes a rank
	labelItem          // where a line passes a rank and says its label
	openItem           // where a group begins in a rank
	closeItem          // where a group ends in a rank
)

type item struct {
	kind     itemKind
	rank     int
	group    int   // -1 = none
	edge     int   // of a labelItem
	pin      int   // the only one of an item that is not a node
	up, down []int // neighbours
}

// pin is where links meet an item.
type pin struct {
	item   int
	offset int  // across, from the item's start
	head   bool // an arrow ends here
	links  []int
}

// link joins a pin and one in the next rank. The links of one wire between
// two ranks meet.
type link struct {
	upper, lower int // pins
	wire         int // -1 = not drawn: it holds a group together
	cycle        bool
}

type span struct{ first, last int } // ranks

// newPlan ranks the nodes of g and cuts its edges into links.
func newPlan(g Graph) (*plan, error) {
	arcs, err := g.arcs()
	if err != nil {
		return nil, err
	}
	names, groupOf := g.groups()
	p := &plan{
		Graph: g, groups: names, spans: slices.Repeat([]span{{first: math.MaxInt}}, len(names)),
		paths: make([][]int, len(arcs)), turned: turned(len(g.Nodes), arcs), loops: make([][]int, len(g.Nodes)),
	}
	rank := layers(len(g.Nodes), arcs, p.turned)
	if slices.ContainsFunc(g.Edges, func(e Edge) bool { return e.Label != "" && e.From != e.To }) {
		for v := range rank {
			rank[v] *= 2 // labels stand in the odd ranks
		}
	}
	for v := range g.Nodes {
		p.items = append(p.items, item{kind: nodeItem, rank: rank[v], group: groupOf[v]})
		if k := groupOf[v]; k >= 0 {
			p.spans[k].first = min(p.spans[k].first, rank[v])
			p.spans[k].last = max(p.spans[k].last, rank[v])
		}
	}
	if err := newWiring(p, arcs).edges(); err != nil {
		return nil, err
	}
	p.frames()
	p.meet()
	order(p)
	p.gaps = make([][]int, len(p.ranks))
	for i, l := range p.links {
		r := p.items[p.pins[l.upper].item].rank
		p.gaps[r] = append(p.gaps[r], i)
	}
	p.sortPins()
	return p, nil
}

// frames gives each group an item at both its ends in each of its ranks.
func (p *plan) frames() {
	for k, s := range p.spans {
		for _, kind := range []itemKind{openItem, closeItem} {
			before := -1
			for r := s.first; r <= s.last; r++ {
				at := p.pin(p.add(item{kind: kind, rank: r, group: k}))
				if before >= 0 {
					p.links = append(p.links, link{upper: before, lower: at, wire: -1})
				}
				before = at
			}
		}
	}
}

func (p *plan) add(it item) int {
	p.items = append(p.items, it)
	return len(p.items) - 1
}

func (p *plan) pin(item int) int {
	p.pins = append(p.pins, pin{item: item})
	p.items[item].pin = len(p.pins) - 1
	return len(p.pins) - 1
}

// meet fills the pins' links and the items' neighbours, each list a part of
// one slice.
func (p *plan) meet() {
	ofPin, ups, downs := make([]int, len(p.pins)), make([]int, len(p.items)), make([]int, len(p.items))
	for _, l := range p.links {
		ofPin[l.upper]++
		ofPin[l.lower]++
		downs[p.pins[l.upper].item]++
		ups[p.pins[l.lower].item]++
	}
	all := make([]int, 4*len(p.links))
	part := func(n int) []int {
		var of []int
		of, all = all[:0:n], all[n:]
		return of
	}
	for i := range p.pins {
		p.pins[i].links = part(ofPin[i])
	}
	for v := range p.items {
		p.items[v].up, p.items[v].down = part(ups[v]), part(downs[v])
	}
	for i, l := range p.links {
		upper, lower := &p.pins[l.upper], &p.pins[l.lower]
		upper.links, lower.links = append(upper.links, i), append(lower.links, i)
		p.items[upper.item].down = append(p.items[upper.item].down, lower.item)
		p.items[lower.item].up = append(p.items[lower.item].up, upper.item)
	}
}

// sides are the pins of a node towards lower and higher ranks, in order.
type sides struct{ up, down []int }

// A wiring turns edges into links. Edges that leave one node, or enter one,
// share a line as far as they can: the side with more of them shares, so a
// line is a tree, and what it joins can be read off without doubt.
type wiring struct {
	*plan
	arcs   []arc
	count  map[treeKey]int
	trees  map[treeKey]*tree
	sorted []*tree // trees, oldest first
	pinOf  map[pinKey]int
	link   map[[2]int]int // of an inner pin and that of a node
	wires  int
}

type treeKey struct {
	root          int // node
	down          bool
	cycle, turned bool
	group         int // both ends are in it; -1 = no such group
}

type tree struct {
	wire  int
	trunk []int // pins: the root's, and one in each rank from there
	links []int // from each of them to the next
}

type pinKey struct {
	node int
	up   bool
	wire int
}

func newWiring(p *plan, arcs []arc) *wiring {
	return &wiring{plan: p, arcs: arcs, count: map[treeKey]int{}, trees: map[treeKey]*tree{}, pinOf: map[pinKey]int{}, link: map[[2]int]int{}}
}

// ends are the nodes of edge e, the one of the lower rank first.
func (w *wiring) ends(e int) (upper, lower int) {
	if a := w.arcs[e]; !w.turned[e] {
		return a.from, a.to
	}
	return w.arcs[e].to, w.arcs[e].from
}

// keys are the trees edge e could be part of.
func (w *wiring) keys(e int) (down, up treeKey) {
	upper, lower := w.ends(e)
	k := treeKey{cycle: w.Edges[e].Cycle, turned: w.turned[e], group: -1}
	if g := w.items[upper].group; g == w.items[lower].group {
		k.group = g
	}
	down, up = k, k
	down.root, down.down = upper, true
	up.root = lower
	return down, up
}

// mostItems is how many items a plan may have: its time and memory grow with
// them.
const mostItems = 1 << 19

func (w *wiring) edges() error {
	for e, a := range w.arcs {
		if a.from == a.to {
			w.loops[a.from] = append(w.loops[a.from], e)
			continue
		}
		down, up := w.keys(e)
		w.count[down]++
		w.count[up]++
	}
	need, length := len(w.items), map[treeKey]int{}
	for e, a := range w.arcs {
		if a.from != a.to {
			r := w.way(e)
			need += max(0, r.ranks-length[r.key])
			length[r.key] = max(r.ranks, length[r.key])
		}
	}
	if need > mostItems {
		return fmt.Errorf("a graph of %d nodes and %d edges as long as these is too large to lay out: draw less of it, or write it as DOT", len(w.Nodes), len(w.Edges))
	}
	for e, a := range w.arcs {
		if a.from != a.to {
			w.edge(e)
		}
	}
	for _, t := range w.sorted {
		if len(t.trunk) > 1 {
			bends := make([]int, 0, len(t.trunk)-1)
			for _, at := range t.trunk[1:] {
				bends = append(bends, w.pins[at].item)
			}
			w.trunks = append(w.trunks, bends)
		}
	}
	return nil
}

// way is how an edge is drawn: from the root of a tree to a leaf.
type way struct {
	key        treeKey
	root, leaf int // nodes
	step       int // of the rank from the root to the leaf: 1 or -1
	ranks      int // how far apart they are
}

func (w *wiring) way(e int) way {
	down, up := w.keys(e)
	ranks := w.items[up.root].rank - w.items[down.root].rank
	if w.count[up] > w.count[down] {
		return way{up, up.root, down.root, -1, ranks}
	}
	return way{down, down.root, up.root, 1, ranks}
}

// edge adds the links of edge e: from the root of its tree along the trunk,
// then alone, past its label, to the other end.
func (w *wiring) edge(e int) {
	r := w.way(e)
	key, t := r.key, w.tree(r.key)
	labelled := w.Edges[e].Label != ""
	shared := r.ranks // pins of the trunk, its root among them
	if labelled {
		shared--
	}
	for len(t.trunk) < shared {
		bend := w.pin(w.add(item{kind: bendItem, rank: w.items[r.root].rank + r.step*len(t.trunk), group: key.group}))
		t.links = append(t.links, w.join(t.trunk[len(t.trunk)-1], bend, t.wire, key))
		t.trunk = append(t.trunk, bend)
	}
	path := slices.Clone(t.links[:shared-1])
	last, wire := t.trunk[shared-1], t.wire
	if labelled {
		label := w.pin(w.add(item{kind: labelItem, rank: w.items[r.leaf].rank - r.step, group: key.group, edge: e}))
		path = append(path, w.join(last, label, wire, key))
		last, wire = label, w.newWire()
	}
	path = append(path, w.join(last, w.nodePin(r.leaf, key.down, wire, key.down != key.turned), wire, key))
	if !key.down {
		slices.Reverse(path)
	}
	w.paths[e] = path
}

func (w *wiring) tree(key treeKey) *tree {
	t := w.trees[key]
	if t == nil {
		wire := w.newWire()
		t = &tree{wire: wire, trunk: []int{w.nodePin(key.root, !key.down, wire, key.down == key.turned)}}
		w.trees[key] = t
		w.sorted = append(w.sorted, t)
	}
	return t
}

// join is the link from pin inner to the next outer one of a tree. Edges that
// are alike share it.
func (w *wiring) join(inner, outer, wire int, key treeKey) int {
	at, known := w.link[[2]int{inner, outer}]
	if !known {
		l := link{upper: inner, lower: outer, wire: wire, cycle: key.cycle}
		if !key.down {
			l.upper, l.lower = outer, inner
		}
		at = len(w.links)
		w.links = append(w.links, l)
		if w.pins[outer].item < len(w.Nodes) {
			w.link[[2]int{inner, outer}] = at
		}
	}
	return at
}

func (w *wiring) newWire() int {
	w.wires++
	return w.wires - 1
}

func (w *wiring) nodePin(node int, up bool, wire int, head bool) int {
	key := pinKey{node, up, wire}
	at, known := w.pinOf[key]
	if !known {
		at = w.pin(node)
		w.pins[at].head = head
		w.pinOf[key] = at
	}
	return at
}
