package funcs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

var resultFunctions = []entry{
	{Doc: Doc{
		Name: "where", Summary: "The rows whose attributes have the values of an object.",
		Params:  []Param{{"rows", "of a result: objects"}, {"values", "by axis or metric; \"latency.p99\" names what is inside"}},
		Example: `where([{ n = 1, t = 5 }, { n = 2, t = 9 }], { n = 2 })`, Result: `[{ n = 2, t = 9 }]`,
	}, fn: partial(cty.DynamicPseudoType, where, cty.DynamicPseudoType, cty.DynamicPseudoType), picks: true},
	{Doc: Doc{
		Name: "group", Summary: "The rows put together by what they have for some axes: a list of { key, rows }.",
		Params:  []Param{{"rows", "of a result: objects"}, {"axes", "names of axes or metrics"}},
		Example: `[for g in group([{ n = 1, t = 5 }, { n = 2, t = 9 }, { n = 1, t = 7 }], ["n"]) : "${g.key.n}: ${length(g.rows)}"]`, Result: `["1: 2", "2: 1"]`,
	}, fn: partial(cty.DynamicPseudoType, groupRows, cty.DynamicPseudoType, cty.List(cty.String)), picks: true},
	{Doc: Doc{
		Name: "ratio", Summary: "A metric of some rows over that of others that differ in the named axes only: { min, max, mean, geomean, values }.",
		Params:  []Param{{"rows", "of a result, with axes"}, {"metric", "such as \"latency.p99\""}, {"over", "what the rows above the line have"}, {"under", "what the rows below it have"}},
		Example: `ratio([{ axes = { s = "a" }, s = "a", t = 6 }, { axes = { s = "b" }, s = "b", t = 3 }], "t", { s = "a" }, { s = "b" }).max`, Result: `2`,
	}, fn: partial(ratioType, ratio, cty.DynamicPseudoType, cty.String, cty.DynamicPseudoType, cty.DynamicPseudoType), picks: true},
	{Doc: Doc{
		Name: "best", Summary: "The points that are best by a metric, best first; points without it are passed over.",
		Params:  []Param{{"rows", "of a result, with axes"}, {"choice", "{ metric, goal = \"min\" or \"max\", keep = how many, 1 without it, at = values as of where }"}},
		Example: `best([{ axes = { n = 1 }, t = 5 }, { axes = { n = 2 }, t = 3 }], { metric = "t", goal = "min", keep = 1 })`, Result: `[{ n = 2 }]`,
	}, fn: partial(cty.DynamicPseudoType, best, cty.DynamicPseudoType, cty.DynamicPseudoType), picks: true},
	{Doc: Doc{
		Name: "fidelity", Summary: "How far a metric of one experiment is from that of another, point by point: { mean_absolute_error, relative_error, worst, spearman }.",
		Params: []Param{
			{"a", "an experiment or its rows, such as the simulated ones"},
			{"b", "what they are compared to, such as the live ones"},
			{"metric", "such as \"latency.p99\""},
		},
		Example: `fidelity([{ axes = { n = 1 }, t = 11 }], [{ axes = { n = 1 }, t = 10 }], "t").relative_error`, Result: `0.1`,
	}, fn: partial(fidelityType, fidelity, cty.DynamicPseudoType, cty.DynamicPseudoType, cty.String), picks: true},
}

// rows are the rows of a result.
type rows []cty.Value

// rowsOf reads argument i: rows, or an experiment, which has them as results.
// ok is false when which rows there are is not known.
func rowsOf(args []cty.Value, i int) (list rows, ok bool, err error) {
	v := args[i]
	if v.Type().IsObjectType() && v.Type().HasAttribute("results") {
		v = v.GetAttr("results")
	}
	t := v.Type()
	switch {
	case v == cty.DynamicVal:
		return nil, false, nil
	case v.IsNull() || !t.IsListType() && !t.IsTupleType() && !t.IsSetType():
		return nil, false, function.NewArgErrorf(i, "want the rows of a result, got %s", kind(v))
	case !v.IsKnown():
		return nil, false, nil
	case v.LengthInt() > maxList:
		return nil, false, function.NewArgErrorf(i, "%d rows are over the limit of %d", v.LengthInt(), maxList)
	}
	for _, row := range v.Elements() {
		if row == cty.DynamicVal {
			return nil, false, nil
		}
		if t := row.Type(); row.IsNull() || !t.IsObjectType() && !t.IsMapType() {
			return nil, false, function.NewArgErrorf(i, "want the rows of a result, and one is %s", kind(row))
		}
		list = append(list, row)
	}
	return list, true, nil
}

