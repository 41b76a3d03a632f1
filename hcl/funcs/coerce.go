package funcs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// coerce converts the arguments to the types of the parameters.
func (e entry) coerce(args []cty.Value) ([]cty.Value, error) {
	params, rest := e.fn.Params(), e.fn.VarParam()
	ours := slices.Clone(args)
	for i := range ours {
		want := cty.DynamicPseudoType
		switch {
		case i < len(params):
			want = params[i].Type
		case rest != nil:
			want = rest.Type
		}
		v, err := coerce(ours[i], want)
		if err != nil {
			return nil, function.NewArgError(i, err)
		}
		ours[i] = v
	}
	return ours, nil
}

// coerce converts v as convert.Convert does, but in time linear in its elements,
// where that compares the types of all elements of a tuple with one another.
func coerce(v cty.Value, want cty.Type) (cty.Value, error) {
	plain, marks := v.Unmark()
	t := plain.Type()
	list := t.IsTupleType() && (want.IsListType() || want.IsSetType())
	if !plain.IsKnown() || plain.IsNull() || !list && !(t.IsObjectType() && want.IsMapType()) {
		return convert.Convert(v, want)
	}
	element := want.ElementType()
	if element == cty.DynamicPseudoType {
		var err error
		if element, err = commonType(plain); err != nil {
			return cty.NilVal, err
		}
	}
	switch many := plain.LengthInt() > maxTypes; {
	case element.HasDynamicTypes() && many: // the type of some is not known
		return cty.UnknownVal(want).WithMarks(marks), nil
	case element.HasDynamicTypes():
		return convert.Convert(v, want)
	}
	var elements []cty.Value
	named := map[string]cty.Value{}
	for key, e := range plain.Elements() {
		e, err := coerce(e, element)
		if err != nil {
			return cty.NilVal, fmt.Errorf("element %s: %w", elementName(key), err)
		}
		elements = append(elements, e)
		if !list {
			named[key.AsString()] = e
		}
	}
	var made cty.Value
	switch empty := len(elements) == 0; {
	case want.IsListType() && empty:
		made = cty.ListValEmpty(element)
	case want.IsListType():
		made = cty.ListVal(elements)
	case want.IsSetType() && empty:
		made = cty.SetValEmpty(element)
	case want.IsSetType():
		made = cty.SetVal(elements)
	case empty:
		made = cty.MapValEmpty(element)
	default:
		made = cty.MapVal(named)
	}
	return made.WithMarks(marks), nil
}

func elementName(key cty.Value) string {
	if key.Type() == cty.String {
		return key.AsString()
	}
	return key.AsBigFloat().Text('f', 0)
}

// commonType is the type that all elements of a tuple or object can have.
func commonType(v cty.Value) (cty.Type, error) {
	var types []cty.Type
	for _, e := range v.Elements() {
		if t := e.Type(); !slices.ContainsFunc(types, t.Equals) {
			types = append(types, t)
		}
		if len(types) > maxTypes {
			return cty.NilType, fmt.Errorf("the elements are of more than %d types", maxTypes)
		}
	}
	common, _ := convert.UnifyUnsafe(types)
	if len(types) == 0 {
		return cty.DynamicPseudoType, nil
	}
	if common == cty.NilType {
		return cty.NilType, errors.New("the elements have no common type")
	}
	return common, nil
}

// to is a conversion to a type.
func to(want cty.Type) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			v, err := coerce(args[0], want)
			if err != nil {
				return cty.NilType, function.NewArgError(0, err)
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return coerce(args[0], want) },
	})
}

// ofLists is f with its tuples converted to lists.
func ofLists(f function.Function) function.Function {
	lists := func(args []cty.Value) ([]cty.Value, error) {
		made := slices.Clone(args)
		for i, v := range made {
			if !v.Type().IsTupleType() {
				continue
			}
			list, err := coerce(v, cty.List(cty.DynamicPseudoType))
			if err != nil {
				return nil, function.NewArgError(i, err)
			}
			made[i] = list
		}
		return made, nil
	}
	return function.New(&function.Spec{
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			args, err := lists(args)
			if err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			args, err := lists(args)
			if err != nil {
				return cty.NilVal, err
			}
			return f.Call(args)
		},
	})
}
