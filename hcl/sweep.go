package hcl

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
)

// maxPoints bounds a sweep.
const maxPoints = 10_000

// axis is a thing to vary with its values and their text.
type axis struct {
	name   string
	values []cty.Value
	texts  []string
}

// combination is one value for each axis, by number.
type combination []int

// lattice is the axes of a sweep and the combinations of their values to try.
type lattice struct {
	axes    []axis
	points  []combination
	skipped []spec.Skipped
}

// values is a combination as the manifest has it.
func (l *lattice) values(c combination) (axes []spec.AxisValue) {
	for i, a := range l.axes {
		axes = append(axes, spec.AxisValue{Name: a.name, Value: []byte(a.texts[c[i]])})
	}
	return axes
}

// position is a combination as expressions see it.
func (l *lattice) position(sweep string, c combination) position {
	p := position{sweep: sweep, value: cty.DynamicVal}
	if len(l.axes) == 0 {
		return p
	}
	object := map[string]cty.Value{}
	for i, a := range l.axes {
		object[a.name] = a.values[c[i]]
		p.axes, p.keys = append(p.axes, a.name), append(p.keys, a.texts[c[i]])
	}
	p.value = cty.ObjectVal(object)
	return p
}

// describe is a position for messages: "policy = "lru", load = 0.8".
func (p position) describe() string {
	var parts []string
	for i, name := range p.axes {
		parts = append(parts, name+" = "+p.keys[i])
	}
	return strings.Join(parts, ", ")
}

// restored is the position of a point that was recorded.
func restored(sweep string, axes []spec.AxisValue) (position, error) {
	l, c := lattice{}, combination{}
	var err error
	for _, a := range axes {
		v, more := jsonValue(a.Value)
		err = errors.Join(err, more)
		l.axes, c = append(l.axes, axis{a.Name, []cty.Value{v}, []string{string(a.Value)}}), append(c, 0)
	}
	return l.position(sweep, c), err
}

// unknownPoint is the lattice of a sweep whose values are not known: one
// combination, of nothing.
var unknownPoint = &lattice{points: []combination{{}}}

// expand lists the points of a sweep. What is wrong has been reported when it
// returns unknownPoint.
func (e *evaluator) expand(sweep *instance) *lattice {
	if l, ok := e.memo[sweep.Block].(*lattice); ok {
		return l
	}
	l := e.lattice(sweep)
	e.memo[sweep.Block] = l
	return l
}

func (e *evaluator) lattice(sweep *instance) *lattice {
	e.settled(sweep.Block)
	if sweep.in.m.broken[addr{"sweep", sweep.Label}] {
		return unknownPoint
	}
	l := &lattice{}
	mode := decode.Get[string](sweep.Block, "mode")
	switch {
	case mode == "list":
		if !e.listed(sweep, l) {
			return unknownPoint
		}
	case len(sweep.All("axis")) == 0:
		e.report(diag.Problem{ID: "AIN1103", Summary: sweep.Scope.Owner + " needs an axis block", At: &sweep.Range, Notes: []diag.Note{diag.Help(`write axis "rate" { values = ["10/s", "100/s"] }`)}})
		return unknownPoint
	default:
		for _, b := range sweep.All("axis") {
			a, ok := e.axis(b)
			if !ok {
				return unknownPoint
			}
			if i := slices.IndexFunc(l.axes, func(have axis) bool { return have.name == a.name }); i >= 0 {
				e.report(diag.Problem{ID: "AIN1109", Summary: fmt.Sprintf("axis %q is declared twice", a.name), At: &b.Range, Related: []diag.Related{{At: sweep.All("axis")[i].Range, Label: "the first is here"}}})
				return unknownPoint
			}
			l.axes = append(l.axes, a)
		}
	}
	if len(l.axes) > maxAxes {
		e.report(diag.Problem{ID: "AIN1603", Summary: fmt.Sprintf("%s has more than %d axes", sweep.Scope.Owner, maxAxes), At: &sweep.Range})
		return unknownPoint
	}
	if !e.combine(sweep, mode, l) || !e.exclude(sweep, l) || !e.include(sweep, l) {
		return unknownPoint
	}
	if len(l.points) == 0 {
		e.report(diag.Problem{ID: "AIN1603", Summary: sweep.Scope.Owner + " excludes every point", At: &sweep.Range})
		return unknownPoint
	}
	return l
}

