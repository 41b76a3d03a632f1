package funcs

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var typeFunctions = []entry{
	{Doc: Doc{
		Name: "tostring", Summary: "A value as text.",
		Params:  []Param{{"value", "a text, number or bool"}},
		Example: `tostring(1.5)`, Result: `"1.5"`,
	}, fn: to(cty.String)},
	{Doc: Doc{
		Name: "tonumber", Summary: "A value as a number.",
		Params:  []Param{{"value", "a number, or a text that is one"}},
		Example: `tonumber("1.5")`, Result: `1.5`,
	}, fn: to(cty.Number), refuse: longNumber},
	{Doc: Doc{
		Name: "tobool", Summary: "A value as true or false.",
		Params:  []Param{{"value", "a bool, \"true\" or \"false\""}},
		Example: `tobool("true")`, Result: `true`,
	}, fn: to(cty.Bool)},
	{Doc: Doc{
		Name: "tolist", Summary: "A set or list as a list of elements of one type.",
		Params:  []Param{{"value", "a set or list"}},
		Example: `tolist(["a", 1])`, Result: `["a", "1"]`,
	}, fn: to(cty.List(cty.DynamicPseudoType))},
	{Doc: Doc{
		Name: "toset", Summary: "A list as a set: no order, and nothing twice.",
		Params:  []Param{{"value", "a list or set"}},
		Example: `toset(["b", "a", "b"])`, Result: `["a", "b"]`,
	}, fn: to(cty.Set(cty.DynamicPseudoType))},
	{Doc: Doc{
		Name: "tomap", Summary: "An object as a map of elements of one type.",
		Params:  []Param{{"value", "an object or map"}},
		Example: `tomap({ a = 1, b = "x" })`, Result: `{ a = "1", b = "x" }`,
	}, fn: to(cty.Map(cty.DynamicPseudoType))},
	{Doc: Doc{
		Name: "type", Summary: "The type of a value, in words.",
		Params:  []Param{{"value", "anything"}},
		Example: `type(1)`, Result: `"number"`,
	}, fn: partial(cty.String, func(args []cty.Value) (cty.Value, error) {
		if t := args[0].Type(); t != cty.DynamicPseudoType {
			return cty.StringVal(t.FriendlyName()), nil
		}
		return cty.UnknownVal(cty.String), nil
	}, cty.DynamicPseudoType), picks: true},
	{Doc: Doc{
		Name: "try", Summary: "The first of its arguments that can be evaluated.",
		Params:  []Param{{"expressions", "in the order of preference"}},
		Example: `try(tonumber("x"), 3)`, Result: `3`,
	}, fn: tryFunction, picks: true},
	{Doc: Doc{
		Name: "can", Summary: "Whether an expression can be evaluated.",
		Params:  []Param{{"expression", "anything"}},
		Example: `can(tonumber("x"))`, Result: `false`,
	}, fn: tryfunc.CanFunc, picks: true},
}

// tryFunction evaluates each expression once: try within try stays cheap.
var tryFunction = function.New(&function.Spec{
	VarParam: &function.Parameter{Type: customdecode.ExpressionClosureType},
	Type:     function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if len(args) == 0 {
			return cty.NilVal, errors.New("want at least one expression")
		}
		var reasons []string
		for _, arg := range args {
			v, diags := customdecode.ExpressionClosureFromVal(arg).Value()
			switch {
			case diags.HasErrors():
				reasons = append(reasons, diags.Errs()[0].Error())
			case !v.IsWhollyKnown(): // it may fail once it is known
				return cty.DynamicVal, nil
			default:
				return v, nil
			}
		}
		return cty.NilVal, fmt.Errorf("none of these can be evaluated: %s", strings.Join(reasons, "; "))
	},
})

var encodingFunctions = []entry{
	{Doc: Doc{
		Name: "jsonencode", Summary: "A value as JSON.",
		Params:  []Param{{"value", "anything"}},
		Example: `jsonencode({ a = [1, true] })`, Result: `"{\"a\":[1,true]}"`,
	}, fn: stdlib.JSONEncodeFunc},
	{Doc: Doc{
		Name: "jsondecode", Summary: "The value that JSON stands for.",
		Params:  []Param{{"text", "JSON"}},
		Example: `jsondecode("{\"a\": [1]}").a`, Result: `[1]`,
	}, fn: stdlib.JSONDecodeFunc, refuse: longJSON},
	{Doc: Doc{
		Name: "csvdecode", Summary: "The rows of a CSV text with a header, as objects of texts.",
		Params:  []Param{{"text", "CSV; the first line names the columns"}},
		Example: `csvdecode("n,t\n1,20")`, Result: `[{ n = "1", t = "20" }]`,
	}, fn: stdlib.CSVDecodeFunc, refuse: longCSV},
	{Doc: Doc{
		Name: "base64encode", Summary: "A text in base64.",
		Params:  []Param{{"text", "any text"}},
		Example: `base64encode("hello")`, Result: `"aGVsbG8="`,
	}, fn: static(cty.String, func(args []cty.Value) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(args[0].AsString()))), nil
	}, cty.String)},
	{Doc: Doc{
		Name: "base64decode", Summary: "The text that base64 stands for.",
		Params:  []Param{{"text", "base64 of UTF-8"}},
		Example: `base64decode("aGVsbG8=")`, Result: `"hello"`,
	}, fn: static(cty.String, func(args []cty.Value) (cty.Value, error) {
		b, err := base64.StdEncoding.DecodeString(args[0].AsString())
		if err == nil && !utf8.Valid(b) {
			err = errors.New("it stands for bytes that are not UTF-8 text")
		}
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return cty.StringVal(string(b)), nil
	}, cty.String)},
}
