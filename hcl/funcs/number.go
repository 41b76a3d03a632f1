package funcs

import (
	"math/big"
	"strconv"

	"github.com/zclconf/go-cty/cty"
)

// Number is f as a reader means it: 0.02, not the binary fraction beside it.
func Number(f float64) cty.Value {
	b, _, err := big.ParseFloat(strconv.FormatFloat(f, 'g', -1, 64), 10, 512, big.ToNearestEven)
	if err != nil {
		b = big.NewFloat(f)
	}
	return cty.NumberVal(b)
}

func decimal(v cty.Value) string {
	f, _ := v.AsBigFloat().Float64()
	return strconv.FormatFloat(f, 'f', -1, 64)
}
