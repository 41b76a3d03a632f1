package funcs

import (
	"encoding/base64"
	"errors"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// conversions are the type conversions by name.
var conversions = map[string]function.Function{
	"tobool":   stdlib.MakeToFunc(cty.Bool),
	"tolist":   stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
	"tomap":    stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
	"tonumber": stdlib.MakeToFunc(cty.Number),
	"toset":    stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
	"tostring": stdlib.MakeToFunc(cty.String),
}

// general are functions of Terraform that cty's library lacks.
var general = map[string]function.Function{
	"alltrue": simple("Whether every element is true.", cty.Bool, []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		func(args []cty.Value) (cty.Value, error) { return fold(args[0], cty.True, cty.Value.And), nil }),
	"anytrue": simple("Whether any element is true.", cty.Bool, []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		func(args []cty.Value) (cty.Value, error) { return fold(args[0], cty.False, cty.Value.Or), nil }),
	"sum": simple("The sum of a list of numbers.", cty.Number, []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}},
		func(args []cty.Value) (cty.Value, error) { return fold(args[0], cty.Zero, cty.Value.Add), nil }),
	"base64encode": simple("A string in base64.", cty.String, []function.Parameter{{Name: "str", Type: cty.String}},
		func(args []cty.Value) (cty.Value, error) {
			return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(args[0].AsString()))), nil
		}),
	"base64decode": simple("The string that base64 stands for.", cty.String, []function.Parameter{{Name: "str", Type: cty.String}},
		func(args []cty.Value) (cty.Value, error) {
			b, err := base64.StdEncoding.DecodeString(args[0].AsString())
			return cty.StringVal(string(b)), err
		}),
	"index": simple("The position, from 0, of a value in a list.", cty.Number,
		[]function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
		func(args []cty.Value) (cty.Value, error) {
			if !args[0].CanIterateElements() {
				return cty.NilVal, function.NewArgErrorf(0, "want a list, got %s", args[0].Type().FriendlyName())
			}
			for key, v := range args[0].Elements() {
				if v.RawEquals(args[1]) {
					return key, nil
				}
			}
			return cty.NilVal, errors.New("the list does not hold the value")
		}),
	"length": simple("The number of elements of a collection, or of characters of a string.", cty.Number,
		[]function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}},
		func(args []cty.Value) (cty.Value, error) {
			switch t := args[0].Type(); {
			case t == cty.String:
				return stdlib.Strlen(args[0])
			case t.IsObjectType():
				return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
			}
			return stdlib.Length(args[0])
		}),
	"transpose": simple("A map of lists turned round: from each element to the keys that hold it.", cty.Map(cty.List(cty.String)),
		[]function.Parameter{{Name: "map", Type: cty.Map(cty.List(cty.String))}},
		func(args []cty.Value) (cty.Value, error) {
			turned := map[string][]cty.Value{}
			for key, list := range args[0].Elements() {
				for _, v := range list.Elements() {
					turned[v.AsString()] = append(turned[v.AsString()], key)
				}
			}
			lists := map[string]cty.Value{}
			for k, v := range turned {
				lists[k] = cty.ListVal(v)
			}
			if len(lists) == 0 {
				return cty.MapValEmpty(cty.List(cty.String)), nil
			}
			return cty.MapVal(lists), nil
		}),
	"type": simple("The type of a value, in words.", cty.String, []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}},
		func(args []cty.Value) (cty.Value, error) { return cty.StringVal(args[0].Type().FriendlyName()), nil }),
}

// simple is a function whose result always has the same type.
func simple(doc string, result cty.Type, params []function.Parameter, f func([]cty.Value) (cty.Value, error)) function.Function {
	return function.New(&function.Spec{
		Description: doc,
		Params:      params,
		Type:        function.StaticReturnType(result),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f(args)
			if err != nil {
				return cty.UnknownVal(result), err
			}
			return v, nil
		},
	})
}

func fold(list, start cty.Value, f func(cty.Value, cty.Value) cty.Value) cty.Value {
	for _, v := range list.Elements() {
		if v.IsNull() {
			return cty.UnknownVal(start.Type())
		}
		start = f(start, v)
	}
	return start
}
