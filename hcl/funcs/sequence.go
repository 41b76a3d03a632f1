package funcs

import (
	"errors"
	"math"
	"math/big"
	"strconv"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var sequenceFunctions = []entry{
	{Doc: Doc{
		Name: "range", Signature: "range(end), range(start, end), range(start, end, step)",
		Summary: "The numbers from start, 0 without one, up to end but not end itself.",
		Params:  []Param{{"numbers", "end; or start and end; or start, end and step"}},
		Example: `range(1, 7, 2)`, Result: `[1, 3, 5]`,
	}, fn: variadic(cty.List(cty.Number), steps, cty.Number)},
	{Doc: Doc{
		Name: "linspace", Summary: "n numbers from a to b, evenly spaced.",
		Params:  []Param{{"a", "the first"}, {"b", "the last"}, {"n", "how many"}},
		Example: `linspace(1, 2, 3)`, Result: `[1, 1.5, 2]`,
	}, fn: static(cty.List(cty.Number), func(args []cty.Value) (cty.Value, error) {
		return spaced(args, func(at cty.Value) (cty.Value, error) { return at, nil })
	}, cty.Number, cty.Number, cty.Number)},
	{Doc: Doc{
		Name: "logspace", Summary: "n powers of 10, whose exponents go from a to b and are evenly spaced.",
		Params:  []Param{{"a", "the first exponent"}, {"b", "the last exponent"}, {"n", "how many"}},
		Example: `logspace(0, 3, 4)`, Result: `[1, 10, 100, 1000]`,
	}, fn: static(cty.List(cty.Number), func(args []cty.Value) (cty.Value, error) {
		return spaced(args, func(at cty.Value) (cty.Value, error) { return pow(cty.NumberIntVal(10), at) })
	}, cty.Number, cty.Number, cty.Number)},
	{Doc: Doc{
		Name: "geomspace", Summary: "n numbers from a to b, each the same multiple of the one before.",
		Params:  []Param{{"a", "the first; not 0"}, {"b", "the last; of the sign of a"}, {"n", "how many"}},
		Example: `geomspace(1, 8, 4)`, Result: `[1, 2, 4, 8]`,
	}, fn: static(cty.List(cty.Number), geometric, cty.Number, cty.Number, cty.Number)},
	{Doc: Doc{
		Name: "powers", Summary: "The powers of a base whose exponents are the whole numbers from first to last.",
		Params:  []Param{{"base", "any number"}, {"first", "the first exponent"}, {"last", "the last exponent"}},
		Example: `powers(2, 0, 4)`, Result: `[1, 2, 4, 8, 16]`,
	}, fn: static(cty.List(cty.Number), powers, cty.Number, cty.Number, cty.Number)},
	{Doc: Doc{
		Name: "zipf", Summary: "n weights that sum to 1, the k-th of them proportional to 1/k^s.",
		Params:  []Param{{"n", "how many"}, {"s", "how uneven: 0 makes all the same, 1 is Zipf's law"}},
		Example: `[for w in zipf(3, 1) : floor(w * 1000)]`, Result: `[545, 272, 181]`,
	}, fn: static(cty.List(cty.Number), zipf, cty.Number, cty.Number)},
}

// steps is the function range.
func steps(args []cty.Value) (cty.Value, error) {
	if len(args) < 1 || len(args) > 3 {
		return cty.NilVal, errors.New("want one to three numbers")
	}
	start, end, step := cty.Zero, args[0], cty.NumberIntVal(1)
	if len(args) > 1 {
		start, end = args[0], args[1]
	}
	from, to := start.AsBigFloat(), end.AsBigFloat()
	down := to.Cmp(from) < 0
	switch {
	case len(args) == 3:
		step = args[2]
	case down:
		step = step.Negate()
	}
	by := step.AsBigFloat()
	if from.Cmp(to) != 0 && (by.Sign() == 0 || down != (by.Sign() < 0)) {
		return cty.NilVal, function.NewArgErrorf(len(args)-1, "the step does not lead from the start to the end")
	}
	var list []cty.Value
	for at := from; at.Cmp(to) != 0 && (at.Cmp(to) > 0) == down; at = new(big.Float).Add(at, by) {
		if len(list) == maxList {
			return cty.NilVal, errList
		}
		list = append(list, cty.NumberVal(at))
	}
	return numberList(list), nil
}

func numberList(list []cty.Value) cty.Value {
	if len(list) == 0 {
		return cty.ListValEmpty(cty.Number)
	}
	return cty.ListVal(list)
}

// spaced is f of args[2] numbers from args[0] to args[1], evenly spaced.
func spaced(args []cty.Value, f func(cty.Value) (cty.Value, error)) (cty.Value, error) {
	n, err := wholeArg(args, 2, 1, maxList)
	if err != nil {
		return cty.NilVal, err
	}
	var list []cty.Value
	for i := range int64(n) {
		at := args[0]
		switch {
		case i > 0 && i == int64(n)-1:
			at = args[1]
		case i > 0:
			at = at.Add(args[1].Subtract(at).Multiply(cty.NumberIntVal(i)).Divide(cty.NumberIntVal(int64(n) - 1)))
		}
		v, err := f(at)
		if err != nil {
			return cty.NilVal, errors.New("the numbers are too large")
		}
		list = append(list, v)
	}
	return cty.ListVal(list), nil
}

func geometric(args []cty.Value) (cty.Value, error) {
	n, err := wholeArg(args, 2, 1, maxList)
	if err != nil {
		return cty.NilVal, err
	}
	a, err := float(args[0])
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	b, err := float(args[1])
	if err != nil {
		return cty.NilVal, function.NewArgError(1, err)
	}
	if a == 0 {
		return cty.NilVal, function.NewArgErrorf(0, "no multiple of 0 is another number")
	}
	if b == 0 || math.Signbit(a) != math.Signbit(b) {
		return cty.NilVal, function.NewArgErrorf(1, "want a number of the sign of the first")
	}
	list := []cty.Value{args[0]}
	for i := 1; i < n; i++ {
		v, err := finite(a * math.Pow(b/a, float64(i)/float64(n-1)))
		if err != nil {
			return cty.NilVal, err
		}
		list = append(list, tidy(v))
	}
	if n > 1 {
		list[n-1] = args[1]
	}
	return cty.ListVal(list), nil
}

// tidy is v to 14 digits: 4 rather than 3.9999999999999996.
func tidy(v cty.Value) cty.Value {
	f, _ := v.AsBigFloat().Float64()
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 14, 64), 64)
	if err != nil {
		return v
	}
	return Number(rounded)
}

func powers(args []cty.Value) (cty.Value, error) {
	first, err := wholeArg(args, 1, -maxPower, maxPower)
	if err != nil {
		return cty.NilVal, err
	}
	last, err := wholeArg(args, 2, first, maxPower)
	if err != nil {
		return cty.NilVal, err
	}
	var list []cty.Value
	for n := first; n <= last; n++ {
		v, err := power(args[0], n)
		if err != nil {
			return cty.NilVal, err
		}
		list = append(list, v)
	}
	return cty.ListVal(list), nil
}

func zipf(args []cty.Value) (cty.Value, error) {
	n, err := wholeArg(args, 0, 1, maxList)
	if err != nil {
		return cty.NilVal, err
	}
	s, err := float(args[1])
	if err != nil || s < 0 {
		return cty.NilVal, function.NewArgErrorf(1, "want a number that is not below 0")
	}
	sum := 0.0
	for k := n; k >= 1; k-- { // small ones first, so that none is lost
		sum += math.Pow(float64(k), -s)
	}
	var list []cty.Value
	for k := 1; k <= n; k++ {
		list = append(list, Number(math.Pow(float64(k), -s)/sum))
	}
	return cty.ListVal(list), nil
}
