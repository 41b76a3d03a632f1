package graph

import "strings"

// texts are what a drawing says, cut to the room it has.
type texts struct {
	labels   [][]string // lines of each node
	kinds    []string   // over each node
	says     []string   // the labels of each node's edges to itself
	captions []string   // of each edge
	titles   []string   // of each group
}

// newTexts cuts the texts of p to room columns, titles of groups to twice that.
func newTexts(p *plan, room int) texts {
	var t texts
	for _, n := range p.Nodes {
		t.labels = append(t.labels, wrap(n.label(), room, 4))
		t.kinds = append(t.kinds, wrap(n.kind(), room, 1)[0])
	}
	for _, e := range p.Edges {
		t.captions = append(t.captions, wrap(line(e.Label), room, 1)[0])
	}
	for _, loops := range p.loops {
		var said []string
		for _, e := range loops {
			if t.captions[e] != "" {
				said = append(said, t.captions[e])
			}
		}
		t.says = append(t.says, strings.Join(said, ", "))
	}
	for _, name := range p.groups {
		t.titles = append(t.titles, wrap(line(name), 2*room, 1)[0])
	}
	return t
}
