package funcs

import (
	"errors"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// entry is a function and its documentation.
type entry struct {
	Doc
	fn function.Function

	// refuse reports arguments that would take too much work; nil: none do.
	// They are without marks, and may be unknown or null.
	refuse func(args []cty.Value) error

	// picks says that the function hands on a part of what it gets, whatever is in it.
	picks bool
}

// function is fn with its documentation, within limits, and with errors that
// do not tell what is sensitive. What is unknown, null or marked is fn's to
// treat.
func (e entry) function() function.Function {
	spec := &function.Spec{
		Description: e.Summary,
		Type: func(args []cty.Value) (cty.Type, error) {
			ours, err := e.admit(args)
			if err != nil {
				return cty.NilType, discreet(err, args)
			}
			t, err := e.fn.ReturnTypeForValues(ours)
			return t, discreet(err, args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			ours, err := e.coerce(args)
			if err != nil {
				return cty.NilVal, discreet(err, args)
			}
			v, err := e.fn.Call(ours)
			if err == nil {
				err = e.bounded(v)
			}
			if err == nil && !v.IsKnown() { // cty forgets marks of what is not known
				for _, arg := range args {
					_, marks := arg.UnmarkDeep()
					v = v.WithMarks(marks)
				}
			}
			return v, discreet(err, args)
		},
	}
	params := e.fn.Params()
	if v := e.fn.VarParam(); v != nil {
		params = append(params, *v)
	}
	for i := range params {
		p := &params[i]
		p.Name, p.Description = e.Params[i].Name, e.Params[i].Doc
		if !p.Type.IsCapsuleType() {
			p.Type = cty.DynamicPseudoType // coerce converts, once the size is known
		}
		p.AllowNull, p.AllowUnknown, p.AllowDynamicType, p.AllowMarked = true, true, true, true
	}
	if e.fn.VarParam() != nil {
		spec.VarParam = &params[len(params)-1]
		params = params[:len(params)-1]
	}
	spec.Params = params
	return function.New(spec)
}

// discreet hides the text of an error about arguments of which one is
// sensitive: it may hold what they are.
func discreet(err error, args []cty.Value) error {
	if err == nil || !slices.ContainsFunc(args, cty.Value.ContainsMarked) {
		return err
	}
	hidden := errors.New("it cannot take these values; one is sensitive, so nothing more is said")
	var arg function.ArgError
	if errors.As(err, &arg) {
		return function.NewArgError(arg.Index, hidden)
	}
	return hidden
}

// static is a function whose result always has the same type and is never
// null. It is called when its arguments are known down to the last element,
// and until then its result is unknown.
func static(result cty.Type, f func([]cty.Value) (cty.Value, error), params ...cty.Type) function.Function {
	return partial(result, whenKnown(result, f), params...)
}

// variadic is static with any number of arguments for the last parameter.
func variadic(result cty.Type, f func([]cty.Value) (cty.Value, error), params ...cty.Type) function.Function {
	spec := newSpec(result, whenKnown(result, f), params)
	last := len(spec.Params) - 1
	spec.VarParam, spec.Params = &spec.Params[last], spec.Params[:last]
	return function.New(spec)
}

// partial is static, but is called whatever is known.
func partial(result cty.Type, f func([]cty.Value) (cty.Value, error), params ...cty.Type) function.Function {
	return function.New(newSpec(result, f, params))
}

func newSpec(result cty.Type, f func([]cty.Value) (cty.Value, error), params []cty.Type) *function.Spec {
	spec := &function.Spec{
		Type:         function.StaticReturnType(result),
		RefineResult: func(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() },
		Impl:         func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f(args) },
	}
	for _, t := range params {
		spec.Params = append(spec.Params, function.Parameter{Type: t, AllowUnknown: true, AllowDynamicType: true})
	}
	return spec
}

func whenKnown(result cty.Type, f func([]cty.Value) (cty.Value, error)) func([]cty.Value) (cty.Value, error) {
	return func(args []cty.Value) (cty.Value, error) {
		if slices.ContainsFunc(args, func(v cty.Value) bool { return !v.IsWhollyKnown() }) {
			return cty.UnknownVal(result), nil
		}
		return f(args)
	}
}
