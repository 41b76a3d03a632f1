package hcl

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// checkIsolation finds functions that the isolation of some worker does not run.
// Instances are those of the point's workers, places those of its functions.
func (b *builder) checkIsolation(p spec.Point, instances []*instance, places []hcl.Range) {
	for i, w := range p.Workers {
		for j, f := range p.Functions {
			why, help := unfit(f, w)
			if why == "" {
				continue
			}
			b.report(diag.Problem{
				ID: "AIN1606", Summary: fmt.Sprintf("function %q cannot run on worker %s: %s", f.Name, w.Name, why), At: &places[j],
				Related: []diag.Related{{At: instances[i].Range, Label: "the worker is declared here"}},
				Notes:   []diag.Note{diag.Help("%s", help)},
			})
			return // the next ones most likely are the same
		}
	}
}

// unfit is why a worker's isolation does not run a function, and the way out; "" when it does.
func unfit(f spec.Function, w spec.Worker) (why, help string) {
	wasm := f.Runtime == "wasm"
	switch {
	case wasm != (w.Isolation == "wasm"):
		return "isolation \"wasm\" and runtime \"wasm\" go together", "give the worker isolation = \"wasm\" and the function runtime = \"wasm\", or neither"
	case f.Image != "" && w.Isolation == "process":
		return "isolation \"process\" runs code, on a base image or none", "give the worker isolation = \"containerd\" or \"docker\", or the function runtime, source and base"
	case f.Server == "http" && w.Container.Network != "" && w.Container.Network != "bridge":
		return "server = \"http\" is reached over a network", "write network = \"bridge\" in the worker's container block, or leave it out"
	case f.Server != "" && f.Image == "":
		return "server is the protocol of an image", "give the function an image, or leave out server"
	default:
		return "", ""
	}
}
