package hcl

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ainur-faas/ainur/hcl/graph"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

// How many of a kind Topology and Plan draw before they fold the rest into one node.
const (
	mostWorkers   = 4 // of those that are equal
	mostFunctions = 6
	mostRounds    = 3
	mostTurns     = 6
)

// Topology is what the first point of an experiment is made of: the loads, the
// functions they call, the balancer, and the workers on their hosts.
func Topology(exp *spec.Experiment) graph.Graph {
	p := exp.Points[0]
	t := topology{nodes: map[string]string{}}
	t.g.Title = exp.Name
	if len(exp.Points) > 1 {
		t.g.Title = fmt.Sprintf("%s at %s, the first of %d points", exp.Name, PointText(p, ", "), len(exp.Points))
	}
	for _, l := range p.Loads {
		t.node("load", l.Name, "", l.Name+"\n"+arrivals(l))
	}
	if b := p.Balancer; b != nil {
		t.node("balancer", b.Name, "host "+b.Host, b.Name+"\n"+b.Policy.Name)
	}
	t.workers(p.Workers)
	t.functions(p.Functions)
	for _, l := range p.Loads {
		to := "worker." + l.Target
		if p.Balancer != nil && p.Balancer.Name == l.Target {
			to = "balancer." + l.Target
		}
		t.edge("load."+l.Name, to, "")
	}
	if b := p.Balancer; b != nil {
		for _, name := range b.Workers {
			t.edge("balancer."+b.Name, "worker."+name, "")
		}
	}
	for _, l := range p.Loads {
		for _, name := range functionsOf(l) {
			t.edge("load."+l.Name, "function."+name, share(l, name))
		}
	}
	return t.g
}

type topology struct {
	g     graph.Graph
	nodes map[string]string // worker.w17 -> the node it is drawn as
}

func (t *topology) node(kind, name, group, label string) {
	id := kind + "." + name
	t.nodes[id] = id
	t.g.Nodes = append(t.g.Nodes, graph.Node{ID: id, Label: label, Kind: kind, Group: group})
}

// edge joins two nodes, once, as they are drawn. What an edge to several says
// of one is left out.
func (t *topology) edge(from, to, label string) {
	from, drawn := t.nodes[from], t.nodes[to]
	if from == "" || drawn == "" {
		return
	}
	if drawn != to {
		label = ""
	}
	for _, e := range t.g.Edges {
		if e.From == from && e.To == drawn {
			return
		}
	}
	t.g.Edges = append(t.g.Edges, graph.Edge{From: from, To: drawn, Label: label})
}

// workers draws the workers on their hosts, and of many that are equal the first.
func (t *topology) workers(all []spec.Worker) {
	equal := map[string][]spec.Worker{}
	key := func(w spec.Worker) string {
		w.Name, w.Host = "", ""
		b, err := json.Marshal(w)
		if err != nil {
			panic(err) // plain data
		}
		return string(b)
	}
	for _, w := range all {
		equal[key(w)] = append(equal[key(w)], w)
	}
	for _, w := range all {
		same := equal[key(w)]
		first := same[0].Name == w.Name
		if len(same) <= mostWorkers || first {
			t.node("worker", w.Name, "host "+w.Host, fmt.Sprintf("%s\n%g cores, %s", w.Name, float64(w.MilliCPU)/1000, units.FormatBytes(w.Memory)))
		}
		if len(same) > mostWorkers && first {
			t.more(same[1:])
		}
	}
}

// more draws workers as one node.
func (t *topology) more(workers []spec.Worker) {
	id := "worker." + workers[0].Name
	hosts := map[string]bool{}
	for _, w := range workers {
		hosts[w.Host] = true
		t.nodes["worker."+w.Name] = id + " and more"
	}
	n := graph.Node{ID: id + " and more", Label: fmt.Sprintf("%d more", len(workers)), Kind: "worker"}
	if len(hosts) == 1 {
		n.Group = "host " + workers[0].Host
	} else {
		n.Label += fmt.Sprintf("\non %d hosts", len(hosts))
	}
	t.g.Nodes = append(t.g.Nodes, n)
}

func (t *topology) functions(all []spec.Function) {
	shown := len(all)
	if shown > mostFunctions {
		shown = mostFunctions / 2
	}
	for _, f := range all[:shown] {
		kind := f.Runtime + f.Image
		if f.Builtin != "" {
			kind = "builtin " + f.Builtin
		}
		t.node("function", f.Name, "", fmt.Sprintf("%s\n%s, %s", f.Name, kind, units.FormatBytes(f.Memory)))
	}
	if shown == len(all) {
		return
	}
	id := "function and more"
	for _, f := range all[shown:] {
		t.nodes["function."+f.Name] = id
	}
	t.g.Nodes = append(t.g.Nodes, graph.Node{ID: id, Label: fmt.Sprintf("%d more", len(all)-shown), Kind: "function"})
}

