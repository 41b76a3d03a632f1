package funcs_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/funcs"
)

// result is the rows of a sweep over server and clients.
const result = `[
  { point = "p1", server = "http", clients = 1, axes = { server = "http", clients = 1 }, latency = { p50 = 0.010, p99 = 0.080 }, throughput = 100 },
  { point = "p2", server = "unix", clients = 1, axes = { server = "unix", clients = 1 }, latency = { p50 = 0.005, p99 = 0.020 }, throughput = 400 },
  { point = "p3", server = "http", clients = 8, axes = { server = "http", clients = 8 }, latency = { p50 = 0.030, p99 = null }, throughput = 150 },
  { point = "p4", server = "unix", clients = 8, axes = { server = "unix", clients = 8 }, latency = { p50 = 0.010, p99 = 0.040 }, throughput = 1350 },
]`

func TestResults(t *testing.T) {
	for text, want := range map[string]string{
		`[for r in where(R, { server = "unix" }) : r.point]`:                         `["p2","p4"]`,
		`[for r in where(R, { server = "unix", clients = 8 }) : r.point]`:            `["p4"]`,
		`[for r in where(R, { clients = "8" }) : r.point]`:                           `["p3","p4"]`,
		`[for r in where(R, { "latency.p50" = 0.01 }) : r.point]`:                    `["p1","p4"]`,
		`[for r in where(R, { "latency.p99" = null }) : r.point]`:                    `["p3"]`,
		`[for r in where(R, { axes = { server = "http", clients = 1 } }) : r.point]`: `["p1"]`,
		`where(R, { server = "udp" })`:                                               `[]`,
		`where(R, { server = ["unix"] })`:                                            `[]`,
		`length(where(R, {}))`:                                                       `4`,
		`where([], { anything = 1 })`:                                                `[]`,
		`length(where({ results = R }, { clients = 1 }))`:                            `2`,
		`length(where(tolist([{ a = 1 }, { a = 2 }]), { a = 2 }))`:                   `1`,
		`where([tomap({ a = 1 })], { a = 1 })[0].a`:                                  `1`,
		`[for r in where([{ a = 1 }, { b = 1 }], { b = 1 }) : keys(r)]`:              `[["b"]]`,

		`[for g in group(R, ["server"]) : "${g.key.server}:${join(",", g.rows[*].point)}"]`: `["http:p1,p3","unix:p2,p4"]`,
		`length(group(R, ["server", "clients"]))`:                                           `4`,
		`length(group(R, []))`: `1`,
		`[for g in group(R, ["latency.p50"]) : g.key["latency.p50"]]`: `[0.01,0.005,0.03]`,
		`group([], ["server"])`: `[]`,
		`[for g in group([{ a = 1 }, { b = 1 }], ["a"]) : g.key.a]`: `[1,null]`,

		`ratio(R, "throughput", { server = "unix" }, { server = "http" })`:                                                    `{"geomean":6,"max":9,"mean":6.5,"min":4,"values":[4,9]}`,
		`ratio(R, "latency.p50", { server = "http" }, { server = "unix" }).values`:                                            `[2,3]`,
		`ratio(R, "throughput", { clients = 8 }, { clients = 1 }).values`:                                                     `[1.5,3.375]`,
		`ratio(R, "throughput", { server = "unix", clients = 8 }, { server = "http", clients = 1 }).values`:                   `[13.5]`,
		`ratio(where(R, { clients = 1 }), "latency.p99", { server = "http" }, { server = "unix" }).max`:                       `4`,
		`ratio([for r in R : r if r.point != "p3"], "throughput", { server = "unix" }, { server = "http" }).values`:           `[4]`,
		`ratio([{ axes = { a = 1 }, a = 1, t = -1 }, { axes = { a = 2 }, a = 2, t = 1 }], "t", { a = 1 }, { a = 2 }).geomean`: `null`,
		`ratio([{ axes = { a = 1 }, a = 1, t = 0 }, { axes = { a = 2 }, a = 2, t = 1 }], "t", { a = 1 }, { a = 2 }).geomean`:  `0`,

		`best(R, { metric = "latency.p50" })`:                                      `[{"clients":1,"server":"unix"}]`,
		`best(R, { metric = "throughput", goal = "max", keep = 2 })`:               `[{"clients":8,"server":"unix"},{"clients":1,"server":"unix"}]`,
		`best(R, { metric = "latency.p99", goal = "max", keep = 9 })[*].clients`:   `[1,8,1]`,
		`best(R, { metric = "latency.p50", keep = 4 })[*].server`:                  `["unix","http","unix","http"]`,
		`best(R, { metric = "latency.p50", at = { clients = 8 } })`:                `[{"clients":8,"server":"unix"}]`,
		`best({ results = R }, { metric = "throughput", goal = "min" })[0].server`: `"http"`,

		`fidelity(R, R, "throughput")`: `{"mean_absolute_error":0,"relative_error":0,"spearman":1,"worst":0}`,
		`fidelity([for r in R : merge(r, { throughput = r.throughput * 1.5 })], where(R, { server = "unix" }), "throughput")`: `{"mean_absolute_error":437.5,"relative_error":0.5,"spearman":1,"worst":0.5}`,
		`fidelity([for r in R : merge(r, { throughput = 1000 - r.throughput })], R, "throughput").spearman`:                   `-1`,
		`fidelity(where(R, { point = "p1" }), R, "latency.p99").spearman`:                                                     `null`,
	} {
		got, err := eval(t, ".", strings.ReplaceAll(text, "R", result))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestResultErrors(t *testing.T) {
	for text, want := range map[string]string{
		`where(R, { sever = "unix" })`:       "no row has \"sever\"; they have axes, clients, latency, point, server, throughput",
		`where(R, { "latency.p98" = 1 })`:    "latency has p50, p99",
		`where(R, { "throughput.p99" = 1 })`: "throughput has no names",
		`where(1, {})`:                       "want the rows of a result, got number",
		`where([1], {})`:                     "one is number",
		`where(R, "unix")`:                   "want an object such as",
		`group(R, ["servers"])`:              "no row has \"servers\"",
		`group(R, "server")`:                 "list",
		`ratio(R, "latency", { server = "unix" }, { server = "http" })`:                                                            "such as \"latency.p50\"",
		`ratio(R, "point", { server = "unix" }, { server = "http" })`:                                                              "is string; name a number",
		`ratio(R, "latency.p99", { server = "unix" }, { server = "http" })`:                                                        "is null at a point (\"clients\":8)",
		`ratio(R, "throughput", { server = "udp" }, { server = "http" })`:                                                          "no row has these values",
		`ratio(R, "throughput", { clients = 1 }, { server = "http" })`:                                                             "two rows have the same axes (no other axis)",
		`ratio(where(R, { clients = 1 }), "throughput", { server = "unix" }, { clients = 1 })`:                                     "two rows have the same axes (no other axis)",
		`ratio([{ a = 1, t = 1 }, { a = 2, t = 1 }], "t", { a = 1 }, { a = 2 })`:                                                   "no axes",
		`ratio([{ axes = { a = 1 }, a = 1, t = 0 }, { axes = { a = 2 }, a = 2, t = 0 }], "t", { a = 1 }, { a = 2 })`:               "nothing can be divided",
		`ratio([{ axes = { a = 1, b = 1 }, a = 1, t = 1 }, { axes = { a = 2, b = 2 }, a = 2, t = 1 }], "t", { a = 1 }, { a = 2 })`: "no row of the first has a partner",
		`best(R, {})`:                 "metric is missing",
		`best(R, { metric = "p99" })`: "no row has \"p99\"",
		`best(R, { metric = "throughput", gaol = "max" })`:             "there is no \"gaol\"",
		`best(R, { metric = "throughput", goal = "most" })`:            "goal is",
		`best(R, { metric = "throughput", keep = 0 })`:                 "keep is",
		`best(R, { metric = "throughput", at = 1 })`:                   "want an object",
		`best(R, { metric = "throughput", at = { clients = 3 } })`:     "no row has the values of at",
		`best(where(R, { point = "p3" }), { metric = "latency.p99" })`: "null at every point",
		`best([{ t = 1 }], { metric = "t" })`:                          "no axes",
		`fidelity(R, R, "latency.p99")`:                                "is null at a point",
		`fidelity(R, concat(R, R), "throughput")`:                      "two rows have the same axes",
		`fidelity([], R, "throughput")`:                                "has a partner",
	} {
		got, err := eval(t, ".", strings.ReplaceAll(text, "R", result))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %s, %v, want an error with %q", text, got, err, want)
		}
	}
}

// point is a row of a sweep over a and b.
type point struct {
	a, b int
	t    float64
}

func (p point) row() cty.Value {
	axes := map[string]cty.Value{"a": cty.NumberIntVal(int64(p.a)), "b": cty.NumberIntVal(int64(p.b))}
	row := maps.Clone(axes)
	row["axes"], row["t"] = cty.ObjectVal(axes), funcs.Number(p.t)
	return cty.ObjectVal(row)
}

// sweep draws points with different axes.
func sweep(t *rapid.T) (points []point, rows cty.Value) {
	points = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) point {
		return point{rapid.IntRange(0, 3).Draw(t, "a"), rapid.IntRange(0, 3).Draw(t, "b"), float64(rapid.IntRange(1, 9).Draw(t, "t"))}
	}), 1, 16, func(p point) [2]int { return [2]int{p.a, p.b} }).Draw(t, "points")
	var values []cty.Value
	for _, p := range points {
		values = append(values, p.row())
	}
	return points, cty.TupleVal(values)
}

