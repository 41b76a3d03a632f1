package hcl_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/graph"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// edges are those of a graph, a line each; those of a loop are doubled.
func edges(g graph.Graph) []string {
	var all []string
	for _, e := range g.Edges {
		arrow := " -> "
		if e.Cycle {
			arrow = " => "
		}
		line := e.From + arrow + e.To
		if e.Label != "" {
			line += " (" + e.Label + ")"
		}
		all = append(all, line)
	}
	return all
}

func TestReferences(t *testing.T) {
	for name, tt := range map[string]struct {
		src  string
		want []string
	}{
		"minimal": {minimal, []string{
			"worker.w -> cluster.c", "load.l -> worker.w", "load.l -> function.f",
			"experiment.e -> cluster.c", "experiment.e -> worker.w", "experiment.e -> load.l",
		}},
		"a loop": {
			"locals {\n a = local.b\n b = local.c\n c = local.a\n d = local.a\n}",
			[]string{"local.a => local.b", "local.b => local.c", "local.c => local.a", "local.d -> local.a"},
		},
		"itself":   {"locals {\n a = local.a\n}", []string{"local.a => local.a"}},
		"variable": {"variable \"x\" {\n default = 1\n validation {\n condition = var.x > 0\n error_message = \"\"\n}\n}\nlocals {\n a = \"${var.x}\"\n}", []string{"local.a -> var.x"}},
		"any of a kind": {
			"locals {\n a = 1\n b = function[local.a]\n}\nfunction \"f\" {}\nfunction \"g\" {}",
			[]string{"local.b -> local.a", "local.b -> function.f", "local.b -> function.g"},
		},
		"what does not exist":    {"locals {\n a = local.x + worker.y + nothing.z\n}", nil},
		"elements of a for":      {"locals {\n a = [for worker in [1] : worker.x]\n}\nworker \"x\" {}", nil},
		"for_each":               {"locals {\n n = 2\n}\nworker \"w\" {\n for_each = local.n\n}", []string{"worker.w -> local.n"}},
		"elements of a dynamic":  {"cluster \"c\" {\n dynamic \"host\" {\n for_each = local.all\n iterator = worker\n labels = [worker.key]\n content {\n address = worker.w\n port = local.p\n}\n}\n}\nlocals {\n all = []\n p = 1\n}\nworker \"w\" {}", []string{"cluster.c -> local.all", "cluster.c -> local.p"}},
		"keys of a mix":          {"load \"l\" {\n mix = { f = 1, \"g[0]\" = 2, none = 3, (local.k) = 1 }\n}\nfunction \"f\" {}\nfunction \"g\" {}\nlocals {\n k = \"h\"\n}", []string{"load.l -> function.f", "load.l -> function.g", "load.l -> local.k"}},
		"own functions":          {"func \"twice\" {\n params = [worker]\n result = worker * 2\n}\nlocals {\n a = twice(2)\n}\nworker \"w\" {}", []string{"local.a -> func.twice"}},
		"evaluated after blocks": {"cluster \"c\" {\n require \"r\" {\n that = worker.w.cores > 1\n}\n}\nworker \"w\" {\n on = cluster.c\n}", []string{"cluster.c -> worker.w", "worker.w -> cluster.c"}},
		"nested blocks":          {minimal + "locals {\n r = \"1/s\"\n}\nload \"m\" {\n arrival \"poisson\" {\n rate = local.r\n}\n}\n", []string{"load.m -> local.r"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := load(t, tt.src)
			got := edges(m.References())
			if name == "nested blocks" {
				got = got[len(got)-1:]
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("references (-want +got):\n%s", diff)
			}
		})
	}
}

// What Validate reports as a loop is marked in the graph, and nothing else is.
func TestLoops(t *testing.T) {
	m, diags := load(t, "locals {\n a = local.b\n b = local.a\n}\n"+edit(t, "on = cluster.c.host.h", "on = cluster.c.host.h\ncores = local.a"))
	if got, want := errorsOf(all(m, diags)), []string{"these blocks need each other"}; !cmp.Equal(got, want) {
		t.Fatalf("diagnostics are %q, want %q", got, want)
	}
	loops := hcl.Loops(m.References())
	if diff := cmp.Diff([]string{"local.a => local.b", "local.b => local.a"}, edges(loops)); diff != "" {
		t.Errorf("loops (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(loops.Nodes); got != "[{local.a a local } {local.b b local }]" {
		t.Errorf("nodes of the loops are %s", got)
	}
	m, _ = load(t, minimal)
	if g := hcl.Loops(m.References()); len(g.Nodes)+len(g.Edges) > 0 {
		t.Errorf("the minimal experiment has the loops %v", g)
	}
}

// The graph has a loop where evaluation finds one.
func TestLoopsAsEvaluated(t *testing.T) {
	t.Chdir(t.TempDir())
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(r, "locals")
		var src strings.Builder
		src.WriteString("locals {\n")
		for i := range n {
			var terms strings.Builder
			terms.WriteString("1")
			for _, to := range rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, min(2, n), rapid.ID[int]).Draw(r, "refs") {
				terms.WriteString(fmt.Sprintf(" + local.l%d", to))
			}
			src.WriteString(fmt.Sprintf("  l%d = %s\n", i, terms.String()))
		}
		o := options()
		o.Overlay = map[string][]byte{"x.ainur.hcl": []byte(src.String() + "}\n")}
		m, diags := hcl.Load("x.ainur.hcl", o)
		if diags.HasErrors() {
			r.Fatal(diags)
		}
		drawn, found := len(hcl.Loops(m.References()).Edges) > 0, m.Validate().HasErrors()
		if drawn != found {
			r.Fatalf("a loop is drawn: %v, found: %v, in\n%s", drawn, found, src.String())
		}
	})
}

