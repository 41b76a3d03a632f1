package funcs

import (
	"errors"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var collectionFunctions = []entry{
	{Doc: Doc{
		Name: "length", Summary: "The number of elements of a collection, or of characters of a text.",
		Params:  []Param{{"value", "a collection or a text"}},
		Example: `length(["a", "b"])`, Result: `2`,
	}, fn: lengthFunction, picks: true},
	{Doc: Doc{
		Name: "element", Summary: "An element of a list; past the end it starts again from the first.",
		Params:  []Param{{"list", "at least one element"}, {"index", "from 0"}},
		Example: `element(["a", "b"], 3)`, Result: `"b"`,
	}, fn: stdlib.ElementFunc, picks: true},
	{Doc: Doc{
		Name: "lookup", Summary: "An element of a map or an attribute of an object, or a default where there is none.",
		Params:  []Param{{"map", "where to look"}, {"key", "what to look for"}, {"default", "what else to give"}},
		Example: `lookup({ a = 1 }, "b", 9)`, Result: `9`,
	}, fn: stdlib.LookupFunc, picks: true},
	{Doc: Doc{
		Name: "keys", Summary: "The keys of a map, or the names of the attributes of an object, sorted.",
		Params:  []Param{{"map", "a map or an object"}},
		Example: `keys({ b = 1, a = 2 })`, Result: `["a", "b"]`,
	}, fn: stdlib.KeysFunc, picks: true},
	{Doc: Doc{
		Name: "values", Summary: "The elements of a map or the attributes of an object, by sorted key.",
		Params:  []Param{{"map", "a map or an object"}},
		Example: `values({ b = 1, a = 2 })`, Result: `[2, 1]`,
	}, fn: stdlib.ValuesFunc, picks: true},
	{Doc: Doc{
		Name: "contains", Summary: "Whether a list or set holds a value.",
		Params:  []Param{{"list", "a list or set"}, {"value", "what to look for"}},
		Example: `contains(["a", "b"], "b")`, Result: `true`,
	}, fn: stdlib.ContainsFunc, picks: true},
	{Doc: Doc{
		Name: "index", Summary: "The position, from 0, of a value in a list.",
		Params:  []Param{{"list", "a list that holds the value"}, {"value", "what to look for"}},
		Example: `index(["a", "b"], "b")`, Result: `1`,
	}, fn: static(cty.Number, index, cty.DynamicPseudoType, cty.DynamicPseudoType), picks: true},
	{Doc: Doc{
		Name: "slice", Summary: "The elements of a list from one position up to another.",
		Params:  []Param{{"list", "a list"}, {"start", "position of the first, from 0"}, {"end", "position after the last"}},
		Example: `slice(["a", "b", "c"], 0, 2)`, Result: `["a", "b"]`,
	}, fn: stdlib.SliceFunc, picks: true},
	{Doc: Doc{
		Name: "reverse", Summary: "A list from its end to its start.",
		Params:  []Param{{"list", "a list"}},
		Example: `reverse([1, 2, 3])`, Result: `[3, 2, 1]`,
	}, fn: stdlib.ReverseListFunc, picks: true},
	{Doc: Doc{
		Name: "sort", Summary: "A list of texts, sorted by character.",
		Params:  []Param{{"list", "of texts; numbers sort as texts do"}},
		Example: `sort(["b", "a"])`, Result: `["a", "b"]`,
	}, fn: stdlib.SortFunc},
	{Doc: Doc{
		Name: "distinct", Summary: "A list without what it held before.",
		Params:  []Param{{"list", "a list"}},
		Example: `distinct([1, 1, 2])`, Result: `[1, 2]`,
	}, fn: distinctFunction},
	{Doc: Doc{
		Name: "compact", Summary: "A list of texts without those that are empty or null.",
		Params:  []Param{{"list", "of texts"}},
		Example: `compact(["a", "", "b"])`, Result: `["a", "b"]`,
	}, fn: stdlib.CompactFunc},
	{Doc: Doc{
		Name: "concat", Summary: "Several lists as one.",
		Params:  []Param{{"lists", "one after another"}},
		Example: `concat([1, 2], [3])`, Result: `[1, 2, 3]`,
	}, fn: stdlib.ConcatFunc},
	{Doc: Doc{
		Name: "flatten", Summary: "A list with the elements of lists in it instead of those lists.",
		Params:  []Param{{"list", "a list of lists, however deep"}},
		Example: `flatten([[1], [2, [3]]])`, Result: `[1, 2, 3]`,
	}, fn: stdlib.FlattenFunc},
	{Doc: Doc{
		Name: "chunklist", Summary: "A list cut into lists of a size; the last may be shorter.",
		Params:  []Param{{"list", "what to cut"}, {"size", "of each; 0 does not cut"}},
		Example: `chunklist(["a", "b", "c"], 2)`, Result: `[["a", "b"], ["c"]]`,
	}, fn: stdlib.ChunklistFunc},
	{Doc: Doc{
		Name: "merge", Summary: "Several maps or objects as one; the last wins.",
		Params:  []Param{{"maps", "one over another"}},
		Example: `merge({ a = 1, b = 1 }, { b = 2 })`, Result: `{ a = 1, b = 2 }`,
	}, fn: stdlib.MergeFunc, refuse: mapsOnly},
	{Doc: Doc{
		Name: "zipmap", Summary: "A map of keys and the values at the same positions.",
		Params:  []Param{{"keys", "texts"}, {"values", "as many"}},
		Example: `zipmap(["a", "b"], [1, 2])`, Result: `{ a = 1, b = 2 }`,
	}, fn: stdlib.ZipmapFunc, refuse: nullKeys},
	{Doc: Doc{
		Name: "transpose", Summary: "A map of lists turned round: from each element to the keys that hold it.",
		Params:  []Param{{"map", "of lists of texts"}},
		Example: `transpose({ a = ["x", "y"], b = ["x"] })`, Result: `{ x = ["a", "b"], y = ["a"] }`,
	}, fn: static(cty.Map(cty.List(cty.String)), transpose, cty.Map(cty.List(cty.String)))},
	{Doc: Doc{
		Name: "setproduct", Summary: "Every combination of an element of each of several lists or sets.",
		Params:  []Param{{"lists", "at least two"}},
		Example: `setproduct(["a", "b"], [1, 2])`, Result: `[["a", 1], ["a", 2], ["b", 1], ["b", 2]]`,
	}, fn: ofLists(stdlib.SetProductFunc), refuse: longProduct},
	{Doc: Doc{
		Name: "setunion", Summary: "What any of several sets holds.",
		Params:  []Param{{"first", "a set or list"}, {"others", "sets or lists"}},
		Example: `setunion(["a"], ["b", "a"])`, Result: `["a", "b"]`,
	}, fn: stdlib.SetUnionFunc, refuse: typedSets},
	{Doc: Doc{
		Name: "coalesce", Summary: "The first of its arguments that is not null.",
		Params:  []Param{{"values", "of one type"}},
		Example: `coalesce(null, "x")`, Result: `"x"`,
	}, fn: stdlib.CoalesceFunc, refuse: manyValues},
	{Doc: Doc{
		Name: "alltrue", Summary: "Whether every element of a list is true.",
		Params:  []Param{{"list", "of true and false; that of none is true"}},
		Example: `alltrue([true, false])`, Result: `false`,
	}, fn: static(cty.Bool, func(args []cty.Value) (cty.Value, error) { return fold(args[0], cty.True, cty.Value.And) }, cty.List(cty.Bool))},
	{Doc: Doc{
		Name: "anytrue", Summary: "Whether an element of a list is true.",
		Params:  []Param{{"list", "of true and false; that of none is false"}},
		Example: `anytrue([true, false])`, Result: `true`,
	}, fn: static(cty.Bool, func(args []cty.Value) (cty.Value, error) { return fold(args[0], cty.False, cty.Value.Or) }, cty.List(cty.Bool))},
}

// lengthFunction knows the length of what is known in part. Marks inside a
// collection do not mark its length.
var lengthFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, marks := args[0].Unmark()
		var n cty.Value
		var err error
		switch t := v.Type(); {
		case t == cty.DynamicPseudoType:
			n = cty.UnknownVal(cty.Number).RefineNotNull()
		case t == cty.String:
			n, err = stdlib.Strlen(v)
		case t.IsObjectType():
			n = cty.NumberIntVal(int64(len(t.AttributeTypes())))
		case t.IsCollectionType() || t.IsTupleType():
			n, err = stdlib.Length(v)
		default:
			err = function.NewArgErrorf(0, "want a collection or a text, got %s", kind(v))
		}
		if err != nil {
			return cty.NilVal, err
		}
		return n.WithMarks(marks), nil
	},
})

