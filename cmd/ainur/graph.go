package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/graph"
	"github.com/ainur-faas/ainur/orchestrator/plan"
)

// graphTypes are what can be drawn.
var graphTypes = []string{"refs", "plan", "topology"}

// graphFlags are those of graph.
type graphFlags struct {
	kind       string
	experiment string
	loops      bool
	plain      bool
}

func (c *cli) graphCommand() *cobra.Command {
	var flags graphFlags
	cmd := &cobra.Command{
		Use:   "graph [PATH]",
		Short: "Draw what refers to what, the order of a run, or the testbed",
		Long: `Draws an experiment:

  refs      which block, local or variable names which; files with mistakes, too
  plan      the points and repeats of a run, in the order they run
  topology  loads, functions, balancer, and workers on their hosts`,
		Example: `  ainur graph
  ainur graph --draw-cycles
  ainur graph --type topology -o svg > topology.svg`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return c.graph(args, flags) },
	}
	c.varFlags(cmd)
	cmd.Flags().StringVar(&flags.kind, "type", "refs", strings.Join(graphTypes, ", "))
	cmd.Flags().StringVar(&flags.experiment, "experiment", "", "the experiment of a plan or topology, where there are several")
	cmd.Flags().BoolVar(&flags.loops, "draw-cycles", false, "draw only the blocks that need each other")
	cmd.Flags().BoolVar(&flags.plain, "ascii", false, "7-bit characters only, as where the locale is not UTF-8")
	return cmd
}

func (c *cli) graph(args []string, flags graphFlags) error {
	if !slices.Contains(graphTypes, flags.kind) {
		return exit(exitUsage, fmt.Errorf("--type is %q, want refs, plan or topology", flags.kind))
	}
	if flags.loops && flags.kind != "refs" {
		return exit(exitUsage, fmt.Errorf("--draw-cycles is for --type refs: a %s has none", flags.kind))
	}
	m, ok := c.load(args, hcl.Options{Facts: localFacts})
	if !ok && flags.kind != "refs" {
		return errSpec
	}
	g := m.References()
	if !ok && len(g.Nodes) == 0 {
		return errSpec
	}
	if flags.kind != "refs" {
		exp, err := c.evaluate(m, flags.experiment, 0)
		if err != nil {
			return err
		}
		if g = hcl.Topology(exp); flags.kind == "plan" {
			var turns []hcl.Turn
			for _, s := range plan.Order(exp) {
				turns = append(turns, hcl.Turn{Point: s.Point, Repeat: s.Repeat})
			}
			g = hcl.Plan(exp, turns)
		}
	}
	if flags.loops {
		if g = hcl.Loops(g); len(g.Nodes) == 0 && c.output == "ascii" {
			fmt.Fprintln(c.stdout, "no block needs itself")
		}
	}
	if err := c.draw(g, flags.plain || !utf8Locale()); err != nil {
		return err
	}
	if !ok {
		return errSpec
	}
	return nil
}

// draw writes g in the form that was asked for.
func (c *cli) draw(g graph.Graph, plain bool) error {
	switch c.output {
	case "json":
		c.data = graphDocument(g)
		return nil
	case "dot":
		return graph.DOT(c.stdout, g)
	case "mermaid":
		return graph.Mermaid(c.stdout, g)
	case "svg":
		return graph.SVG(c.stdout, g)
	}
	return graph.ASCII(c.stdout, g, graph.Terminal{Plain: plain, Columns: columns(c.stdout)})
}

// columns is the width of the terminal, else of COLUMNS, else 0.
func columns(w io.Writer) int {
	if n := width(w); n > 0 {
		return n
	}
	n, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// utf8Locale reports whether the locale says that a terminal shows more than
// 7-bit characters.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(os.Getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// graphData is a graph as JSON.
type graphData struct {
	Title string      `json:"title,omitempty"`
	Nodes []graphNode `json:"nodes"`
	Edges []graphEdge `json:"edges"`
}

type graphNode struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Kind  string `json:"kind,omitempty"`
	Group string `json:"group,omitempty"`
}

type graphEdge struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Label string `json:"label,omitempty"`
	Cycle bool   `json:"cycle"`
}

func graphDocument(g graph.Graph) graphData {
	data := graphData{Title: g.Title, Nodes: []graphNode{}, Edges: []graphEdge{}}
	for _, n := range g.Nodes {
		data.Nodes = append(data.Nodes, graphNode(n))
	}
	for _, e := range g.Edges {
		data.Edges = append(data.Edges, graphEdge(e))
	}
	return data
}
