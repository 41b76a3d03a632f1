package funcs_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/units"
)

var functions = funcs.All(".")

// call calls a function that must not fail.
func call(t rapid.TB, name string, args ...cty.Value) cty.Value {
	t.Helper()
	v, err := functions[name].Call(args)
	if err != nil {
		t.Fatalf("%s(%#v): %v", name, args, err)
	}
	return v
}

func number(v cty.Value) float64 {
	f, _ := v.AsBigFloat().Float64()
	return f
}

func numbers(v cty.Value) (xs []float64) {
	for _, e := range v.Elements() {
		xs = append(xs, number(e))
	}
	return xs
}

func list(xs []float64) cty.Value {
	var vs []cty.Value
	for _, x := range xs {
		vs = append(vs, funcs.Number(x))
	}
	return cty.TupleVal(vs)
}

func near(a, b, relative float64) bool {
	return math.Abs(a-b) <= relative*max(math.Abs(a), math.Abs(b), 1e-300)
}

// The 0.975-quantiles of Student's t of the NIST/SEMATECH e-Handbook of
// Statistical Methods, 1.3.6.7.2, and the 0.995-quantiles beside them.
func TestStudentTable(t *testing.T) {
	for n, want := range map[int][2]float64{
		1: {12.706, 63.657}, 2: {4.303, 9.925}, 3: {3.182, 5.841}, 4: {2.776, 4.604}, 5: {2.571, 4.032}, 6: {2.447, 3.707}, 7: {2.365, 3.499},
		8: {2.306, 3.355}, 9: {2.262, 3.250}, 10: {2.228, 3.169}, 15: {2.131, 2.947}, 20: {2.086, 2.845}, 25: {2.060, 2.787}, 30: {2.042, 2.750},
		40: {2.021, 2.704}, 60: {2.000, 2.660}, 80: {1.990, 2.639}, 100: {1.984, 2.626}, 99_999: {1.960, 2.576},
	} {
		for i, p := range []float64{0.95, 0.99} {
			if got := funcs.StudentT(p, n); math.Abs(got-want[i]) > 0.0006 {
				t.Errorf("t(%g, %d) is %.4f, want %.3f", p, n, got, want[i])
			}
		}
	}
}

// The quantile is where the density, summed up step by step, has the probability.
func TestStudentTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "n")
		p := rapid.Float64Range(0.05, 0.99).Draw(t, "p")
		q := funcs.StudentT(p, n)
		v := float64(n)
		a, _ := math.Lgamma((v + 1) / 2)
		b, _ := math.Lgamma(v / 2)
		density := func(x float64) float64 {
			return math.Exp(a-b-(v+1)/2*math.Log1p(x*x/v)) / math.Sqrt(v*math.Pi)
		}
		const steps = 20_000 // of Simpson's rule
		h := q / steps
		sum := density(0) + density(q)
		for i := 1; i < steps; i++ {
			sum += float64(2+2*(i%2)) * density(float64(i)*h)
		}
		if got := 2 * sum * h / 3; math.Abs(got-p) > 1e-8 {
			t.Fatalf("t(%g, %d) = %g has probability %g", p, n, q, got)
		}
	})
}

func TestBeta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(0.001, 0.999).Draw(t, "x")
		a, b := rapid.Float64Range(0.1, 50).Draw(t, "a"), rapid.Float64Range(0.1, 50).Draw(t, "b")
		for what, pair := range map[string][2]float64{
			"I(x, a, 1) = x^a":              {funcs.BetaI(x, a, 1), math.Pow(x, a)},
			"I(x, 1, b) = 1 - (1-x)^b":      {funcs.BetaI(x, 1, b), -math.Expm1(b * math.Log1p(-x))},
			"I(x, a, b) = 1 - I(1-x, b, a)": {funcs.BetaI(x, a, b), 1 - funcs.BetaI(1-x, b, a)},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-10 {
				t.Fatalf("%s: %g and %g", what, pair[0], pair[1])
			}
		}
	})
}

// Of many samples, the interval of 95% holds the true mean.
func TestCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{2, 5, 20} {
		const rounds = 4000
		covered := 0
		for range rounds {
			var xs []float64
			for range n {
				xs = append(xs, 10+3*r.NormFloat64())
			}
			ci := call(t, "ci95", list(xs))
			low, high := number(ci.GetAttr("low")), number(ci.GetAttr("high"))
			if low <= 10 && 10 <= high {
				covered++
			}
			if !near(high-low, 2*number(ci.GetAttr("half_width")), 1e-9) || number(ci.GetAttr("mean")) < low {
				t.Fatalf("%#v", ci)
			}
		}
		if share := float64(covered) / rounds; math.Abs(share-0.95) > 0.015 {
			t.Errorf("of samples of %d, %.1f%% cover the mean", n, 100*share)
		}
	}
}

func TestQuantileTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 30).Draw(t, "xs")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		got := number(call(t, "quantile", list(xs), funcs.Number(q)))
		slices.Sort(xs)
		want := 0.0 // on the line through (i/(n-1), xs[i])
		for i := range xs {
			d := 1 - math.Abs(q*float64(len(xs)-1)-float64(i))
			want += max(0, d) * xs[i]
		}
		if math.Abs(got-want) > 1e-6 {
			t.Fatalf("quantile(%v, %g) is %g, want %g", xs, q, got, want)
		}
	})
}

func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(-1e3, 1e3), 2, 30).Draw(t, "xs")
		shift := rapid.Float64Range(-1e3, 1e3).Draw(t, "shift")
		var moved []float64
		square := 0.0
		for _, x := range xs {
			moved = append(moved, x+shift)
			for _, y := range xs {
				square += (x - y) * (x - y)
			}
		}
		s := number(call(t, "stddev", list(xs)))
		n := float64(len(xs))
		if want := math.Sqrt(square / 2 / n / (n - 1)); math.Abs(s-want) > 1e-6 || math.Abs(s-number(call(t, "stddev", list(moved)))) > 1e-6 {
			t.Fatalf("stddev(%v) is %g, want %g", xs, s, want)
		}
	})
}

func TestSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float64Range(1e-9, 1e9).Draw(t, "a")
		b := rapid.Float64Range(1e-9, 1e9).Draw(t, "b")
		n := rapid.IntRange(2, 200).Draw(t, "n")
		count := cty.NumberIntVal(int64(n))
		for _, name := range []string{"linspace", "geomspace"} {
			xs := numbers(call(t, name, funcs.Number(a), funcs.Number(b), count))
			if len(xs) != n || xs[0] != a || xs[n-1] != b {
				t.Fatalf("%s(%g, %g, %d) is %v", name, a, b, n, xs)
			}
			for i := 2; i < n; i++ {
				even := math.Abs((xs[i]-xs[i-1])-(xs[1]-xs[0])) <= 1e-12*max(a, b)
				if name == "geomspace" {
					even = near(xs[i]/xs[i-1], xs[1]/xs[0], 1e-11)
				}
				if !even {
					t.Fatalf("%s(%g, %g, %d) is uneven at %d: %v", name, a, b, n, i, xs)
				}
			}
		}
		logs := numbers(call(t, "logspace", funcs.Number(math.Log10(a)), funcs.Number(math.Log10(b)), count))
		if !near(logs[0], a, 1e-12) || !near(logs[n-1], b, 1e-12) {
			t.Fatalf("logspace from %g to %g is %v", a, b, logs)
		}
	})
}

func TestPowers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := float64(rapid.IntRange(-2000, 2000).Draw(t, "hundredths")) / 100
		first := rapid.IntRange(0, 20).Draw(t, "first")
		last := first + rapid.IntRange(0, 20).Draw(t, "more")
		got := numbers(call(t, "powers", funcs.Number(base), cty.NumberIntVal(int64(first)), cty.NumberIntVal(int64(last))))
		for i, x := range got {
			if !near(x, math.Pow(base, float64(first+i)), 1e-12) {
				t.Fatalf("%g^%d is %g", base, first+i, x)
			}
		}
		if len(got) != last-first+1 {
			t.Fatalf("%d powers from %d to %d", len(got), first, last)
		}
	})
}

func TestZipf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		s := rapid.Float64Range(0, 5).Draw(t, "s")
		weights := numbers(call(t, "zipf", cty.NumberIntVal(int64(n)), funcs.Number(s)))
		sum := 0.0
		for i, w := range weights {
			sum += w
			if i > 0 && w > weights[i-1] {
				t.Fatalf("weight %d of zipf(%d, %g) is above the one before", i, n, s)
			}
		}
		if math.Abs(sum-1) > 1e-12 || len(weights) != n {
			t.Fatalf("zipf(%d, %g) has %d weights that sum to %v", n, s, len(weights), sum)
		}
	})
}

func TestRangeTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var args []cty.Value
		for _, x := range rapid.SliceOfN(rapid.IntRange(-20, 20), 1, 3).Draw(t, "args") {
			args = append(args, cty.NumberIntVal(int64(x)))
		}
		got, err := functions["range"].Call(args)
		want, wantErr := stdlib.RangeFunc.Call(args)
		if (err == nil) != (wantErr == nil) || err == nil && !got.RawEquals(want) {
			t.Fatalf("range(%#v) is %#v, %v; cty says %#v, %v", args, got, err, want, wantErr)
		}
	})
}

// A host list gives back the names it was made of.
func TestHostlistRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, parts []string
		digits := rapid.IntRange(1, 4).Draw(t, "digits")
		next := 0
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			low := next + rapid.IntRange(0, 3).Draw(t, "gap")
			high := low + rapid.IntRange(0, 12).Draw(t, "more")
			part := fmt.Sprintf("%0*d-%d", digits, low, high)
			if low == high {
				part = fmt.Sprintf("%0*d", digits, low)
			}
			parts = append(parts, part)
			for n := low; n <= high; n++ {
				want = append(want, fmt.Sprintf("rack-%0*d.lab", digits, n))
			}
			next = high + 1
		}
		text := "rack-[" + strings.Join(parts, ",") + "].lab"
		var got []string
		for _, v := range call(t, "hostlist", cty.StringVal(text)).Elements() {
			got = append(got, v.AsString())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", text, diff)
		}
	})
}

// What human writes can be read back, to the digits that it writes.
func TestHumanRoundTrip(t *testing.T) {
	seconds := func(s string) (float64, error) { d, err := units.Duration(s); return d.Seconds(), err }
	bytes := func(s string) (float64, error) { n, err := units.Bytes(s); return float64(n), err }
	for kind, k := range map[string]struct {
		parse    func(string) (float64, error)
		low      float64
		relative float64
	}{"seconds": {seconds, 1e-6, 0.01}, "bytes": {bytes, 1, 0.6}, "rate": {units.Rate, 1e-3, 0.006}} {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				x := math.Exp(rapid.Float64Range(math.Log(k.low), math.Log(1e9)).Draw(t, "log"))
				text := call(t, "human", funcs.Number(x), cty.StringVal(kind)).AsString()
				back, err := k.parse(text)
				if err != nil || !near(back, x, k.relative) {
					t.Fatalf("%g is written %q, and read as %g, %v", x, text, back, err)
				}
			})
		})
	}
}

// Parts of a network are next to one another, and start where cidrhost says.
func TestSubnets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"10.0.0.0/8", "192.168.4.0/22", "fd00::/48"}).Draw(t, "prefix")
		bits := rapid.IntRange(0, 10).Draw(t, "bits")
		n := rapid.IntRange(0, 1<<bits-1).Draw(t, "n")
		free := map[string]int{"10.0.0.0/8": 24, "192.168.4.0/22": 10, "fd00::/48": 80}[prefix]
		subnet := call(t, "cidrsubnet", cty.StringVal(prefix), cty.NumberIntVal(int64(bits)), cty.NumberIntVal(int64(n)))
		hosts := func(parts int, less int64) cty.Value {
			n := new(big.Int).Lsh(big.NewInt(int64(parts)), uint(free-bits))
			return cty.NumberVal(new(big.Float).SetInt(n.Sub(n, big.NewInt(less))))
		}
		first := call(t, "cidrhost", subnet, cty.Zero)
		last := call(t, "cidrhost", subnet, cty.NumberIntVal(-1))
		wantFirst := call(t, "cidrhost", cty.StringVal(prefix), hosts(n, 0))
		wantLast := call(t, "cidrhost", cty.StringVal(prefix), hosts(n+1, 1))
		if !first.RawEquals(wantFirst) || !last.RawEquals(wantLast) {
			t.Fatalf("%#v goes from %#v to %#v, want %#v to %#v", subnet, first, last, wantFirst, wantLast)
		}
	})
}