// kind is the type of v, for messages.
func kind(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return v.Type().FriendlyName()
}

// lookUp finds the value at a dotted path. A value inside one that is null is null.
// rest is the part of the path that is not there, and in is where it is not.
func lookUp(v cty.Value, path string) (found cty.Value, rest string, in cty.Value) {
	for path != "" {
		name, after, _ := strings.Cut(path, ".")
		t := v.Type()
		switch {
		case t.IsObjectType() && t.HasAttribute(path): // a name with a dot
			name, after = path, ""
		case t.IsObjectType() && t.HasAttribute(name):
		case t == cty.DynamicPseudoType && !v.IsNull():
			return cty.DynamicVal, "", v
		case v.IsNull():
			return cty.NullVal(cty.DynamicPseudoType), "", v
		case t.IsMapType() && !v.IsKnown():
			return cty.UnknownVal(t.ElementType()), "", v
		case !t.IsMapType() || v.HasIndex(cty.StringVal(name)).False():
			return cty.NilVal, path, v
		}
		if v.IsNull() {
			return cty.NullVal(cty.DynamicPseudoType), "", v
		}
		if t.IsMapType() {
			v = v.Index(cty.StringVal(name))
		} else {
			v = v.GetAttr(name)
		}
		path = after
	}
	return v, "", v
}

// column is what each row has at a path; NilVal for a row that has nothing
// there. It is an error when no row has. The axes of a row may be unknown, and
// then so is what its axes are called.
func (list rows) column(path string) ([]cty.Value, error) {
	var values []cty.Value
	missing := 0
	var rest string
	var in cty.Value
	for _, row := range list {
		v, r, i := lookUp(row, path)
		if v == cty.NilVal {
			if axes, _, _ := lookUp(row, "axes"); axes != cty.NilVal && !axes.IsKnown() {
				v = cty.DynamicVal
			} else {
				missing, rest, in = missing+1, r, i
			}
		}
		values = append(values, v)
	}
	if missing > 0 && missing == len(list) {
		names := "no names"
		if t := in.Type(); t.IsObjectType() && len(t.AttributeTypes()) > 0 {
			names = strings.Join(slices.Sorted(maps.Keys(t.AttributeTypes())), ", ")
		}
		if path == rest {
			return nil, fmt.Errorf("no row has %q; they have %s", path, names)
		}
		return nil, fmt.Errorf("no row has %q: %s has %s", path, strings.TrimSuffix(path, "."+rest), names)
	}
	return values, nil
}

// condition is the values that argument i asks of rows, by path. ok is false
// when they are not known.
func condition(v cty.Value, i int) (values map[string]cty.Value, ok bool, err error) {
	if t := v.Type(); v != cty.DynamicVal && (v.IsNull() || !t.IsObjectType() && !t.IsMapType()) {
		return nil, false, function.NewArgErrorf(i, "want an object such as { axis = value }, got %s", kind(v))
	}
	if !v.IsKnown() {
		return nil, false, nil
	}
	return v.AsValueMap(), true, nil
}

// truth is whether something holds, as far as is known.
type truth int

const (
	no truth = iota
	unknown
	yes
)

// match says which rows have the values of want.
func (list rows) match(want map[string]cty.Value) ([]truth, error) {
	holds := slices.Repeat([]truth{yes}, len(list))
	for _, path := range slices.Sorted(maps.Keys(want)) {
		values, err := list.column(path)
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			holds[i] = min(holds[i], same(v, want[path]))
		}
	}
	return holds, nil
}

