package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// none stands for a value that was never seen.
const none = "–"

// number writes v with three significant digits, and whole numbers above.
func number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strings.Replace(strconv.FormatFloat(v, 'f', -1, 64), "NaN", none, 1)
	}
	rounded := strconv.FormatFloat(v, 'e', 2, 64) // d.dde±dd
	exponent, _ := strconv.Atoi(rounded[strings.IndexByte(rounded, 'e')+1:])
	return strconv.FormatFloat(v, 'f', max(0, 2-exponent), 64)
}

// count writes n with a thin space between thousands, as in a paper.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// unit is a unit of time.
type unit struct {
	name string
	size time.Duration
}

var units = []unit{{"s", time.Second}, {"ms", time.Millisecond}, {"µs", time.Microsecond}, {"ns", 1}}

// unitOf is the largest unit in which d is at least 1; of nothing, ms.
func unitOf(d time.Duration) unit {
	for _, u := range units {
		if d >= u.size {
			return u
		}
	}
	return units[1]
}

// in writes d without the unit.
func (u unit) in(d float64) string { return number(d / float64(u.size)) }

// duration writes d with its own unit.
func duration(d time.Duration) string {
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	u := unitOf(d)
	return strings.TrimSuffix(u.in(float64(d)), ".00") + " " + u.name
}

// bytesText writes a size in binary units.
func bytesText(n int64) string {
	v, name := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, name = v/1024, next
	}
	return strings.TrimSuffix(strings.TrimSuffix(number(v), ".0"), ".00") + " " + name
}

// plural writes n and the noun.
func plural[T int | int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun + "s"
}