// Groups are a partition: each is what where finds.
func TestGroupTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, rows := sweep(t)
		total := 0
		for _, g := range call(t, "group", rows, cty.TupleVal([]cty.Value{cty.StringVal("a")})).Elements() {
			total += g.GetAttr("rows").LengthInt()
			if found := call(t, "where", rows, g.GetAttr("key")); !found.RawEquals(g.GetAttr("rows")) {
				t.Fatalf("group %#v, where %#v", g, found)
			}
		}
		if total != len(points) {
			t.Fatalf("%d of %d rows", total, len(points))
		}
	})
}

func TestRatioTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, rows := sweep(t)
		var want []float64
		for _, p := range points {
			for _, q := range points {
				if p.a == 1 && q.a == 2 && p.b == q.b {
					want = append(want, p.t/q.t)
				}
			}
		}
		side := func(a int64) cty.Value { return cty.ObjectVal(map[string]cty.Value{"a": cty.NumberIntVal(a)}) }
		got, err := functions["ratio"].Call([]cty.Value{rows, cty.StringVal("t"), side(1), side(2)})
		if (err != nil) != (len(want) == 0) {
			t.Fatalf("%d pairs, %v", len(want), err)
		}
		if err == nil && !slices.Equal(numbers(got.GetAttr("values")), want) {
			t.Fatalf("%#v, want %v", got, want)
		}
		if err == nil {
			low, mid, high := number(got.GetAttr("min")), number(got.GetAttr("geomean")), number(got.GetAttr("max"))
			if m := number(got.GetAttr("mean")); low > mid*(1+1e-12) || mid > m*(1+1e-12) || m > high*(1+1e-12) {
				t.Fatalf("min %g, geomean %g, mean %g, max %g", low, mid, m, high)
			}
		}
	})
}

func TestBestTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, rows := sweep(t)
		keep := rapid.IntRange(1, 5).Draw(t, "keep")
		goal := rapid.SampledFrom([]string{"min", "max"}).Draw(t, "goal")
		got := call(t, "best", rows, cty.ObjectVal(map[string]cty.Value{
			"metric": cty.StringVal("t"), "goal": cty.StringVal(goal), "keep": cty.NumberIntVal(int64(keep)),
		}))
		slices.SortStableFunc(points, func(p, q point) int {
			if goal == "max" {
				p, q = q, p
			}
			return cmp.Compare(p.t, q.t)
		})
		var want []cty.Value
		for _, p := range points[:min(keep, len(points))] {
			want = append(want, p.row().GetAttr("axes"))
		}
		if !got.RawEquals(cty.TupleVal(want)) {
			t.Fatalf("%#v, want %#v", got, want)
		}
	})
}

// Scaling one side by a factor is an error of that factor at every point, and
// keeps the order.
func TestFidelityScaled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, rows := sweep(t)
		factor := rapid.Float64Range(0.1, 3).Draw(t, "factor")
		var scaled []cty.Value
		values := map[float64]bool{}
		for _, p := range slices.Backward(points) {
			values[p.t] = true
			p.t *= factor
			scaled = append(scaled, p.row())
		}
		got := call(t, "fidelity", cty.TupleVal(scaled), rows, cty.StringVal("t"))
		if e := number(got.GetAttr("relative_error")); math.Abs(e-(factor-1)) > 1e-9 {
			t.Fatalf("relative error %g, want %g", e, factor-1)
		}
		if e := number(got.GetAttr("worst")); math.Abs(e-math.Abs(factor-1)) > 1e-9 {
			t.Fatalf("worst %g, want %g", e, math.Abs(factor-1))
		}
		s := got.GetAttr("spearman")
		if len(values) == 1 != s.IsNull() || !s.IsNull() && math.Abs(number(s)-1) > 1e-9 {
			t.Fatalf("spearman %#v of %d values", s, len(values))
		}
	})
}

// The functions on the rows of a result.
func ExampleDocs() {
	for _, d := range funcs.Docs() {
		if d.Group == "Results" {
			fmt.Println(d.Signature)
		}
	}
	// Output:
	// where(rows, values)
	// group(rows, axes)
	// ratio(rows, metric, over, under)
	// best(rows, choice)
	// fidelity(a, b, metric)
}
