package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1.00", 0.0312: "0.0312", 3.125: "3.12", 9.996: "10.0", 99.96: "100", 312.4: "312", 11868: "11868", -2.5: "-2.50",
		0.000206: "0.000206", math.NaN(): none,
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestNumberIsWithinHalfAPercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64Range(1e-6, 1e12).Draw(t, "v")
		got, err := strconv.ParseFloat(number(v), 64)
		if err != nil || math.Abs(got-v) > 0.005*v*1.0001 {
			t.Fatalf("number(%v) = %q", v, number(v))
		}
	})
}

func TestTexts(t *testing.T) {
	for got, want := range map[string]string{
		count(7): "7", count(1234): "1\u202f234", count(1234567): "1\u202f234\u202f567",
		duration(0): "0 ms", duration(1500 * time.Nanosecond): "1.50 µs", duration(time.Second): "1 s", duration(90 * time.Second): "1m30s",
		bytesText(512): "512 B", bytesText(1536): "1.50 KiB", bytesText(3 << 30): "3 GiB",
		timeTick(5e4): "50 µs", timeTick(1e9): "1 s", timeTick(1): "1 ns",
		plural(1, "call"): "1 call", plural(0, "call"): "0 calls",
		shorten("abcdef", 4): "abc…", shorten("abcd", 4): "abcd",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Ticks are in the scale, in order, and there are some but not many.
func TestTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := rapid.Float64Range(1, 1e9).Draw(t, "lo")
		hi := lo * rapid.Float64Range(1, 1e6).Draw(t, "ratio")
		for _, s := range []scale{logScale(lo, hi, 0, 100), {0, hi, 0, 100, false}} {
			ticks := s.ticks(6)
			if len(ticks) < 2 || len(ticks) > 20 || !slices.IsSorted(ticks) {
				t.Fatalf("%+v has ticks %v", s, ticks)
			}
			if s.lo > lo*(1+1e-9) || s.hi < hi*(1-1e-9) {
				t.Fatalf("%+v does not hold %v to %v", s, lo, hi)
			}
			for _, v := range ticks {
				if px := s.at(v); v < s.lo*(1-1e-6) || v > s.hi*(1+1e-6) || px < -1e-6 || px > 100+1e-6 {
					t.Fatalf("%+v has tick %v", s, v)
				}
			}
		}
	})
}

// The drawn distribution is the true one to a pixel at every value, has its
// ends, and does not grow with the sample.
func TestStepsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sorted := rapid.SliceOfN(rapid.Int64Range(1_000, 10_000_000), 1, 2000).Draw(t, "sample")
		slices.Sort(sorted)
		x, y := logScale(1_000, 10_000_000, 50, 590), scale{0, 1, 286, 12, false}
		path := steps(sorted, x, y)
		type corner struct{ x, y float64 }
		var drawn []corner
		moves := strings.Split(strings.TrimPrefix(path, "M"), "H")
		var cx, cy float64
		fmt.Sscanf(moves[0], "%f %f", &cx, &cy)
		for _, m := range moves[1:] {
			fmt.Sscanf(m, "%fV%f", &cx, &cy)
			drawn = append(drawn, corner{cx, cy})
		}
		if len(drawn) > 2*(540+274) {
			t.Fatalf("%d steps for %d values", len(drawn), len(sorted))
		}
		if end := drawn[len(drawn)-1]; math.Abs(end.y-y.at(1)) > 0.06 || math.Abs(end.x-x.at(float64(sorted[len(sorted)-1]))) > 0.06 {
			t.Fatalf("the curve ends at %v", end)
		}
		for i, v := range sorted {
			tx, ty := x.at(float64(v)), y.at(float64(i+1)/float64(len(sorted)))
			near := slices.ContainsFunc(drawn, func(c corner) bool { return math.Abs(c.x-tx) < 0.7 && math.Abs(c.y-ty) < 0.7 })
			if !near {
				t.Fatalf("value %d of %d at %.1f,%.1f is not near the curve", i, len(sorted), tx, ty)
			}
		}
	})
}

func TestThinKeepsTheEnds(t *testing.T) {
	for n := 1; n < 40; n++ {
		curves := make([]curve, n)
		for i := range curves {
			curves[i].name = strconv.Itoa(i)
		}
		got := thin(curves)
		if len(got) != min(n, most+1) || got[0].name != "0" || got[len(got)-1].name != strconv.Itoa(n-1) {
			t.Errorf("thin of %d: %v", n, got)
		}
	}
}