func index(args []cty.Value) (cty.Value, error) {
	if t := args[0].Type(); !t.IsListType() && !t.IsTupleType() {
		return cty.NilVal, function.NewArgErrorf(0, "want a list, got %s", kind(args[0]))
	}
	for key, v := range args[0].Elements() {
		if v.RawEquals(args[1]) {
			return key, nil
		}
	}
	return cty.NilVal, errors.New("the list does not hold the value")
}

// distinctFunction is in time linear in the list.
var distinctFunction = function.New(&function.Spec{
	Params:       []function.Parameter{{Type: cty.List(cty.DynamicPseudoType)}},
	Type:         func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	RefineResult: func(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() },
	Impl: func(args []cty.Value, result cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(result), nil
		}
		var list []cty.Value
		seen := map[int][]cty.Value{} // by hash
		for _, v := range args[0].Elements() {
			h := v.Hash()
			if slices.ContainsFunc(seen[h], v.RawEquals) {
				continue
			}
			seen[h], list = append(seen[h], v), append(list, v)
		}
		if len(list) == 0 {
			return cty.ListValEmpty(result.ElementType()), nil
		}
		return cty.ListVal(list), nil
	},
})

func transpose(args []cty.Value) (cty.Value, error) {
	turned := map[string][]cty.Value{}
	for key, list := range args[0].Elements() {
		if list.IsNull() {
			return cty.NilVal, function.NewArgErrorf(0, "the list of %q is null", key.AsString())
		}
		for _, v := range list.Elements() {
			if v.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "the list of %q holds a null", key.AsString())
			}
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
}
