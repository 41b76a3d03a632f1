package funcs

import (
	"math"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var statisticFunctions = []entry{
	{Doc: Doc{
		Name: "mean", Summary: "The arithmetic mean of a list.",
		Params:  []Param{{"list", "at least one number"}},
		Example: `mean([1, 2, 6])`, Result: `3`,
	}, fn: statistic(1, mean)},
	{Doc: Doc{
		Name: "median", Summary: "The middle of a list: half of it is below.",
		Params:  []Param{{"list", "at least one number"}},
		Example: `median([5, 1, 3, 4])`, Result: `3.5`,
	}, fn: statistic(1, func(xs []float64) float64 { return quantile(xs, 0.5) })},
	{Doc: Doc{
		Name: "quantile", Summary: "The q-quantile of a list, interpolated linearly (type 7 of R).",
		Params:  []Param{{"list", "at least one number"}, {"q", "0 to 1: 0.99 is the 99th percentile"}},
		Example: `quantile([4, 1, 3, 2], 0.25)`, Result: `1.75`,
	}, fn: static(cty.Number, func(args []cty.Value) (cty.Value, error) {
		q, err := float(args[1])
		if err != nil || q < 0 || q > 1 {
			return cty.NilVal, function.NewArgErrorf(1, "want a number from 0 to 1")
		}
		xs, err := sample(args[0], 1)
		if err != nil {
			return cty.NilVal, err
		}
		return finite(quantile(xs, q))
	}, cty.List(cty.Number), cty.Number)},
	{Doc: Doc{
		Name: "stddev", Summary: "The standard deviation of what a list is a sample of: the sum of squares is divided by n - 1.",
		Params:  []Param{{"list", "at least two numbers"}},
		Example: `stddev([2, 4, 6])`, Result: `2`,
	}, fn: statistic(2, stddev)},
	{Doc: Doc{
		Name: "ci95", Summary: "The 95% confidence interval of the mean, by Student's t: { low, high, mean, half_width }.",
		Params:  []Param{{"list", "at least two independent measurements, such as one for each repeat"}},
		Example: `floor(ci95([9, 10, 11]).high * 100)`, Result: `1248`,
	}, fn: static(intervalType, interval, cty.List(cty.Number))},
}

// statistic is a function of a sorted list of at least n numbers.
func statistic(n int, f func([]float64) float64) function.Function {
	return static(cty.Number, func(args []cty.Value) (cty.Value, error) {
		xs, err := sample(args[0], n)
		if err != nil {
			return cty.NilVal, err
		}
		return finite(f(xs))
	}, cty.List(cty.Number))
}

// sample is a list of at least n numbers, sorted.
func sample(list cty.Value, n int) ([]float64, error) {
	xs, err := floats(list)
	if err != nil {
		return nil, err
	}
	switch {
	case len(xs) == 0:
		return nil, function.NewArgErrorf(0, "the list is empty")
	case len(xs) < n:
		return nil, function.NewArgErrorf(0, "want at least %d numbers", n)
	}
	slices.Sort(xs)
	return xs, nil
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + float64((at-float64(low))*(sorted[high]-sorted[low]))
}

// stddev is s = sqrt(sum (x - mean)² / (n - 1)), for n of at least 2.
func stddev(xs []float64) float64 {
	m, squares := mean(xs), 0.0
	for _, x := range xs {
		squares += float64((x - m) * (x - m))
	}
	return math.Sqrt(squares / float64(len(xs)-1))
}

var intervalType = cty.Object(map[string]cty.Type{"low": cty.Number, "high": cty.Number, "mean": cty.Number, "half_width": cty.Number})

// interval is mean ± t·s/sqrt(n), with t the 0.975-quantile of Student's t with
// n - 1 degrees of freedom. Source: Student, The Probable Error of a Mean,
// Biometrika 6 (1908), doi:10.2307/2331554.
func interval(args []cty.Value) (cty.Value, error) {
	xs, err := sample(args[0], 2)
	if err != nil {
		return cty.NilVal, err
	}
	m := mean(xs)
	half := studentT(0.95, len(xs)-1) * stddev(xs) / math.Sqrt(float64(len(xs)))
	object := map[string]cty.Value{}
	for name, x := range map[string]float64{"low": m - half, "high": m + half, "mean": m, "half_width": half} {
		if object[name], err = finite(x); err != nil {
			return cty.NilVal, err
		}
	}
	return cty.ObjectVal(object), nil
}
