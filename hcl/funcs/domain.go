package funcs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/hcl/units"
	"github.com/ainur-faas/ainur/internal/stream"
)

// maxList bounds the lists that functions make.
const maxList = 100_000

var numbers = []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}}

// domain are the functions of experiments: units, sequences, hosts, seeds, statistics.
var domain = map[string]function.Function{
	"seconds": unit("The seconds of a duration such as \"20ms\".", func(s string) (float64, error) {
		d, err := units.Duration(s)
		return d.Seconds(), err
	}),
	"bytes": unit("The bytes of a size such as \"1.5GiB\".", func(s string) (float64, error) {
		n, err := units.Bytes(s)
		return float64(n), err
	}),
	"rate": unit("The events per second of a rate such as \"10/m\".", units.Rate),
	"duration": simple("The seconds of a number and a unit: duration(1.5, \"m\") is 90.", cty.Number,
		[]function.Parameter{{Name: "number", Type: cty.Number}, {Name: "unit", Type: cty.String}},
		func(args []cty.Value) (cty.Value, error) {
			d, err := units.Duration(decimal(args[0]) + args[1].AsString())
			return Number(d.Seconds()), err
		}),
	"linspace": simple("n numbers from a to b, evenly spaced.", cty.List(cty.Number),
		[]function.Parameter{{Name: "a", Type: cty.Number}, {Name: "b", Type: cty.Number}, {Name: "n", Type: cty.Number}},
		func(args []cty.Value) (cty.Value, error) {
			n, _ := args[2].AsBigFloat().Int64()
			if n < 1 || n > maxList || !args[2].RawEquals(cty.NumberIntVal(n)) {
				return cty.NilVal, function.NewArgErrorf(2, "want a whole number from 1 to %d", maxList)
			}
			list := []cty.Value{args[0]}
			for i := int64(1); i < n; i++ {
				step := args[1].Subtract(args[0]).Multiply(cty.NumberIntVal(i)).Divide(cty.NumberIntVal(n - 1))
				list = append(list, args[0].Add(step))
			}
			return cty.ListVal(list), nil
		}),
	"hostlist": simple("The names of a Slurm host list: hostlist(\"node[01-03,7]\") is node01, node02, node03, node7.", cty.List(cty.String),
		[]function.Parameter{{Name: "list", Type: cty.String}},
		func(args []cty.Value) (cty.Value, error) {
			names, err := hostlist(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			var list []cty.Value
			for _, n := range names {
				list = append(list, cty.StringVal(n))
			}
			return cty.ListVal(list), nil
		}),
	"seed": simple("A number that is the same at every run, one for each name.", cty.Number,
		[]function.Parameter{{Name: "name", Type: cty.String}},
		func(args []cty.Value) (cty.Value, error) {
			return cty.NumberUIntVal(stream.Derive(0, args[0].AsString()) >> 11), nil // 53 bits: exact in JSON
		}),
	"hash": simple("The SHA-256, in hex, of a value as JSON.", cty.String, []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}},
		func(args []cty.Value) (cty.Value, error) {
			b, err := ctyjson.Marshal(args[0], args[0].Type())
			sum := sha256.Sum256(b)
			return cty.StringVal(hex.EncodeToString(sum[:])), err
		}),
	"quantile": simple("The q-quantile of a list, interpolated linearly (R type 7).", cty.Number,
		append(slices.Clone(numbers), function.Parameter{Name: "q", Type: cty.Number}),
		func(args []cty.Value) (cty.Value, error) {
			q, _ := args[1].AsBigFloat().Float64()
			if q < 0 || q > 1 {
				return cty.NilVal, function.NewArgErrorf(1, "want a number from 0 to 1, got %g", q)
			}
			return statistic(args[0], func(xs []float64) float64 { return quantile(xs, q) })
		}),
	"mean": simple("The arithmetic mean of a list.", cty.Number, numbers, func(args []cty.Value) (cty.Value, error) {
		return statistic(args[0], func(xs []float64) float64 {
			sum := 0.0
			for _, x := range xs {
				sum += x
			}
			return sum / float64(len(xs))
		})
	}),
	"median": simple("The middle of a list.", cty.Number, numbers, func(args []cty.Value) (cty.Value, error) {
		return statistic(args[0], func(xs []float64) float64 { return quantile(xs, 0.5) })
	}),
}

// unit is a function from text with a unit to a number.
func unit(doc string, parse func(string) (float64, error)) function.Function {
	return simple(doc, cty.Number, []function.Parameter{{Name: "text", Type: cty.String}}, func(args []cty.Value) (cty.Value, error) {
		f, err := parse(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return Number(f), nil
	})
}

// statistic applies f to a sorted list that is not empty.
func statistic(list cty.Value, f func([]float64) float64) (cty.Value, error) {
	var xs []float64
	for _, v := range list.Elements() {
		if v.IsNull() {
			return cty.NilVal, function.NewArgErrorf(0, "the list holds a null")
		}
		x, _ := v.AsBigFloat().Float64()
		xs = append(xs, x)
	}
	if len(xs) == 0 {
		return cty.NilVal, function.NewArgErrorf(0, "the list is empty")
	}
	slices.Sort(xs)
	y := f(xs)
	if math.IsInf(y, 0) {
		return cty.NilVal, function.NewArgErrorf(0, "the numbers are too large")
	}
	return Number(y), nil
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + float64((at-float64(low))*(sorted[high]-sorted[low]))
}

// hostlist expands every [..] of s, left to right. A number keeps its zeros.
func hostlist(s string) ([]string, error) {
	before, rest, ok := strings.Cut(s, "[")
	if !ok {
		if strings.Contains(s, "]") {
			return nil, fmt.Errorf("%q closes a bracket it did not open", s)
		}
		return []string{s}, nil
	}
	inside, after, ok := strings.Cut(rest, "]")
	if !ok {
		return nil, fmt.Errorf("%q does not close its bracket", s)
	}
	tails, err := hostlist(after)
	if err != nil {
		return nil, err
	}
	var names []string
	for part := range strings.SplitSeq(inside, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		low, err1 := strconv.ParseUint(from, 10, 31)
		high, err2 := strconv.ParseUint(to, 10, 31)
		if err1 != nil || err2 != nil || high < low || (high-low+1)*uint64(len(tails)) > maxList-uint64(len(names)) {
			return nil, fmt.Errorf("%q is not a range of host numbers such as 01-16", part)
		}
		for n := low; n <= high; n++ {
			for _, tail := range tails {
				names = append(names, fmt.Sprintf("%s%0*d%s", before, len(from), n, tail))
			}
		}
	}
	return names, nil
}