// The graphs of the examples.
func TestExampleGraphs(t *testing.T) {
	for _, name := range []string{"quickstart", "policy-sweep"} {
		m, diags := hcl.Load("../examples/"+name+hcl.Extension, options())
		if diags.HasErrors() {
			t.Fatal(render(t, m, diags))
		}
		exp, diags := m.Experiment("", 0)
		if diags.HasErrors() {
			t.Fatal(render(t, m, diags))
		}
		var turns []hcl.Turn
		for r := range exp.Repeat {
			for p := range exp.Points {
				turns = append(turns, hcl.Turn{Point: p, Repeat: r + 1})
			}
		}
		for kind, g := range map[string]graph.Graph{"refs": m.References(), "topology": hcl.Topology(exp), "plan": hcl.Plan(exp, turns)} {
			t.Run(name+" "+kind, func(t *testing.T) {
				var b strings.Builder
				if err := graph.DOT(&b, g); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join("testdata", "graphs", name+"-"+kind+".dot"), b.String())
			})
		}
	}
}

// workers is an experiment of n workers, each on a host of its own.
func workers(n int) *spec.Experiment {
	p := spec.Point{Balancer: &spec.Balancer{Name: "lb", Host: "ctl", Policy: spec.Named{Name: "random"}}}
	for i := range n {
		name := fmt.Sprintf("w%d", i)
		p.Workers = append(p.Workers, spec.Worker{Name: name, Host: "h" + name, MilliCPU: 2000, Memory: spec.GiB})
		p.Balancer.Workers = append(p.Balancer.Workers, name)
	}
	p.Loads = []spec.Load{{Name: "l", Target: "lb", Phases: []spec.Phase{{Record: true, Arrival: spec.Arrival{Model: "closed", Clients: 8}}}}}
	return &spec.Experiment{Name: "e", Points: []spec.Point{p}, Repeat: 1, Order: "interleaved"}
}

