package graph_test

import (
	"fmt"
	"os"

	"github.com/ainur-faas/ainur/hcl/graph"
)

func ExampleASCII() {
	g := graph.Graph{
		Title: "two workers",
		Nodes: []graph.Node{
			{ID: "load.mixed"},
			{ID: "balancer.lb"},
			{ID: "w1", Kind: "host", Group: "lab"},
			{ID: "w2", Kind: "host", Group: "lab"},
		},
		Edges: []graph.Edge{
			{From: "load.mixed", To: "balancer.lb"},
			{From: "balancer.lb", To: "w1"},
			{From: "balancer.lb", To: "w2"},
		},
	}
	if err := graph.ASCII(os.Stdout, g, graph.Terminal{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// two workers
	//
	//                                    ╭ lab ┄┄┄┄┄┄╮
	//                                    ┆  ┌─host─┐ ┆
	//                                  ┌───▶│  w1  │ ┆
	// ┌────────────┐   ┌─────────────┐ │ ┆  └──────┘ ┆
	// │ load.mixed ├──▶│ balancer.lb ├─┤ ┆           ┆
	// └────────────┘   └─────────────┘ │ ┆  ┌─host─┐ ┆
	//                                  └───▶│  w2  │ ┆
	//                                    ┆  └──────┘ ┆
	//                                    ╰┄┄┄┄┄┄┄┄┄┄┄╯
}