// same compares what a row has, NilVal for nothing, to what is asked for.
// Numbers are compared as a result file keeps them: in floating point.
func same(have, want cty.Value) truth {
	switch {
	case have == cty.NilVal:
		return no
	case !have.IsWhollyKnown() || !want.IsWhollyKnown():
		return unknown
	case have.IsNull() || want.IsNull():
		return truthOf(have.IsNull() && want.IsNull())
	}
	if t := have.Type(); !t.Equals(want.Type()) {
		converted, err := convert.Convert(want, t)
		if err != nil {
			return no
		}
		want = converted
	}
	if have.Type() == cty.Number {
		a, _ := have.AsBigFloat().Float64()
		b, _ := want.AsBigFloat().Float64()
		return truthOf(a == b)
	}
	return truthOf(have.RawEquals(want))
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// pick is the rows that match; ok is false when it is not known which do.
func (list rows) pick(want map[string]cty.Value) (picked rows, ok bool, err error) {
	holds, err := list.match(want)
	if err != nil {
		return nil, false, err
	}
	if slices.Contains(holds, unknown) {
		return nil, false, nil
	}
	for i, row := range list {
		if holds[i] == yes {
			picked = append(picked, row)
		}
	}
	return picked, true, nil
}

func where(args []cty.Value) (cty.Value, error) {
	want, ok, err := condition(args[1], 1)
	if err != nil || !ok {
		return cty.DynamicVal, err
	}
	list, ok, err := rowsOf(args, 0)
	if err != nil || !ok {
		return cty.DynamicVal, err
	}
	picked, ok, err := list.pick(want)
	if err != nil {
		return cty.NilVal, function.NewArgError(1, err)
	}
	if !ok {
		return cty.DynamicVal, nil
	}
	return cty.TupleVal(picked), nil
}

// groupRows is the function group. Groups are in the order of their first rows.
func groupRows(args []cty.Value) (cty.Value, error) {
	if !args[1].IsWhollyKnown() {
		return cty.DynamicVal, nil
	}
	list, ok, err := rowsOf(args, 0)
	if err != nil || !ok {
		return cty.DynamicVal, err
	}
	keys := make([]map[string]cty.Value, len(list))
	for i := range keys {
		keys[i] = map[string]cty.Value{}
	}
	for _, name := range args[1].Elements() {
		if name.IsNull() {
			return cty.NilVal, function.NewArgErrorf(1, "the list holds a null")
		}
		values, err := list.column(name.AsString())
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		for i, v := range values {
			switch {
			case v == cty.NilVal:
				v = cty.NullVal(cty.DynamicPseudoType)
			case !v.IsWhollyKnown():
				return cty.DynamicVal, nil
			}
			keys[i][name.AsString()] = v
		}
	}
	at := map[string]int{}
	var groups []rows
	var heads []cty.Value
	for i, row := range list {
		text, err := keyOf(keys[i])
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		g, ok := at[text]
		if !ok {
			g = len(groups)
			at[text], groups, heads = g, append(groups, nil), append(heads, cty.ObjectVal(keys[i]))
		}
		groups[g] = append(groups[g], row)
	}
	var result []cty.Value
	for i, g := range groups {
		result = append(result, cty.ObjectVal(map[string]cty.Value{"key": heads[i], "rows": cty.TupleVal(g)}))
	}
	return cty.TupleVal(result), nil
}

// keyOf writes values such that those that are the same give the same text.
func keyOf(values map[string]cty.Value) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		left := maxText
		if err := measure(v, &left); err != nil {
			return "", err
		}
		b.WriteString(strconv.Quote(name) + ":")
		if v.Type() == cty.Number && !v.IsNull() {
			f, _ := v.AsBigFloat().Float64()
			b.WriteString(strconv.FormatFloat(f, 'g', -1, 64) + ",")
			continue
		}
		text, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			return "", err
		}
		b.Write(append(text, ','))
	}
	return b.String(), nil
}