// axisNames lists the axes of a sweep, whatever their values.
func (e *evaluator) axisNames(sweep *instance) (names []string) {
	for _, b := range sweep.All("axis") {
		names = append(names, b.Label)
	}
	if points, known := sweep.Attrs["points"].Go.(cty.Value); known && points.CanIterateElements() {
		for _, p := range points.Elements() {
			if p.Type().IsObjectType() {
				return append(names, attributes(p)...)
			}
		}
	}
	return names
}

// combine lists the combinations that the mode makes.
func (e *evaluator) combine(sweep *instance, mode string, l *lattice) bool {
	sample := int(decode.Get[int64](sweep.Block, "sample"))
	chance := stream.New(uint64(decode.Get[int64](sweep.Block, "seed")), "sweep", sweep.Label)
	wrong := func(format string, args ...any) bool {
		e.report(diag.Problem{ID: "AIN1603", Summary: fmt.Sprintf(format, args...), At: &sweep.Range})
		return false
	}
	if needs := mode == "random" || mode == "latin"; needs != sweep.Attrs["sample"].Given {
		if needs {
			return wrong("%s needs sample: how many points?", sweep.Scope.Owner)
		}
		return wrong("%s has sample, which is of mode random or latin", sweep.Scope.Owner)
	}
	if (mode == "list") != sweep.Attrs["points"].Given {
		if mode == "list" {
			return wrong("%s needs points: mode list takes them as they are", sweep.Scope.Owner)
		}
		return wrong("%s has points, which are of mode list", sweep.Scope.Owner)
	}
	total := 1
	for _, a := range l.axes {
		total = min(total*len(a.values), 1<<40)
	}
	switch mode {
	case "list": // done
	case "zip":
		for _, a := range l.axes {
			if n := len(l.axes[0].values); len(a.values) != n {
				return wrong("%s pairs %d values of axis %q with %d of axis %q", sweep.Scope.Owner, n, l.axes[0].name, len(a.values), a.name)
			}
		}
		for i := range l.axes[0].values {
			l.points = append(l.points, slices.Repeat(combination{i}, len(l.axes)))
		}
	case "random":
		if sample > total {
			return wrong("%s samples %d of %d points", sweep.Scope.Owner, sample, total)
		}
		l.points = randomPoints(l.axes, sample, total, chance)
	case "latin":
		l.points = latinPoints(l.axes, sample, chance)
	case "pairs":
		l.points = pairwise(l.axes, chance)
	default:
		if total > maxPoints {
			return wrong("%s has more than %d points", sweep.Scope.Owner, maxPoints)
		}
		for i := range total {
			l.points = append(l.points, nth(l.axes, i))
		}
	}
	if len(l.points) > maxPoints {
		return wrong("%s has more than %d points", sweep.Scope.Owner, maxPoints)
	}
	return true
}

// nth is the combination number i of the grid, the first axis varying slowest.
func nth(axes []axis, i int) combination {
	c := make(combination, len(axes))
	for k := len(axes) - 1; k >= 0; k-- {
		c[k] = i % len(axes[k].values)
		i /= len(axes[k].values)
	}
	return c
}

// randomPoints are n different points of a grid of total, in the order of the
// grid (R. W. Floyd, J. Bentley: Programming pearls: a sample of brilliance,
// 1987, doi:10.1145/30401.315746).
func randomPoints(axes []axis, n, total int, chance *rand.Rand) (points []combination) {
	chosen := map[int]bool{}
	for j := total - n; j < total; j++ {
		if i := chance.IntN(j + 1); !chosen[i] {
			chosen[i] = true
		} else {
			chosen[j] = true
		}
	}
	var all []int
	for i := range chosen {
		all = append(all, i)
	}
	slices.Sort(all)
	for _, i := range all {
		points = append(points, nth(axes, i))
	}
	return points
}

