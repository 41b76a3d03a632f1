package keepalive_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/keepalive"
)

// uses are executions of a few functions, of one size or of several.
func uses(t *rapid.T, most int, sizes ...int64) (all []keepalive.Use, memory int64) {
	functions := make([]int64, rapid.IntRange(2, 4).Draw(t, "functions"))
	for i := range functions {
		functions[i] = rapid.SampledFrom(sizes).Draw(t, "size")
	}
	for range rapid.IntRange(most/2, most).Draw(t, "uses") {
		f := rapid.IntRange(0, len(functions)-1).Draw(t, "f")
		from := time.Duration(rapid.IntRange(0, 20).Draw(t, "from"))
		u := keepalive.Use{Function: f, Memory: functions[f], From: from, To: from + time.Duration(rapid.IntRange(0, 3).Draw(t, "for")), Again: rapid.IntRange(0, 5).Draw(t, "again") > 0}
		all = append(all, u)
	}
	// What executes at the same time fits.
	memory = rapid.Int64Range(0, 4).Draw(t, "spare")
	busiest := int64(0)
	for at := range time.Duration(30) {
		busy := int64(0)
		for _, u := range all {
			if u.From <= at && at < u.To {
				busy += u.Memory
			}
		}
		busiest = max(busiest, busy)
	}
	return all, memory + busiest
}

// best is the fewest new sandboxes, by trying for each use every sandbox that ended before it, and none.
func best(all []keepalive.Use, memory int64) int {
	held := map[time.Duration]int64{} // at each moment
	for _, u := range all {
		for at := u.From; at < u.To; at++ {
			held[at] += u.Memory
		}
	}
	taken := make([]bool, len(all)) // its sandbox serves another afterwards
	var try func(i int) int
	try = func(i int) int {
		if i == len(all) {
			return 0
		}
		fewest := 1 + try(i+1)
		for j, before := range all {
			u := all[i]
			atOnce := before.From == u.To && before.To == u.From
			if taken[j] || !before.Again || before.Function != u.Function || before.To > u.From || atOnce && j >= i {
				continue
			}
			fits := true
			for at := before.To; at < u.From; at++ {
				held[at] += u.Memory
				fits = fits && held[at] <= memory
			}
			if taken[j] = true; fits {
				fewest = min(fewest, try(i+1))
			}
			taken[j] = false
			for at := before.To; at < u.From; at++ {
				held[at] -= u.Memory
			}
		}
		return fewest
	}
	return try(0)
}

// Of sandboxes that are as large as each other the bound is what can be had, by trying everything; of others it is not
// over that.
func TestOffline(t *testing.T) {
	met, cases := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		all, memory := uses(t, 12, rapid.Int64Range(1, 2).Draw(t, "one size"))
		if got, want := keepalive.Offline(all, memory), best(all, memory); got != want {
			t.Fatalf("of one size: %d, and %d by trying all", got, want)
		}
		all, memory = uses(t, 12, 1, 2, 5)
		got, want := keepalive.Offline(all, memory), best(all, memory)
		if got > want {
			t.Fatalf("of several sizes: %d, and %d by trying all", got, want)
		}
		cases++
		if got == want {
			met++
		}
	})
	if float64(met) < 0.8*float64(cases) {
		t.Errorf("of several sizes, the bound is met in %d of %d cases", met, cases)
	}
	if got := keepalive.Offline(nil, math.MaxInt64); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
	// What ends last is dropped, and not what is kept for longest: without the second of three there is room for two.
	var three []keepalive.Use
	for f, at := range [][]time.Duration{{0, 6}, {5, 8}, {7, 9}} {
		for _, at := range at {
			three = append(three, keepalive.Use{Function: f, Memory: 1, From: at, To: at, Again: true})
		}
	}
	if got := keepalive.Offline(three, 1); got != 4 {
		t.Errorf("of three: %d, want 4", got)
	}
}