// axes is the axes of argument i's rows, one object for each row; ok is false
// when they are not known.
func (list rows) axes(i int) (axes []map[string]cty.Value, ok bool, err error) {
	for _, row := range list {
		v, _, _ := lookUp(row, "axes")
		switch {
		case v == cty.NilVal || v.IsNull() || v.IsKnown() && !v.Type().IsObjectType() && !v.Type().IsMapType():
			return nil, false, function.NewArgErrorf(i, "a row has no axes; these are not the rows of a result")
		case !v.IsWhollyKnown():
			return nil, false, nil
		}
		axes = append(axes, v.AsValueMap())
	}
	return axes, true, nil
}

// metric is the numbers that rows have at a path. A null is NaN. ok is false
// when one is not known.
func (list rows) metric(path string) (numbers []float64, ok bool, err error) {
	values, err := list.column(path)
	if err != nil {
		return nil, false, err
	}
	ok = true
	for _, v := range values {
		x := math.NaN()
		switch {
		case v == cty.NilVal || v.IsNull():
		case v.Type() == cty.DynamicPseudoType:
			ok = false
		case v.Type() != cty.Number:
			err = fmt.Errorf("%q is %s; name a number", path, v.Type().FriendlyName())
			if t := v.Type(); t.IsObjectType() && len(t.AttributeTypes()) > 0 {
				err = fmt.Errorf("%q is no number; name one in it, such as \"%s.%s\"", path, path, slices.Sorted(maps.Keys(t.AttributeTypes()))[0])
			}
			return nil, false, err
		case !v.IsKnown():
			ok = false
		default:
			if x, err = float(v); err != nil {
				return nil, false, err
			}
		}
		numbers = append(numbers, x)
	}
	return numbers, ok, nil
}

// points are what rows have of a metric, by their axes.
type points struct {
	keys   []string // as the rows come
	metric map[string]float64
	names  map[string]string // of the points, for messages
}

// pointsOf reads a metric of argument i's rows, which are told apart by their
// axes without those in but. ok is false when they are not known.
func pointsOf(list rows, i int, path string, but map[string]cty.Value) (p points, ok bool, err error) {
	p = points{metric: map[string]float64{}, names: map[string]string{}}
	numbers, numbersKnown, err := list.metric(path)
	if err != nil {
		return p, false, err
	}
	axes, axesKnown, err := list.axes(i)
	if err != nil || !axesKnown || !numbersKnown {
		return p, false, err
	}
	for row, x := range numbers {
		rest := maps.Clone(axes[row])
		maps.DeleteFunc(rest, func(name string, _ cty.Value) bool { _, named := but[name]; return named })
		key, err := keyOf(rest)
		if err != nil {
			return p, false, function.NewArgError(i, err)
		}
		name := cmp.Or(strings.TrimSuffix(key, ","), "no other axis")
		if _, taken := p.metric[key]; taken {
			return p, false, function.NewArgErrorf(i, "two rows have the same axes (%s); keep one of them", name)
		}
		p.keys, p.metric[key], p.names[key] = append(p.keys, key), x, name
	}
	return p, true, nil
}

// pair is what two sets of points have at one of them.
type pair struct{ a, b float64 }

// pairs are the points that are in both, as those of a come.
func pairs(a, b points, path string) ([]pair, error) {
	var both []pair
	for _, key := range a.keys {
		other, ok := b.metric[key]
		switch {
		case !ok:
			continue
		case math.IsNaN(a.metric[key]) || math.IsNaN(other):
			return nil, fmt.Errorf("%q is null at a point (%s); leave such rows out", path, a.names[key])
		case other == 0:
			return nil, fmt.Errorf("%q is 0 at a point (%s), and nothing can be divided by it", path, a.names[key])
		}
		both = append(both, pair{a.metric[key], other})
	}
	if len(both) == 0 {
		return nil, errors.New("no row of the first has a partner in the second: the other axes differ")
	}
	return both, nil
}

var ratioType = cty.Object(map[string]cty.Type{
	"min": cty.Number, "max": cty.Number, "mean": cty.Number, "geomean": cty.Number, "values": cty.List(cty.Number),
})