// latinPoints are n points in which each axis has its values equally often, to
// within one (M. D. McKay, R. J. Beckman, W. J. Conover 1979, doi:10.2307/1268522).
// Two may be the same point when the grid is small.
func latinPoints(axes []axis, n int, chance *rand.Rand) []combination {
	points := make([]combination, n)
	for i := range points {
		points[i] = make(combination, len(axes))
	}
	for k, a := range axes {
		order := chance.Perm(n)
		first := chance.Perm(len(a.values)) // which values are had once more
		for i, stratum := range order {
			points[i][k] = first[stratum%len(a.values)]
		}
	}
	slices.SortFunc(points, func(a, b combination) int { return slices.Compare(a, b) })
	return slices.CompactFunc(points, func(a, b combination) bool { return slices.Equal(a, b) })
}

// pairwise are points in which every value of each axis meets every value of
// each other one, found greedily, as AETG does (D. M. Cohen et al. 1997,
// doi:10.1109/32.605761), with one candidate.
func pairwise(axes []axis, chance *rand.Rand) (points []combination) {
	type pair struct{ a, i, b, j int } // value i of axis a with value j of axis b, a < b
	open := map[pair]bool{}
	for a := range axes {
		for b := a + 1; b < len(axes); b++ {
			for i := range axes[a].values {
				for j := range axes[b].values {
					open[pair{a, i, b, j}] = true
					if len(open) > maxPoints*maxAxes {
						return slices.Repeat([]combination{make(combination, len(axes))}, maxPoints+1)
					}
				}
			}
		}
	}
	if len(axes) == 1 {
		for i := range axes[0].values {
			points = append(points, combination{i})
		}
		return points
	}
	meets := func(c combination, a, i, b int) bool {
		if a > b {
			return open[pair{b, c[b], a, i}]
		}
		return open[pair{a, i, b, c[b]}]
	}
	for a := range axes {
		for i := range axes[a].values {
			for b := a + 1; b < len(axes); b++ {
				for j := range axes[b].values {
					if !open[pair{a, i, b, j}] {
						continue
					}
					c := slices.Repeat(combination{-1}, len(axes))
					c[a], c[b] = i, j
					for _, k := range chance.Perm(len(axes)) {
						if c[k] >= 0 {
							continue
						}
						best, most := 0, -1
						for v := range axes[k].values {
							n := 0
							for other, chosen := range c {
								if chosen >= 0 && meets(c, k, v, other) {
									n++
								}
							}
							if n > most {
								best, most = v, n
							}
						}
						c[k] = best
					}
					for x := range c {
						for y := x + 1; y < len(c); y++ {
							delete(open, pair{x, c[x], y, c[y]})
						}
					}
					points = append(points, c)
				}
			}
		}
	}
	return points
}

// axis is an axis block; ok is false when its values are unknown or wrong.
func (e *evaluator) axis(b *decode.Block) (a axis, ok bool) {
	e.settled(b)
	attr := b.Attrs["values"]
	v, known := attr.Go.(cty.Value)
	if !known || !v.IsWhollyKnown() {
		return a, false
	}
	if t := v.Type(); t.IsObjectType() || t.IsMapType() || !v.CanIterateElements() || v.LengthInt() == 0 {
		e.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("values of axis %q is a list of at least one", b.Label), At: &attr.Range})
		return a, false
	}
	a.name = b.Label
	seen := map[string]bool{}
	for _, value := range v.Elements() {
		text := string(marshal(value))
		if seen[text] {
			e.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("axis %q has %s twice", b.Label, text), At: &attr.Range})
			return a, false
		}
		seen[text] = true
		a.values, a.texts = append(a.values, value), append(a.texts, text)
	}
	return a, true
}

