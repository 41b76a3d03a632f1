package funcs

import (
	"errors"
	"math"
	"math/big"
	"strconv"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var numberFunctions = []entry{
	{Doc: Doc{
		Name: "abs", Summary: "A number without its sign.",
		Params:  []Param{{"number", "any number"}},
		Example: `abs(-3)`, Result: `3`,
	}, fn: stdlib.AbsoluteFunc},
	{Doc: Doc{
		Name: "ceil", Summary: "The smallest whole number that is not below a number.",
		Params:  []Param{{"number", "any number"}},
		Example: `ceil(1.2)`, Result: `2`,
	}, fn: stdlib.CeilFunc},
	{Doc: Doc{
		Name: "floor", Summary: "The largest whole number that is not above a number.",
		Params:  []Param{{"number", "any number"}},
		Example: `floor(1.8)`, Result: `1`,
	}, fn: stdlib.FloorFunc},
	{Doc: Doc{
		Name: "max", Summary: "The largest of the arguments; max(list...) is that of a list.",
		Params:  []Param{{"numbers", "at least one"}},
		Example: `max(3, 9, 4)`, Result: `9`,
	}, fn: stdlib.MaxFunc},
	{Doc: Doc{
		Name: "min", Summary: "The smallest of the arguments; min(list...) is that of a list.",
		Params:  []Param{{"numbers", "at least one"}},
		Example: `min([3, 9, 4]...)`, Result: `3`,
	}, fn: stdlib.MinFunc},
	{Doc: Doc{
		Name: "sum", Summary: "The sum of a list of numbers.",
		Params:  []Param{{"list", "the numbers; none is 0"}},
		Example: `sum([1, 2, 3])`, Result: `6`,
	}, fn: static(cty.Number, func(args []cty.Value) (cty.Value, error) { return fold(args[0], cty.Zero, cty.Value.Add) }, cty.List(cty.Number))},
	{Doc: Doc{
		Name: "pow", Summary: "A number to a power, exact when the exponent is whole.",
		Params:  []Param{{"base", "any number"}, {"exponent", "any number; a whole one when the base is negative"}},
		Example: `pow(2, 10)`, Result: `1024`,
	}, fn: static(cty.Number, func(args []cty.Value) (cty.Value, error) { return pow(args[0], args[1]) }, cty.Number, cty.Number)},
	{Doc: Doc{
		Name: "log", Summary: "The logarithm of a number to a base.",
		Params:  []Param{{"number", "above 0"}, {"base", "above 0, and not 1"}},
		Example: `log(1024, 2)`, Result: `10`,
	}, fn: static(cty.Number, logarithm, cty.Number, cty.Number)},
	{Doc: Doc{
		Name: "signum", Summary: "-1, 0 or 1: the sign of a number.",
		Params:  []Param{{"number", "any number"}},
		Example: `signum(-7)`, Result: `-1`,
	}, fn: stdlib.SignumFunc},
	{Doc: Doc{
		Name: "parseint", Summary: "The whole number that a text writes in a base.",
		Params:  []Param{{"text", "digits, and letters for a base above 10"}, {"base", "2 to 62"}},
		Example: `parseint("ff", 16)`, Result: `255`,
	}, fn: stdlib.ParseIntFunc, refuse: longNumber},
}

// Number is f as a reader means it: 0.02, not the binary fraction beside it.
func Number(f float64) cty.Value {
	b, _, err := big.ParseFloat(strconv.FormatFloat(f, 'g', -1, 64), 10, 512, big.ToNearestEven)
	if err != nil {
		b = big.NewFloat(f)
	}
	return cty.NumberVal(b)
}

// finite is Number for what a calculation gave.
func finite(f float64) (cty.Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return cty.NilVal, errors.New("the numbers are too large")
	}
	return Number(f), nil
}