func TestTopology(t *testing.T) {
	describe := func(g graph.Graph) (all []string) {
		for _, n := range g.Nodes {
			all = append(all, fmt.Sprintf("%s %s @%s", n.ID, strings.ReplaceAll(n.Label, "\n", ", "), n.Group))
		}
		return append(all, edges(g)...)
	}
	many := workers(1000)
	for i := range 20 {
		name := fmt.Sprintf("f%d", i)
		many.Points[0].Functions = append(many.Points[0].Functions, spec.Function{Name: name, Builtin: "busy", Memory: spec.MiB})
		many.Points[0].Loads[0].Mix = append(many.Points[0].Loads[0].Mix, spec.Weight{Function: name, Weight: 0.05})
	}
	uneven := workers(6)
	uneven.Points[0].Workers[1].Memory = 2 * spec.GiB
	for i := range uneven.Points[0].Workers {
		uneven.Points[0].Workers[i].Host = "one"
	}
	for name, tt := range map[string]struct {
		exp  *spec.Experiment
		want []string
	}{
		"three workers": {workers(3), []string{
			"load.l l, closed, 8 clients @", "balancer.lb lb, random @host ctl",
			"worker.w0 w0, 2 cores, 1 GiB @host hw0", "worker.w1 w1, 2 cores, 1 GiB @host hw1", "worker.w2 w2, 2 cores, 1 GiB @host hw2",
			"load.l -> balancer.lb", "balancer.lb -> worker.w0", "balancer.lb -> worker.w1", "balancer.lb -> worker.w2",
		}},
		"a thousand equal workers, twenty functions": {many, []string{
			"load.l l, closed, 8 clients @", "balancer.lb lb, random @host ctl",
			"worker.w0 w0, 2 cores, 1 GiB @host hw0", "worker.w1 and more 999 more, on 999 hosts @",
			"function.f0 f0, builtin busy, 1 MiB @", "function.f1 f1, builtin busy, 1 MiB @", "function.f2 f2, builtin busy, 1 MiB @", "function and more 17 more @",
			"load.l -> balancer.lb", "balancer.lb -> worker.w0", "balancer.lb -> worker.w1 and more",
			"load.l -> function.f0 (5 %)", "load.l -> function.f1 (5 %)", "load.l -> function and more", "load.l -> function.f2 (5 %)",
		}},
		"one that differs": {uneven, []string{
			"load.l l, closed, 8 clients @", "balancer.lb lb, random @host ctl",
			"worker.w0 w0, 2 cores, 1 GiB @host one", "worker.w2 and more 4 more @host one", "worker.w1 w1, 2 cores, 2 GiB @host one",
			"load.l -> balancer.lb", "balancer.lb -> worker.w0", "balancer.lb -> worker.w1", "balancer.lb -> worker.w2 and more",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, describe(hcl.Topology(tt.exp))); diff != "" {
				t.Errorf("topology (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanGraph(t *testing.T) {
	exp := func(points, repeats int, order string) *spec.Experiment {
		e := &spec.Experiment{Name: "e", Repeat: repeats, Order: order}
		for i := range points {
			p := spec.Point{ID: fmt.Sprintf("p%d", i)}
			if points > 1 {
				p.Axes = []spec.AxisValue{{Name: "n", Value: fmt.Append(nil, i)}}
			}
			e.Points = append(e.Points, p)
		}
		return e
	}
	for name, tt := range map[string]struct {
		exp  *spec.Experiment
		want string
	}{
		"one point":              {exp(1, 2, "interleaved"), "e: 1 point, 2 repeats | e > repeat 1 > repeat 2"},
		"one repeat":             {exp(2, 1, "interleaved"), "e: 2 points, 1 repeat of each, interleaved | e > n=0 > n=1"},
		"interleaved":            {exp(2, 2, "interleaved"), "e: 2 points, 2 repeats of each, interleaved | e > n=0 @repeat 1 > n=1 @repeat 1 > n=0 @repeat 2 > n=1 @repeat 2"},
		"nested":                 {exp(2, 2, "nested"), "e: 2 points, 2 repeats of each, nested | e > repeat 1 @n=0 > repeat 2 @n=0 > repeat 1 @n=1 > repeat 2 @n=1"},
		"random":                 {exp(2, 2, "random"), "e: 2 points, 2 repeats of each, random | e > n=0 > n=1 > n=0 > n=1"},
		"many repeats":           {exp(1, 100, "interleaved"), "e: 1 point, 100 repeats | e > repeat 1 > repeat 2 > repeat 3 > repeat 4 > 95 more > repeat 100"},
		"many points and rounds": {exp(1000, 10, "interleaved"), "e: 1000 points, 10 repeats of each, interleaved | e > n=0 @repeat 1 > n=1 @repeat 1 > n=2 @repeat 1 > n=3 @repeat 1 > 995 more @repeat 1 > n=999 @repeat 1 > 8 more > n=0 @repeat 10 > n=1 @repeat 10 > n=2 @repeat 10 > n=3 @repeat 10 > 995 more @repeat 10 > n=999 @repeat 10"},
	} {
		t.Run(name, func(t *testing.T) {
			var turns []hcl.Turn
			outer, inner := tt.exp.Repeat, len(tt.exp.Points)
			if tt.exp.Order == "nested" {
				outer, inner = inner, outer
			}
			for i := range outer {
				for j := range inner {
					turn := hcl.Turn{Point: j, Repeat: i + 1}
					if tt.exp.Order == "nested" {
						turn = hcl.Turn{Point: i, Repeat: j + 1}
					}
					turns = append(turns, turn)
				}
			}
			g := hcl.Plan(tt.exp, turns)
			var boxes []string
			for _, n := range g.Nodes {
				box := n.Label
				if n.Group != "" {
					box += " @" + n.Group
				}
				boxes = append(boxes, box)
			}
			if got := g.Title + " | " + strings.Join(boxes, " > "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			var b strings.Builder
			if err := graph.ASCII(&b, g, graph.Terminal{}); err != nil {
				t.Error(err) // such as two nodes of one ID
			}
		})
	}
}

// A file of many blocks is read in a moment.
func TestReferencesOfManyBlocks(t *testing.T) {
	var b strings.Builder
	b.WriteString("locals {\n l0 = 1\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "  l%d = local.l%d\n", i+1, i)
	}
	b.WriteString("}\n")
	m, _ := load(t, b.String())
	start := time.Now()
	if got := len(m.References().Edges); got != 3000 {
		t.Errorf("%d edges, want 3000", got)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}
