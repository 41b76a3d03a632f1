// Package funcs is the functions that expressions may call. All are pure but
// those that read files, and none gives another value at the next run.
package funcs

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// Absent says why a function that others have is missing here.
var Absent = map[string]string{
	"timestamp": "it would break replay; the manifest records when a run started",
	"uuid":      "it would break replay; seed(\"name\") is a number that is the same at every run",
	"random":    "it would break replay; seed(\"name\") is a number that is the same at every run",
}

// All returns the functions by name. Relative paths are relative to root.
func All(root string) map[string]function.Function {
	all := map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc,
		"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc, "signum": stdlib.SignumFunc,

		"format": stdlib.FormatFunc, "indent": stdlib.IndentFunc, "join": stdlib.JoinFunc, "lower": stdlib.LowerFunc,
		"regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc, "replace": stdlib.ReplaceFunc, "split": stdlib.SplitFunc,
		"substr": stdlib.SubstrFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc,
		"trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc,

		"chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc,
		"contains": stdlib.ContainsFunc, "distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc,
		"keys": stdlib.KeysFunc, "lookup": stdlib.LookupFunc, "merge": stdlib.MergeFunc, "range": stdlib.RangeFunc,
		"reverse": stdlib.ReverseListFunc, "setproduct": stdlib.SetProductFunc, "setunion": stdlib.SetUnionFunc,
		"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,

		"tobool": conversions["tobool"], "tolist": conversions["tolist"], "tomap": conversions["tomap"],
		"tonumber": conversions["tonumber"], "toset": conversions["toset"], "tostring": conversions["tostring"],
		"can": tryfunc.CanFunc, "try": tryfunc.TryFunc,

		"csvdecode": stdlib.CSVDecodeFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
	}
	maps.Copy(all, general)
	maps.Copy(all, domain)
	maps.Copy(all, files(root))
	return all
}

// Names lists the functions, sorted.
func Names() []string { return slices.Sorted(maps.Keys(All("."))) }