// ratio pairs rows. geomean is null when a value is below 0.
func ratio(args []cty.Value) (cty.Value, error) {
	but := map[string]cty.Value{}
	var sides [2]map[string]cty.Value
	known := args[1].IsKnown()
	for i := range sides {
		want, ok, err := condition(args[2+i], 2+i)
		if err != nil {
			return cty.NilVal, err
		}
		known = known && ok
		sides[i] = want
		maps.Copy(but, want)
	}
	list, ok, err := rowsOf(args, 0)
	if err != nil || !ok || !known {
		return cty.UnknownVal(ratioType), err
	}
	path := args[1].AsString()
	var halves [2]points
	for i, want := range sides {
		picked, ok, err := list.pick(want)
		switch {
		case err != nil:
			return cty.NilVal, function.NewArgError(2+i, err)
		case !ok: // the metric can be checked all the same
			picked, known = list, false
		case len(picked) == 0:
			return cty.NilVal, function.NewArgErrorf(2+i, "no row has these values")
		}
		if !ok {
			_, _, err = picked.metric(path)
		} else if halves[i], ok, err = pointsOf(picked, 0, path, but); !ok {
			known = false
		}
		if err != nil {
			return cty.NilVal, err
		}
	}
	if !known {
		return cty.UnknownVal(ratioType), nil
	}
	both, err := pairs(halves[0], halves[1], path)
	if err != nil {
		return cty.NilVal, err
	}
	var values []cty.Value
	var xs []float64
	for _, p := range both {
		x := p.a / p.b
		v, err := finite(x)
		if err != nil {
			return cty.NilVal, err
		}
		xs, values = append(xs, x), append(values, v)
	}
	average, err := finite(mean(xs))
	if err != nil {
		return cty.NilVal, err
	}
	return cty.ObjectVal(map[string]cty.Value{
		"min": Number(slices.Min(xs)), "max": Number(slices.Max(xs)), "mean": average, "geomean": geomean(xs), "values": cty.ListVal(values),
	}), nil
}

// geomean is exp of the mean of log x, 0 when an x is 0, and null when one is below.
func geomean(xs []float64) cty.Value {
	logs := 0.0
	for _, x := range xs {
		logs += math.Log(x)
	}
	if math.IsNaN(logs) {
		return cty.NullVal(cty.Number)
	}
	return tidy(Number(math.Exp(logs / float64(len(xs)))))
}

// choice is the options of best.
type choice struct {
	metric string
	sign   float64 // what is smallest times sign is best
	keep   int
	at     map[string]cty.Value
}

// choiceOf reads the options; ok is false when they are not known.
func choiceOf(v cty.Value) (c choice, ok bool, err error) {
	given, known, err := condition(v, 1)
	if err != nil || !known {
		return c, false, err
	}
	c = choice{sign: 1, keep: 1}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		v := given[name]
		if !slices.Contains([]string{"metric", "goal", "keep", "at"}, name) {
			return c, false, function.NewArgErrorf(1, "there is no %q; want metric, goal, keep and at", name)
		}
		if !v.IsKnown() {
			known = false
			continue
		}
		switch good := true; name {
		case "metric":
			if c.metric = textOf(v); c.metric == "" {
				return c, false, function.NewArgErrorf(1, "metric is a text such as \"latency.p99\", got %s", kind(v))
			}
		case "goal":
			switch textOf(v) {
			case "min":
			case "max":
				c.sign = -1
			default:
				return c, false, function.NewArgErrorf(1, "goal is \"min\" or \"max\"")
			}
		case "keep":
			if c.keep, good = whole(v, 1, maxList); !good {
				return c, false, function.NewArgErrorf(1, "keep is a whole number from 1 to %d", maxList)
			}
		case "at":
			if c.at, good, err = condition(v, 1); err != nil {
				return c, false, err
			}
			known = known && good
		}
	}
	if _, ok := given["metric"]; !ok {
		return c, false, function.NewArgErrorf(1, "metric is missing, such as metric = \"latency.p99\"")
	}
	return c, known, nil
}