// fileset finds what a regular expression made of the pattern does.
func TestFilesetTwin(t *testing.T) {
	root := t.TempDir()
	var all []string
	for _, dir := range []string{"", "a", "b", "a/a", "a/b", "a/b/c", "c/b/a/b"} {
		for _, name := range []string{"x.csv", "y.txt", "ab", "ab.csv"} {
			path := filepath.Join(root, dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			all = append(all, filepath.ToSlash(filepath.Join(dir, name)))
		}
	}
	slices.Sort(all)
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "**", "*.csv", "?.*", "a*", "[ab]"}), 1, 5).Draw(t, "parts")
		var re strings.Builder
		for i, part := range parts {
			last := i == len(parts)-1
			switch {
			case part == "**" && last:
				re.WriteString(".+")
			case part == "**":
				re.WriteString("(?:[^/]+/)*")
			default:
				re.WriteString(strings.NewReplacer(".", `\.`, "*", "[^/]*", "?", "[^/]").Replace(part))
				if !last {
					re.WriteString("/")
				}
			}
		}
		pattern := regexp.MustCompile("^" + re.String() + "$")
		var want, got []string
		for _, path := range all {
			if pattern.MatchString(path) {
				want = append(want, path)
			}
		}
		for _, v := range call(t, "fileset", cty.StringVal(root), cty.StringVal(strings.Join(parts, "/"))).Elements() {
			got = append(got, v.AsString())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", strings.Join(parts, "/"), diff)
		}
	})
}

func TestReplaceTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab ñ]{0,20}`).Draw(t, "text")
		pattern := rapid.SampledFrom([]string{"a", "(a)(b)?", "a*", "^a", `\b`, "[^ ]+", "(?P<x>b)"}).Draw(t, "pattern")
		with := rapid.SampledFrom([]string{"", "-", "$1$0", "${x}!", "$$"}).Draw(t, "with")
		got := call(t, "replace", cty.StringVal(text), cty.StringVal("/"+pattern+"/"), cty.StringVal(with)).AsString()
		if want := regexp.MustCompile(pattern).ReplaceAllString(text, with); got != want {
			t.Fatalf("replace(%q, /%s/, %q) is %q, want %q", text, pattern, with, got, want)
		}
	})
}

// elements are values of which lists are made.
var elements = rapid.SampledFrom([]cty.Value{
	cty.Zero, cty.NumberIntVal(1), cty.StringVal("1"), cty.StringVal(""), cty.True, cty.NullVal(cty.String), cty.UnknownVal(cty.Number),
	cty.EmptyTupleVal, cty.TupleVal([]cty.Value{cty.Zero, cty.StringVal("a")}), cty.ListVal([]cty.Value{cty.True}), cty.DynamicVal,
	cty.ObjectVal(map[string]cty.Value{"a": cty.Zero}), cty.MapVal(map[string]cty.Value{"a": cty.StringVal("x")}), cty.StringVal("s").Mark("sensitive"),
})

// Conversions give what those of cty do.
func TestCoerceTwin(t *testing.T) {
	types := []cty.Type{
		cty.String, cty.Number, cty.Bool, cty.DynamicPseudoType, cty.List(cty.String), cty.List(cty.Number), cty.List(cty.DynamicPseudoType),
		cty.Set(cty.String), cty.Set(cty.DynamicPseudoType), cty.Map(cty.String), cty.Map(cty.DynamicPseudoType), cty.Map(cty.List(cty.String)), cty.List(cty.List(cty.DynamicPseudoType)),
	}
	rapid.Check(t, func(t *rapid.T) {
		vs := rapid.SliceOfN(elements, 0, 4).Draw(t, "elements")
		v := cty.TupleVal(vs)
		if rapid.Bool().Draw(t, "object") {
			named := map[string]cty.Value{}
			for i, e := range vs {
				named[fmt.Sprint("k", i)] = e
			}
			v = cty.ObjectVal(named)
		}
		want := rapid.SampledFrom(types).Draw(t, "type")
		got, err := funcs.Coerce(v, want)
		twin, twinErr := convert.Convert(v, want)
		if (err == nil) != (twinErr == nil) || err == nil && !got.RawEquals(twin) {
			t.Fatalf("%#v as %s is %#v, %v; cty says %#v, %v", v, want.FriendlyName(), got, err, twin, twinErr)
		}
	})
}

func TestDistinctTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var vs []cty.Value
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 6), 1, 20).Draw(t, "numbers") {
			vs = append(vs, cty.NumberIntVal(int64(n)))
		}
		got := call(t, "distinct", cty.ListVal(vs))
		if want, err := stdlib.Distinct(cty.ListVal(vs)); err != nil || !got.RawEquals(want) {
			t.Fatalf("%#v, want %#v", got, want)
		}
	})
}