// float is a known number, if it is not too large for floating point.
func float(v cty.Value) (float64, error) {
	f, _ := v.AsBigFloat().Float64()
	if math.IsInf(f, 0) {
		return 0, errors.New("a number is too large")
	}
	return f, nil
}

// floats are the numbers of a known list.
func floats(list cty.Value) ([]float64, error) {
	var xs []float64
	for _, v := range list.Elements() {
		if v.IsNull() {
			return nil, function.NewArgErrorf(0, "the list holds a null")
		}
		x, err := float(v)
		if err != nil {
			return nil, function.NewArgError(0, err)
		}
		xs = append(xs, x)
	}
	return xs, nil
}

// whole is v, if it is a known whole number from low to high.
func whole(v cty.Value, low, high int) (int, bool) {
	if v.Type() != cty.Number || v.IsNull() || !v.IsKnown() {
		return 0, false
	}
	n, accuracy := v.AsBigFloat().Int64()
	return int(n), accuracy == big.Exact && n >= int64(low) && n <= int64(high)
}

// wholeArg is argument i, which must be a whole number from low to high.
func wholeArg(args []cty.Value, i, low, high int) (int, error) {
	n, ok := whole(args[i], low, high)
	if !ok {
		return 0, function.NewArgErrorf(i, "want a whole number from %d to %d", low, high)
	}
	return n, nil
}

func decimal(v cty.Value) string { return v.AsBigFloat().Text('f', -1) }

// maxPower bounds the exponents that are multiplied out.
const maxPower = 10_000

func pow(base, exponent cty.Value) (cty.Value, error) {
	if n, ok := whole(exponent, -maxPower, maxPower); ok {
		return power(base, n)
	}
	b, err := float(base)
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	e, err := float(exponent)
	if err != nil {
		return cty.NilVal, function.NewArgError(1, err)
	}
	if b < 0 {
		return cty.NilVal, function.NewArgErrorf(1, "want a whole exponent from %d to %d for a base below 0", -maxPower, maxPower)
	}
	if b == 0 && e < 0 {
		return cty.NilVal, errZeroPower
	}
	return finite(math.Pow(b, e))
}

var errZeroPower = function.NewArgErrorf(1, "0 has no negative power")

// power multiplies out.
func power(base cty.Value, n int) (cty.Value, error) {
	square := new(big.Float).SetPrec(512).Set(base.AsBigFloat())
	if n < 0 && square.Sign() == 0 {
		return cty.NilVal, errZeroPower
	}
	one := new(big.Float).SetPrec(512).SetInt64(1)
	product := new(big.Float).Set(one)
	for left := abs(n); left > 0; left /= 2 {
		if left%2 == 1 {
			product.Mul(product, square)
		}
		square.Mul(square, square)
	}
	if n < 0 {
		product.Quo(one, product)
	}
	return cty.NumberVal(product), nil
}

func logarithm(args []cty.Value) (cty.Value, error) {
	var x [2]float64
	for i, v := range args {
		f, err := float(v)
		if err == nil && f <= 0 {
			err = errors.New("want a number above 0")
		}
		if err != nil {
			return cty.NilVal, function.NewArgError(i, err)
		}
		x[i] = f
	}
	switch x[1] {
	case 1:
		return cty.NilVal, function.NewArgErrorf(1, "1 is the base of no logarithm")
	case 2:
		return finite(math.Log2(x[0]))
	case 10:
		return finite(math.Log10(x[0]))
	}
	y := math.Log(x[0]) / math.Log(x[1])
	if near := math.Round(y); math.Abs(y-near) < 1e-13*math.Abs(y) { // log(81, 3) is 4
		y = near
	}
	return finite(y)
}

// fold combines the elements of a known list, from start on.
func fold(list, start cty.Value, f func(cty.Value, cty.Value) cty.Value) (cty.Value, error) {
	for _, v := range list.Elements() {
		if v.IsNull() {
			return cty.NilVal, function.NewArgErrorf(0, "the list holds a null")
		}
		start = f(start, v)
	}
	return start, nil
}