// best is the axes of the best rows. Of equal ones the earlier is better.
func best(args []cty.Value) (cty.Value, error) {
	c, ok, err := choiceOf(args[1])
	if err != nil || !ok {
		return cty.DynamicVal, err
	}
	list, ok, err := rowsOf(args, 0)
	if err != nil || !ok {
		return cty.DynamicVal, err
	}
	if _, _, err := list.metric(c.metric); err != nil {
		return cty.NilVal, function.NewArgError(1, err)
	}
	picked, ok, err := list.pick(c.at)
	if err != nil {
		return cty.NilVal, function.NewArgError(1, err)
	}
	if !ok {
		return cty.DynamicVal, nil
	}
	if len(picked) == 0 {
		return cty.NilVal, function.NewArgErrorf(1, "no row has the values of at")
	}
	numbers, numbersKnown, err := picked.metric(c.metric)
	if err != nil {
		return cty.NilVal, function.NewArgError(1, err)
	}
	axes, axesKnown, err := picked.axes(0)
	if err != nil || !axesKnown || !numbersKnown {
		return cty.DynamicVal, err
	}
	var order []int
	for i, x := range numbers {
		if !math.IsNaN(x) {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return cty.NilVal, function.NewArgErrorf(1, "%q is null at every point", c.metric)
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(c.sign*numbers[i], c.sign*numbers[j]) })
	var points []cty.Value
	for _, i := range order[:min(c.keep, len(order))] {
		points = append(points, cty.ObjectVal(axes[i]))
	}
	return cty.TupleVal(points), nil
}

var fidelityType = cty.Object(map[string]cty.Type{
	"mean_absolute_error": cty.Number, "relative_error": cty.Number, "worst": cty.Number, "spearman": cty.Number,
})

// fidelity compares a to b at the points that both have, with e = a - b:
// mean_absolute_error is the mean of |e|, in the unit of the metric;
// relative_error the mean of e/b, so that errors of opposite sign cancel out;
// worst the largest |e/b|; spearman the correlation of ranks, null when one side
// has one value only (Spearman, The Proof and Measurement of Association between
// Two Things, American Journal of Psychology 15 (1904), doi:10.2307/1412159).
func fidelity(args []cty.Value) (cty.Value, error) {
	if !args[2].IsKnown() {
		return cty.UnknownVal(fidelityType), nil
	}
	path := args[2].AsString()
	var sides [2]points
	known := true
	for i := range sides {
		list, ok, err := rowsOf(args, i)
		if err == nil && ok {
			sides[i], ok, err = pointsOf(list, i, path, nil)
		}
		if err != nil {
			return cty.NilVal, err
		}
		known = known && ok
	}
	if !known {
		return cty.UnknownVal(fidelityType), nil
	}
	both, err := pairs(sides[0], sides[1], path)
	if err != nil {
		return cty.NilVal, err
	}
	var absolute, relative, worst float64
	var as, bs []float64
	for _, p := range both {
		e := p.a - p.b
		absolute += math.Abs(e)
		relative += e / p.b
		worst = max(worst, math.Abs(e/p.b))
		as, bs = append(as, p.a), append(bs, p.b)
	}
	n := float64(len(both))
	result := map[string]cty.Value{"spearman": spearman(as, bs)}
	for name, x := range map[string]float64{"mean_absolute_error": absolute / n, "relative_error": relative / n, "worst": worst} {
		if result[name], err = finite(x); err != nil {
			return cty.NilVal, err
		}
	}
	return cty.ObjectVal(result), nil
}

// spearman is the correlation of the ranks of two lists of one length.
func spearman(as, bs []float64) cty.Value {
	as, bs = ranks(as), ranks(bs)
	ma, mb := mean(as), mean(bs)
	var ab, aa, bb float64
	for i := range as {
		ab += float64((as[i] - ma) * (bs[i] - mb))
		aa += float64((as[i] - ma) * (as[i] - ma))
		bb += float64((bs[i] - mb) * (bs[i] - mb))
	}
	if aa == 0 || bb == 0 {
		return cty.NullVal(cty.Number)
	}
	return tidy(Number(ab / math.Sqrt(aa*bb)))
}

// ranks are the places of xs in order, from 1; equal ones share the mean of theirs.
func ranks(xs []float64) []float64 {
	order := make([]int, len(xs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(xs[i], xs[j]) })
	places := make([]float64, len(xs))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && xs[order[j]] == xs[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			places[at] = float64(i+j+1) / 2
		}
		i = j
	}
	return places
}
