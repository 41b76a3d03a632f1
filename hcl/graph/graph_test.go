package graph_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/graph"
)

var update = flag.Bool("update", false, "write the golden files")

// lab is an experiment of fifteen blocks.
func lab() graph.Graph {
	node := func(kind, name, group string) graph.Node {
		return graph.Node{ID: kind + "." + name, Label: name, Kind: kind, Group: group}
	}
	return graph.Graph{
		Title: "latency.ainur.hcl",
		Nodes: []graph.Node{
			node("experiment", "latency", ""),
			node("sweep", "policies", ""),
			node("load", "mixed", ""),
			node("load", "warmup", ""),
			node("balancer", "lb", ""),
			node("worker", "pool", ""),
			node("function", "short", ""),
			node("function", "long", ""),
			node("host", "ctl", "cluster lab"),
			node("host", "w1", "cluster lab"),
			node("host", "w2", "cluster lab"),
			node("variable", "rate", ""),
			node("variable", "cores", ""),
			node("local", "memory", ""),
			node("assert", "none_failed", ""),
		},
		Edges: []graph.Edge{
			{From: "experiment.latency", To: "sweep.policies"},
			{From: "experiment.latency", To: "load.mixed"},
			{From: "experiment.latency", To: "load.warmup"},
			{From: "experiment.latency", To: "worker.pool"},
			{From: "load.mixed", To: "balancer.lb"},
			{From: "load.mixed", To: "function.short"},
			{From: "load.mixed", To: "function.long"},
			{From: "load.mixed", To: "variable.rate"},
			{From: "load.warmup", To: "balancer.lb"},
			{From: "load.warmup", To: "function.short"},
			{From: "balancer.lb", To: "worker.pool"},
			{From: "balancer.lb", To: "host.ctl"},
			{From: "balancer.lb", To: "sweep.policies"},
			{From: "worker.pool", To: "host.w1"},
			{From: "worker.pool", To: "host.w2"},
			{From: "worker.pool", To: "variable.cores"},
			{From: "worker.pool", To: "sweep.policies"},
			{From: "function.short", To: "local.memory"},
			{From: "function.long", To: "local.memory"},
			{From: "assert.none_failed", To: "load.mixed"},
		},
	}
}

// loops is a small graph with labels, a loop of two nodes, and one of one.
func loops() graph.Graph {
	return graph.Graph{
		Title: "blocks that need each other",
		Nodes: []graph.Node{
			{ID: "load.mixed"},
			{ID: "balancer.lb"},
			{ID: "worker.pool", Group: "cluster lab"},
			{ID: "host.w1", Group: "cluster lab"},
			{ID: "local.a"},
			{ID: "variable.rate"},
		},
		Edges: []graph.Edge{
			{From: "load.mixed", To: "balancer.lb", Label: "target"},
			{From: "load.mixed", To: "variable.rate", Label: "rate"},
			{From: "load.mixed", To: "local.a"},
			{From: "balancer.lb", To: "worker.pool", Label: "workers", Cycle: true},
			{From: "worker.pool", To: "balancer.lb", Label: "policy", Cycle: true},
			{From: "worker.pool", To: "host.w1", Label: "on"},
			{From: "local.a", To: "local.a", Label: "value", Cycle: true},
		},
	}
}

