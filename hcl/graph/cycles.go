package graph

import "slices"

// Cycles are the sets of nodes that can reach one another, and single nodes
// with an edge to themselves: the IDs of each in the order of g.Nodes, the
// sets by their first node. Edges to nodes g has not are ignored.
func Cycles(g Graph) [][]string {
	index := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		if _, known := index[n.ID]; !known {
			index[n.ID] = i
		}
	}
	next := make([][]int, len(g.Nodes))
	for _, e := range g.Edges {
		from, okFrom := index[e.From]
		to, okTo := index[e.To]
		if okFrom && okTo {
			next[from] = append(next[from], to)
		}
	}
	var found [][]string
	for _, set := range components(next) {
		if len(set) == 1 && !slices.Contains(next[set[0]], set[0]) {
			continue
		}
		ids := make([]string, len(set))
		for i, v := range set {
			ids[i] = g.Nodes[v].ID
		}
		found = append(found, ids)
	}
	return found
}

// components are the strongly connected components of the graph with arrows
// v -> next[v], each sorted, sorted by their first element. R. Tarjan,
// "Depth-first search and linear graph algorithms", 1972,
// doi:10.1137/0201010.
func components(next [][]int) [][]int {
	t := tarjan{next: next, number: make([]int, len(next)), low: make([]int, len(next)), onStack: make([]bool, len(next))}
	for v := range next {
		if t.number[v] == 0 {
			t.visit(v)
		}
	}
	for _, set := range t.found {
		slices.Sort(set)
	}
	slices.SortFunc(t.found, func(a, b []int) int { return a[0] - b[0] })
	return t.found
}

type tarjan struct {
	next    [][]int
	number  []int // order of discovery from 1; 0 = not yet
	low     []int // the smallest number on the stack that is reached
	count   int
	stack   []int
	onStack []bool
	found   [][]int
}

func (t *tarjan) visit(v int) {
	t.count++
	t.number[v], t.low[v] = t.count, t.count
	t.stack = append(t.stack, v)
	t.onStack[v] = true
	for _, to := range t.next[v] {
		if t.number[to] == 0 {
			t.visit(to)
			t.low[v] = min(t.low[v], t.low[to])
		} else if t.onStack[to] {
			t.low[v] = min(t.low[v], t.number[to])
		}
	}
	if t.low[v] != t.number[v] {
		return
	}
	at := len(t.stack) - 1
	for t.stack[at] != v {
		at--
	}
	set := slices.Clone(t.stack[at:])
	t.stack = t.stack[:at]
	for _, member := range set {
		t.onStack[member] = false
	}
	t.found = append(t.found, set)
}
