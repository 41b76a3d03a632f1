package funcs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

var unitFunctions = []entry{
	{Doc: Doc{
		Name: "seconds", Summary: "The seconds of a duration.",
		Params:  []Param{{"text", "a number and ns, us, ms, s, m, h or d; or several: \"1m30s\""}},
		Example: `seconds("20ms")`, Result: `0.02`,
	}, fn: unit(func(s string) (float64, error) {
		d, err := units.Duration(s)
		return d.Seconds(), err
	})},
	{Doc: Doc{
		Name: "bytes", Summary: "The bytes of a size.",
		Params:  []Param{{"text", "a number and B, KB, KiB, MB, MiB, GB, GiB, TB or TiB"}},
		Example: `bytes("1.5KiB")`, Result: `1536`,
	}, fn: unit(func(s string) (float64, error) {
		n, err := units.Bytes(s)
		return float64(n), err
	})},
	{Doc: Doc{
		Name: "rate", Summary: "The events per second of a rate.",
		Params:  []Param{{"text", "a number and /s, /m or /h"}},
		Example: `rate("30/m")`, Result: `0.5`,
	}, fn: unit(units.Rate)},
	{Doc: Doc{
		Name: "duration", Summary: "The seconds of a number of a unit.",
		Params:  []Param{{"number", "how many"}, {"unit", "ns, us, ms, s, m, h or d"}},
		Example: `duration(1.5, "m")`, Result: `90`,
	}, fn: static(cty.Number, func(args []cty.Value) (cty.Value, error) {
		d, err := units.Duration(decimal(args[0]) + args[1].AsString())
		return Number(d.Seconds()), err
	}, cty.Number, cty.String)},
	{Doc: Doc{
		Name: "human", Summary: "A number with a unit, short, for people to read.",
		Params:  []Param{{"number", "seconds, bytes, or events per second"}, {"kind", "\"seconds\", \"bytes\" or \"rate\""}},
		Example: `human(1610612736, "bytes")`, Result: `"1.5 GiB"`,
	}, fn: static(cty.String, human, cty.Number, cty.String)},
}

// unit is a function from text with a unit to a number.
func unit(parse func(string) (float64, error)) function.Function {
	return static(cty.Number, func(args []cty.Value) (cty.Value, error) {
		f, err := parse(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return Number(f), nil
	}, cty.String)
}

func human(args []cty.Value) (cty.Value, error) {
	x, err := float(args[0])
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	write := map[string]func(float64) string{"seconds": humanSeconds, "bytes": humanBytes, "rate": humanRate}[args[1].AsString()]
	if write == nil {
		return cty.NilVal, function.NewArgErrorf(1, "want \"seconds\", \"bytes\" or \"rate\"")
	}
	text := write(math.Abs(x))
	if x < 0 {
		text = "-" + text
	}
	return cty.StringVal(text), nil
}

// humanSeconds writes x, which is not negative, to three digits below a minute and to the second above.
func humanSeconds(x float64) string {
	switch short := three(x); {
	case x == 0:
		return "0 s"
	case short < 1e-6:
		return digits(x*1e9) + " ns"
	case short < 1e-3:
		return digits(x*1e6) + " µs"
	case short < 1:
		return digits(x*1e3) + " ms"
	case short < 60:
		return digits(x) + " s"
	case x > math.MaxInt64/1e9:
		return digits(x/86400) + " d"
	}
	text := time.Duration(math.Round(x) * 1e9).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func humanBytes(x float64) string {
	if x >= math.MaxInt64 {
		return digits(x/float64(spec.GiB<<10)) + " TiB"
	}
	return units.FormatBytes(spec.Bytes(math.Round(x)))
}

// humanRate writes x, which is not negative, per second, minute or hour.
func humanRate(x float64) string {
	switch {
	case x >= 1 || x == 0:
		return digits(x) + "/s"
	case x >= 1.0/60:
		return digits(x*60) + "/m"
	}
	return digits(x*3600) + "/h"
}

// three is x to three digits.
func three(x float64) float64 {
	rounded, err := strconv.ParseFloat(fmt.Sprintf("%.3g", x), 64)
	if err != nil {
		return x
	}
	return rounded
}

// digits writes x to three digits, in full.
func digits(x float64) string { return strconv.FormatFloat(three(x), 'f', -1, 64) }