// hostile is a graph whose texts try to break out of every format.
func hostile() graph.Graph {
	const bad = "\"]; end --> <script>alert(1)</script> & #35; \\N \\\" %%{init}%%\n`x`\x00\u202e"
	return graph.Graph{
		Title: bad,
		Nodes: []graph.Node{{ID: bad, Kind: bad, Group: bad}, {ID: `\`, Label: `\`}, {ID: "\xff"}, {ID: ""}},
		Edges: []graph.Edge{{From: bad, To: `\`, Label: bad}, {From: `\`, To: bad, Label: `\`, Cycle: true}, {From: "\xff", To: ""}},
	}
}

func narrow(w io.Writer, g graph.Graph) error { return graph.ASCII(w, g, graph.Terminal{}) }

func broad(w io.Writer, g graph.Graph) error {
	return graph.ASCII(w, g, graph.Terminal{Columns: 160})
}

func plain(w io.Writer, g graph.Graph) error {
	return graph.ASCII(w, g, graph.Terminal{Plain: true})
}

// formats are the functions of the package by the ending of their files.
var formats = map[string]func(io.Writer, graph.Graph) error{
	"dot": graph.DOT, "mmd": graph.Mermaid, "svg": graph.SVG, "txt": narrow, "160.txt": broad, "plain.txt": plain,
}

func TestGolden(t *testing.T) {
	for name, g := range map[string]graph.Graph{"lab": lab(), "loops": loops(), "hostile": hostile(), "empty": {}} {
		for ending, write := range formats {
			t.Run(name+"."+ending, func(t *testing.T) {
				var got bytes.Buffer
				if err := write(&got, g); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join("testdata", name+"."+ending)
				if *update {
					if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got.String()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}
			})
		}
	}
}

func TestTerminalIsKeptTo(t *testing.T) {
	for name, tt := range map[string]struct {
		terminal graph.Terminal
		width    int
	}{
		"80 columns unless told": {graph.Terminal{}, 80},
		"narrow":                 {graph.Terminal{Columns: 79}, 79},
		"7 bits":                 {graph.Terminal{Plain: true}, 80},
		"a broad one is used":    {graph.Terminal{Columns: 160}, 160},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := graph.ASCII(&b, lab(), tt.terminal); err != nil {
				t.Fatal(err)
			}
			for l := range strings.Lines(b.String()) {
				if n := utf8.RuneCountInString(l) - 1; n > tt.width {
					t.Errorf("%d columns, want at most %d: %s", n, tt.width, l)
				}
				if tt.terminal.Plain && strings.ContainsFunc(l, func(r rune) bool { return r > 0x7e }) {
					t.Errorf("not 7-bit: %q", l)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		g    graph.Graph
		want string
	}{
		"an edge to nowhere": {
			graph.Graph{Nodes: []graph.Node{{ID: "a"}}, Edges: []graph.Edge{{From: "a", To: "b"}}},
			`the edge from "a" to "b" has no node "b": add the node or drop the edge`,
		},
		"an edge from nowhere": {
			graph.Graph{Nodes: []graph.Node{{ID: "b"}}, Edges: []graph.Edge{{From: "a", To: "b"}}},
			`the edge from "a" to "b" has no node "a": add the node or drop the edge`,
		},
		"one ID twice": {
			graph.Graph{Nodes: []graph.Node{{ID: "a"}, {ID: "a"}}},
			`two nodes have the ID "a": give each its own`,
		},
	} {
		for ending, write := range formats {
			t.Run(name+" "+ending, func(t *testing.T) {
				if err := write(io.Discard, tt.g); err == nil || err.Error() != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			})
		}
	}
}

// full is a writer without room.
type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrorsAreReturned(t *testing.T) {
	for ending, write := range formats {
		if err := write(full{}, lab()); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v, want %v", ending, err, errFull)
		}
	}
}

func TestCycles(t *testing.T) {
	for name, tt := range map[string]struct {
		edges string // such as ab bc
		want  [][]string
	}{
		"none":                      {"ab bc ac", nil},
		"a node by itself":          {"ab bb", [][]string{{"b"}}},
		"two":                       {"ab ba", [][]string{{"a", "b"}}},
		"in the order of nodes":     {"db bc cd ea ae", [][]string{{"a", "e"}, {"b", "c", "d"}}},
		"loops that share a node":   {"ab ba bc cb", [][]string{{"a", "b", "c"}}},
		"loops one after another":   {"ab ba bc cd dc", [][]string{{"a", "b"}, {"c", "d"}}},
		"an unknown node is not in": {"ab bz za", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var g graph.Graph
			for _, id := range []string{"a", "b", "c", "d", "e"} {
				g.Nodes = append(g.Nodes, graph.Node{ID: id})
			}
			for e := range strings.FieldsSeq(tt.edges) {
				g.Edges = append(g.Edges, graph.Edge{From: e[:1], To: e[1:]})
			}
			if diff := cmp.Diff(tt.want, graph.Cycles(g)); diff != "" {
				t.Errorf("Cycles (-want +got):\n%s", diff)
			}
		})
	}
}

// Two nodes are in one cycle if, and only if, each reaches the other.
func TestCyclesAgreeWithReaching(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "nodes")
		reach := make([][]bool, n)
		var g graph.Graph
		for i := range n {
			reach[i] = make([]bool, n)
			g.Nodes = append(g.Nodes, graph.Node{ID: fmt.Sprint(i)})
		}
		for range rapid.IntRange(0, 14).Draw(t, "edges") {
			from, to := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
			g.Edges = append(g.Edges, graph.Edge{From: fmt.Sprint(from), To: fmt.Sprint(to)})
			reach[from][to] = true
		}
		for k := range n {
			for i := range n {
				for j := range n {
					reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
				}
			}
		}
		var want [][]string
		for i := range n {
			var set []string
			for j := range n {
				if reach[i][j] && reach[j][i] {
					set = append(set, fmt.Sprint(j))
				}
			}
			if len(set) > 0 && set[0] == fmt.Sprint(i) {
				want = append(want, set)
			}
		}
		if diff := cmp.Diff(want, graph.Cycles(g)); diff != "" {
			t.Errorf("Cycles (-want +got):\n%s", diff)
		}
	})
}

func TestSameGraphSameBytes(t *testing.T) {
	for ending, write := range formats {
		var first bytes.Buffer
		if err := write(&first, loops()); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			var again bytes.Buffer
			if err := write(&again, loops()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first.Bytes(), again.Bytes()) {
				t.Fatalf("%s: drawn twice, two drawings", ending)
			}
		}
	}
}

// FuzzTexts puts two texts everywhere and reads back what was written.
func FuzzTexts(f *testing.F) {
	for _, n := range hostile().Nodes {
		f.Add(n.ID, n.Kind)
	}
	f.Add("関数 e\u0301 \U0001f600", "\u2028\r\n\t")
	f.Add("\xed\xa0\x80", "]]>")
	f.Fuzz(func(t *testing.T, a, b string) {
		g := graph.Graph{
			Title: a,
			Nodes: []graph.Node{{ID: a, Kind: b, Group: a}, {ID: a + "x", Label: b, Group: b}, {ID: a + "y", Label: a, Kind: a}},
			Edges: []graph.Edge{{From: a, To: a + "x", Label: a}, {From: a + "x", To: a, Label: b, Cycle: true}, {From: a + "y", To: a + "y", Label: a}},
		}
		out := map[string]string{}
		for ending, write := range formats {
			var buf bytes.Buffer
			if err := write(&buf, g); err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(buf.Bytes()) {
				t.Errorf("%s: not UTF-8", ending)
			}
			out[ending] = buf.String()
		}
		wellFormedSVG(t, out["svg"])
		wellFormedDOT(t, out["dot"], g)
		wellFormedMermaid(t, out["mmd"])
		for i := range len(out["plain.txt"]) {
			if c := out["plain.txt"][i]; c > 0x7e || c < ' ' && c != '\n' {
				t.Fatalf("plain text has the byte %#x", c)
			}
		}
	})
}

// wellFormedSVG wants XML of known elements, each node and edge in it once.
func wellFormedSVG(t *testing.T, s string) {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("SVG: %v\n%s", err, s)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
	for name := range count {
		if !slices.Contains([]string{"svg", "title", "style", "rect", "text", "path", "g"}, name) {
			t.Errorf("SVG has an element %s", name)
		}
	}
	if count["g"] != 6 {
		t.Errorf("SVG has %d groups, want one for each of 3 nodes and 3 edges", count["g"])
	}
}

// wellFormedDOT reads quoted strings as Graphviz does, and wants braces and
// names outside of them as they were meant.
func wellFormedDOT(t *testing.T, s string, g graph.Graph) {
	t.Helper()
	var bare strings.Builder
	names := map[string]bool{}
	for len(s) > 0 {
		if s[0] != '"' {
			bare.WriteByte(s[0])
			s = s[1:]
			continue
		}
		end := 1
		for s[end] != '"' {
			if s[end] == '\\' {
				end++
			}
			end++
		}
		if text := s[:end+1]; strings.HasSuffix(bare.String(), "\n    ") || strings.HasSuffix(bare.String(), "\n  ") {
			names[text] = true
		}
		bare.WriteByte('$')
		s = s[end+1:]
	}
	if len(names) != len(g.Nodes) {
		t.Errorf("DOT has the names %v, want %d", names, len(g.Nodes))
	}
	for l := range strings.Lines(bare.String()) {
		switch l = strings.TrimSpace(l); {
		case l == "digraph {", l == "}", l == "$ [label=$]", l == "$ -> $", l == "$ -> $ [label=$]", l == "$ -> $ [style=$]", l == "$ -> $ [label=$, style=$]":
		case strings.HasPrefix(l, "subgraph cluster_") && strings.HasSuffix(l, " {"):
		case slices.Contains([]string{
			"rankdir=LR", "node [shape=box, style=rounded, fontname=monospace]", "edge [fontname=monospace, fontsize=11]",
			"label=$", "labelloc=t", "fontname=monospace", "labeljust=l", "style=dotted",
		}, l):
		default:
			t.Errorf("DOT has the line %q", l)
		}
	}
}

// wellFormedMermaid wants no quote, bracket or mark in a text that Mermaid
// could take for its own.
func wellFormedMermaid(t *testing.T, s string) {
	t.Helper()
	if rest, ok := strings.CutPrefix(s, "---\n"); ok {
		title, rest, ok := strings.Cut(rest, "\n---\n")
		if !ok || !strings.HasPrefix(title, `title: "`) || strings.Contains(title, "\n") {
			t.Errorf("Mermaid has the front matter %q", title)
		}
		s = rest
	}
	for l := range strings.Lines(s) {
		parts := strings.Split(strings.TrimSpace(l), `"`)
		if len(parts) != 1 && len(parts) != 3 {
			t.Errorf("Mermaid has the line %q", l)
			continue
		}
		if len(parts) == 3 && (parts[1] == "" || strings.ContainsAny(strings.ReplaceAll(parts[1], "<br/>", ""), "<>[]{}`%&\\|")) {
			t.Errorf("Mermaid has the text %q", parts[1])
		}
	}
}

// large is a graph of n nodes and 2n edges: random, from lower to higher.
func large(n int) graph.Graph {
	rng := rand.New(rand.NewPCG(1, 2))
	var g graph.Graph
	for i := range n {
		g.Nodes = append(g.Nodes, graph.Node{ID: fmt.Sprint("node.", i)})
	}
	for range 2 * n {
		from, to := rng.IntN(n), rng.IntN(n)
		g.Edges = append(g.Edges, graph.Edge{From: g.Nodes[min(from, to)].ID, To: g.Nodes[max(from, to)].ID})
	}
	return g
}

// star is a graph of one node with n-1 leaves.
func star(n int) graph.Graph {
	g := large(n)
	g.Edges = nil
	for _, leaf := range g.Nodes[1:] {
		g.Edges = append(g.Edges, graph.Edge{From: g.Nodes[0].ID, To: leaf.ID, Label: "on"})
	}
	return g
}

// chain is a graph of n nodes in a row with n edges more, to far ones.
func chain(n int) graph.Graph {
	g := large(n)
	for i := range n - 1 {
		g.Edges[i] = graph.Edge{From: g.Nodes[i].ID, To: g.Nodes[i+1].ID}
	}
	return g
}

func TestTooLarge(t *testing.T) {
	for ending, write := range formats {
		err := write(io.Discard, chain(4000))
		if laid := ending != "dot" && ending != "mmd"; laid && (err == nil || !strings.HasSuffix(err.Error(), "draw less of it, or write it as DOT")) || !laid && err != nil {
			t.Errorf("%s: got %v", ending, err)
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	for name, g := range map[string]graph.Graph{"lab": lab(), "large": large(1000), "star": star(1000), "chain": chain(1000)} {
		for _, ending := range []string{"svg", "txt"} {
			b.Run(name+"."+ending, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := formats[ending](io.Discard, g); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
