// Package funcs is the functions that expressions may call. All are pure but
// those that read files, and none gives another value at the next run.
package funcs

import (
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty/function"
)

// Options say what the functions count from.
type Options struct {
	Root string            // folder that relative paths start from
	Lock map[string]string // digest of each pinned image, by reference; nil: no image is pinned
}

// Absent says why a function that others have is missing here, and what to use.
var Absent = map[string]string{
	"timestamp": "it would break replay; run.started_at is when a run started",
	"uuid":      "it would break replay; run.id names a run, and seed(\"name\") is the same at every run",
	"random":    "it would break replay; seed(\"name\") is a number that is the same at every run",
}

// All returns the functions by name. Relative paths are relative to root, and
// no image is pinned.
func All(root string) map[string]function.Function { return With(Options{Root: root}) }

// With returns the functions by name. env is not among them: see Env.
func With(o Options) map[string]function.Function {
	all := map[string]function.Function{}
	for _, g := range groups(o) {
		for _, e := range g.entries {
			all[e.Name] = e.function()
		}
	}
	return all
}

// Names lists the functions, sorted.
func Names() []string { return slices.Sorted(maps.Keys(All("."))) }

// group is functions that belong together.
type group struct {
	title   string
	entries []entry
}

// groups are all the functions but env, in the order of the documentation.
func groups(o Options) []group {
	return []group{
		{"Units", unitFunctions},
		{"Numbers", numberFunctions},
		{"Sequences", sequenceFunctions},
		{"Statistics", statisticFunctions},
		{"Results", resultFunctions},
		{"Names and seeds", nameFunctions(o.Lock)},
		{"Text", textFunctions},
		{"Collections", collectionFunctions},
		{"Types", typeFunctions},
		{"Encoding", encodingFunctions},
		{"Files", fileFunctions(o)},
		{"Network", networkFunctions},
	}
}