// listed takes the points of mode list, which may name axes that have no block.
func (e *evaluator) listed(sweep *instance, l *lattice) bool {
	attr := sweep.Attrs["points"]
	v, known := attr.Go.(cty.Value)
	if !known || !v.IsWhollyKnown() {
		return !attr.Given // combine reports that there are none
	}
	if t := v.Type(); t.IsObjectType() || t.IsMapType() || !v.CanIterateElements() || v.LengthInt() == 0 {
		e.report(diag.Problem{ID: "AIN1203", Summary: "points is a list of at least one object", At: &attr.Range})
		return false
	}
	for _, name := range e.axisNames(sweep) {
		if !slices.ContainsFunc(l.axes, func(a axis) bool { return a.name == name }) {
			l.axes = append(l.axes, axis{name: name})
		}
	}
	for _, p := range v.Elements() {
		if !e.add(l, p, attr.Range) {
			return false
		}
	}
	return true
}

// include adds the points of include blocks.
func (e *evaluator) include(sweep *instance, l *lattice) bool {
	for _, b := range sweep.All("include") {
		attr := b.Attrs["point"]
		v, known := attr.Go.(cty.Value)
		if !known || !v.IsWhollyKnown() {
			return false
		}
		if !e.add(l, v, attr.Range) {
			return false
		}
	}
	return true
}

// add adds a point given as an object of the axes.
func (e *evaluator) add(l *lattice, point cty.Value, at hcl.Range) bool {
	wrong := func(format string, args ...any) bool {
		e.report(diag.Problem{ID: "AIN1603", Summary: fmt.Sprintf(format, args...), At: &at})
		return false
	}
	if t := point.Type(); point.IsNull() || !t.IsObjectType() && !t.IsMapType() {
		return wrong("a point is an object with a value for each axis, got %s", t.FriendlyName())
	}
	values := point.AsValueMap()
	c := make(combination, len(l.axes))
	for i := range l.axes {
		a := &l.axes[i]
		v, ok := values[a.name]
		if !ok {
			return wrong("this point has no value for axis %q", a.name)
		}
		delete(values, a.name)
		text := string(marshal(v))
		if c[i] = slices.Index(a.texts, text); c[i] < 0 {
			c[i] = len(a.texts)
			a.values, a.texts = append(a.values, v), append(a.texts, text)
		}
	}
	for name := range values {
		return wrong("there is no axis %q", name)
	}
	if !slices.ContainsFunc(l.points, func(have combination) bool { return slices.Equal(have, c) }) {
		l.points = append(l.points, c)
	}
	if len(l.points) > maxPoints {
		return wrong("more than %d points", maxPoints)
	}
	return true
}

// exclude takes out what the exclude blocks say.
func (e *evaluator) exclude(sweep *instance, l *lattice) bool {
	blocks := sweep.All("exclude")
	if len(blocks) == 0 {
		return true
	}
	var kept []combination
	for _, c := range l.points {
		reason, out, ok := e.excluded(blocks, l.position("", c))
		if !ok {
			return false
		}
		if out {
			l.skipped = append(l.skipped, spec.Skipped{Axes: l.values(c), Reason: reason})
			continue
		}
		kept = append(kept, c)
	}
	l.points = kept
	return true
}

// excluded reports whether a block leaves a point out, and why; ok is false when a block is wrong.
func (e *evaluator) excluded(blocks []*decode.Block, p position) (reason string, out, ok bool) {
	for _, exclude := range blocks {
		when := exclude.Exprs["when"]
		errors := len(e.diags)
		v := e.expression(when, decode.Scope{Owner: schema.Owner("exclude"), Vars: map[string]cty.Value{"point": p.value}})
		if len(e.diags) > errors {
			return "", false, false
		}
		if !v.IsKnown() {
			continue
		}
		yes, err := convert.Convert(v, cty.Bool)
		if err != nil || yes.IsNull() || yes.IsMarked() {
			at := when.Range()
			e.report(diag.Problem{ID: "AIN1203", Summary: "when wants a bool, got " + v.Type().FriendlyName(), At: &at})
			return "", false, false
		}
		if yes.True() {
			return decode.Get[string](exclude, "reason"), true, true
		}
	}
	return "", false, true
}
