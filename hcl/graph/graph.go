// Package graph draws a directed graph as text: DOT, Mermaid, SVG, or boxes
// and lines for a terminal. It is pure: the same graph gives the same bytes.
package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Graph is what is drawn. The order of nodes and edges settles ties, so two
// graphs that differ in it alone may be drawn differently.
type Graph struct {
	Title string // "" = none
	Nodes []Node
	Edges []Edge
}

// Node is a box.
type Node struct {
	ID    string // unique in its graph
	Label string // what the box says; "" = the ID
	Kind  string // such as worker or load: a small word over the label and, where there is colour, a colour; "" = none
	Group string // nodes of one group stand together in a box of that name; "" = in none
}

// Edge is an arrow between two nodes, or from a node to itself.
type Edge struct {
	From, To string // node IDs
	Label    string // "" = none
	Cycle    bool   // part of a loop: drawn so that it is seen without colour
}

func (n Node) label() string {
	if n.Label == "" {
		return n.ID
	}
	return n.Label
}

// kind is what stands over the label, on one line: the kind, unless the label
// begins with it.
func (n Node) kind() string {
	kind := line(n.Kind)
	if n.label() == kind || strings.HasPrefix(n.label(), kind+".") {
		return ""
	}
	return kind
}

// arc is an edge between indices of Graph.Nodes.
type arc struct{ from, to int }

// arcs resolves the IDs of g's edges.
func (g Graph) arcs() ([]arc, error) {
	index := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		if _, twice := index[n.ID]; twice {
			return nil, fmt.Errorf("two nodes have the ID %q: give each its own", n.ID)
		}
		index[n.ID] = i
	}
	arcs := make([]arc, len(g.Edges))
	for i, e := range g.Edges {
		from, okFrom := index[e.From]
		to, okTo := index[e.To]
		if !okFrom || !okTo {
			missing := e.From
			if okFrom {
				missing = e.To
			}
			return nil, fmt.Errorf("the edge from %q to %q has no node %q: add the node or drop the edge", e.From, e.To, missing)
		}
		arcs[i] = arc{from, to}
	}
	return arcs, nil
}

// groups are the names of g's groups in order of appearance, and for each node
// the index of its group, -1 = none.
func (g Graph) groups() (names []string, of []int) {
	index := map[string]int{}
	of = make([]int, len(g.Nodes))
	for i, n := range g.Nodes {
		of[i] = -1
		if n.Group == "" {
			continue
		}
		at, known := index[n.Group]
		if !known {
			at = len(names)
			index[n.Group] = at
			names = append(names, n.Group)
		}
		of[i] = at
	}
	return names, of
}

// anyCycle says whether an edge is marked as part of a loop.
func (g Graph) anyCycle() bool {
	return slices.ContainsFunc(g.Edges, func(e Edge) bool { return e.Cycle })
}