// share is the part of a load's calls that go to a function: "25 %", "" when
// it is not the same throughout, or all.
func share(l spec.Load, function string) string {
	for _, p := range l.Phases {
		if len(p.Mix) > 0 {
			return ""
		}
	}
	for _, w := range l.Mix {
		if w.Function == function && w.Weight < 1 {
			return fmt.Sprintf("%.3g %%", w.Weight*100)
		}
	}
	return ""
}

// arrivals says how the calls of a load arrive.
func arrivals(l spec.Load) string {
	var recorded []spec.Phase
	for _, p := range l.Phases {
		if p.Record {
			recorded = append(recorded, p)
		}
	}
	if len(recorded) != 1 {
		return several(len(recorded), "phase")
	}
	a := recorded[0].Arrival
	switch {
	case a.Trace != nil:
		return "trace " + a.Trace.Name
	case a.Clients > 0:
		return "closed, " + several(a.Clients, "client")
	case a.RatePerSecond > 0:
		return fmt.Sprintf("%s %.6g/s", a.Model, a.RatePerSecond)
	case a.FromPerSecond > 0 || a.ToPerSecond > 0:
		return fmt.Sprintf("%s %.6g/s to %.6g/s", a.Model, a.FromPerSecond, a.ToPerSecond)
	}
	return a.Model
}

// PointText names a point by its axes: queue=fcfs, rate=10. It is
// "" without a sweep.
func PointText(p spec.Point, between string) string {
	var parts []string
	for _, a := range p.Axes {
		text := string(a.Value)
		var s string
		if json.Unmarshal(a.Value, &s) == nil {
			text = s
		}
		parts = append(parts, a.Name+"="+text)
	}
	return strings.Join(parts, between)
}

// several is a number of things: "1 point", "2 points".
func several(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// Turn is one repeat of one point.
type Turn struct {
	Point  int // index into Experiment.Points
	Repeat int // from 1
}

// Plan is the turns of an experiment one after the other.
func Plan(exp *spec.Experiment, turns []Turn) graph.Graph {
	title := fmt.Sprintf("%s: %s, %s", exp.Name, several(len(exp.Points), "point"), several(exp.Repeat, "repeat"))
	if len(exp.Points) > 1 {
		title += " of each, " + exp.Order
	}
	c := chain{g: graph.Graph{Title: title}}
	c.add(graph.Node{ID: "experiment." + exp.Name, Label: exp.Name, Kind: "experiment"})
	rounds := roundsOf(exp, turns)
	for i, round := range rounds {
		if hidden := len(rounds) - 2; len(rounds) > mostRounds && i > 0 && i <= hidden {
			if i == 1 {
				c.add(graph.Node{ID: "rounds and more", Label: fmt.Sprintf("%d more", hidden), Kind: round.kind})
			}
			continue
		}
		c.round(exp, round)
	}
	return c.g
}

// round is turns that belong together: of one repeat, of one point, or all.
type round struct {
	name  string
	kind  string // of what the rounds are
	turns []Turn
}

func roundsOf(exp *spec.Experiment, turns []Turn) (rounds []round) {
	of := func(t Turn) (name, kind string) {
		switch {
		case len(exp.Points) == 1 || exp.Repeat == 1:
			return "", ""
		case exp.Order == "interleaved":
			return fmt.Sprintf("repeat %d", t.Repeat), "repeat"
		case exp.Order == "nested":
			return PointText(exp.Points[t.Point], ", "), "point"
		}
		return "", ""
	}
	for _, t := range turns {
		name, kind := of(t)
		if len(rounds) == 0 || rounds[len(rounds)-1].name != name {
			rounds = append(rounds, round{name: name, kind: kind})
		}
		last := &rounds[len(rounds)-1]
		last.turns = append(last.turns, t)
	}
	return rounds
}

// chain is nodes that each lead to the next.
type chain struct{ g graph.Graph }

func (c *chain) add(n graph.Node) {
	if last := len(c.g.Nodes) - 1; last >= 0 {
		c.g.Edges = append(c.g.Edges, graph.Edge{From: c.g.Nodes[last].ID, To: n.ID})
	}
	c.g.Nodes = append(c.g.Nodes, n)
}

func (c *chain) round(exp *spec.Experiment, r round) {
	hidden := len(r.turns) - mostTurns + 1
	for i, t := range r.turns {
		if len(r.turns) > mostTurns && i >= mostTurns-2 && i < mostTurns-2+hidden {
			if i == mostTurns-2 {
				c.add(graph.Node{ID: r.name + " and more", Label: fmt.Sprintf("%d more", hidden), Group: r.name})
			}
			continue
		}
		point, repeat := PointText(exp.Points[t.Point], "\n"), fmt.Sprintf("repeat %d", t.Repeat)
		n := graph.Node{ID: fmt.Sprintf("%s repeat %d", exp.Points[t.Point].ID, t.Repeat), Group: r.name}
		switch {
		case r.kind == "repeat", exp.Repeat == 1 && point != "":
			n.Kind, n.Label = "point", point
		case r.kind == "point", len(exp.Points) == 1:
			n.Label = repeat
		default:
			n.Kind, n.Label = repeat, point
		}
		c.add(n)
	}
}
