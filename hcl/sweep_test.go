package hcl_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// sweeping is an experiment with a sweep of this body.
func sweeping(body string) string {
	return strings.Replace(inNative, inNative[strings.Index(inNative, "sweep \"s\" {"):strings.Index(inNative, "experiment \"e\"")], "sweep \"s\" {\n"+body+"\n}\n", 1)
}

// lattice is an axis "rate" of n values and others, each of as many values as it says.
func lattice(n int, others ...int) string {
	axis := func(name string, n int) string {
		return fmt.Sprintf("axis %q {\n values = [for i in range(1, %d) : \"${i}/s\"]\n}\n", name, n+1)
	}
	var b strings.Builder
	b.WriteString(axis("rate", n))
	for i, k := range others {
		b.WriteString(axis(fmt.Sprint("x", i), k))
	}
	return b.String()
}

func pointsOf(t interface {
	Helper()
	Fatalf(string, ...any)
}, src string,
) [][]string {
	t.Helper()
	m, diags := hcl.Load("exp.ainur.hcl", withSource(src))
	if diags.HasErrors() {
		t.Fatalf("%s", diags)
	}
	exp, diags := m.Experiment("", 0)
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", diags, src)
	}
	var points [][]string
	for _, p := range exp.Points {
		points = append(points, values(p.Axes))
	}
	return points
}

func values(axes []spec.AxisValue) (texts []string) {
	for _, a := range axes {
		texts = append(texts, string(a.Value))
	}
	return texts
}

func withSource(src string) hcl.Options {
	o := options()
	o.Overlay = map[string][]byte{"exp.ainur.hcl": []byte(src)}
	return o
}

func TestSweepModes(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"grid":         {lattice(2, 2), `["1/s" "1/s"] ["1/s" "2/s"] ["2/s" "1/s"] ["2/s" "2/s"]`},
		"zip":          {"mode = \"zip\"\n" + lattice(2, 2), `["1/s" "1/s"] ["2/s" "2/s"]`},
		"list":         {"mode = \"list\"\npoints = [{ rate = \"7/s\" }, { rate = \"8/s\" }, { rate = \"7/s\" }]", `["7/s"] ["8/s"]`},
		"include":      {lattice(1) + "include {\n point = { rate = \"9/s\" }\n}\ninclude {\n point = { rate = \"1/s\" }\n}", `["1/s"] ["9/s"]`},
		"pairs of one": {"mode = \"pairs\"\n" + lattice(3), `["1/s"] ["2/s"] ["3/s"]`},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range pointsOf(t, sweeping(tt.body)) {
				got = append(got, "["+strings.Join(p, " ")+"]")
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSweepMistakes(t *testing.T) {
	for body, want := range map[string]string{
		"mode = \"zip\"\n" + lattice(2, 3):                              `sweep "s" pairs 2 values of axis "rate" with 3 of axis "x0"`,
		"mode = \"random\"\n" + lattice(2):                              `sweep "s" needs sample: how many points?`,
		"mode = \"random\"\nsample = 3\n" + lattice(2):                  `sweep "s" samples 3 of 2 points`,
		"sample = 1\n" + lattice(2):                                     `sweep "s" has sample, which is of mode random or latin`,
		"mode = \"list\"":                                               `sweep "s" needs points: mode list takes them as they are`,
		"mode = \"list\"\npoints = [{ rate = \"1/s\" }, {}]":            `this point has no value for axis "rate"`,
		lattice(1) + "include {\n point = { rate = \"1/s\", y = 1 }\n}": `there is no axis "y"`,
		lattice(1) + "include {\n point = 3\n}":                         `a point is an object with a value for each axis, got number`,
		lattice(200, 200):                                               `sweep "s" has more than 10000 points`,
		lattice(1) + lattice(1):                                         `axis "rate" is declared twice`,
		"":                                                              `sweep "s" needs an axis block`,
	} {
		m, diags := hcl.Load("exp.ainur.hcl", withSource(sweeping(body)))
		got := errorsOf(all(m, diags))
		if !slices.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

// A latin square has each value of each axis equally often, to within one; two
// of its points may fall together.
func TestLatin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.IntRange(2, 5).Draw(t, "a"), rapid.IntRange(2, 5).Draw(t, "b")
		n := a * b * 4 // of strata: many points fall together, values do not get lost
		counts := map[string]int{}
		for _, p := range pointsOf(t, sweeping(fmt.Sprintf("mode = \"latin\"\nsample = %d\nseed = %d\n", n, rapid.IntRange(1, 99).Draw(t, "seed"))+lattice(a, b))) {
			counts["a"+p[0]]++
			counts["b"+p[1]]++
		}
		if len(counts) != a+b {
			t.Fatalf("values %v of %d and %d", counts, a, b)
		}
	})
}

// Pairs has every value of an axis with every value of each other one, in fewer points than the grid.
func TestPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 4), 2, 4).Draw(t, "sizes")
		points := pointsOf(t, sweeping("mode = \"pairs\"\n"+lattice(sizes[0], sizes[1:]...)))
		met, want, grid := map[string]bool{}, 0, 1
		for _, p := range points {
			for i := range p {
				for j := range i {
					met[fmt.Sprint(i, p[i], j, p[j])] = true
				}
			}
		}
		for i, n := range sizes {
			grid *= n
			for _, k := range sizes[:i] {
				want += n * k
			}
		}
		if len(met) != want || len(points) > grid {
			t.Fatalf("%d pairs of %d in %d points of %d", len(met), want, len(points), grid)
		}
	})
}

// A random sample has as many different points as asked, all of the grid, the same for a seed.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.IntRange(1, 5).Draw(t, "a"), rapid.IntRange(1, 5).Draw(t, "b")
		n := rapid.IntRange(1, a*b).Draw(t, "n")
		body := sweeping(fmt.Sprintf("mode = \"random\"\nsample = %d\nseed = %d\n", n, rapid.IntRange(1, 99).Draw(t, "seed")) + lattice(a, b))
		points := pointsOf(t, body)
		seen := map[string]bool{}
		for _, p := range points {
			seen[strings.Join(p, " ")] = true
		}
		if len(points) != n || len(seen) != n || fmt.Sprint(points) != fmt.Sprint(pointsOf(t, body)) {
			t.Fatalf("%d points, %d different, want %d", len(points), len(seen), n)
		}
	})
}
