package keepalive_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/hcl/catalog"
)

// What was used later is kept longer, by every recency policy, whatever its size.
func TestRecencyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom([]keepalive.Policy{keepalive.LRU{}, keepalive.TTL{Idle: time.Minute}}).Draw(t, "policy")
		draw := func(label string) keepalive.Idle {
			return keepalive.Idle{
				LastUsed: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, label)),
				Memory:   rapid.Int64Range(1, 1<<40).Draw(t, "memory"), Uses: rapid.Int64Range(0, 1000).Draw(t, "uses"),
			}
		}
		a, b := draw("a"), draw("b")
		k := p.New()
		if a.LastUsed < b.LastUsed && k.Priority(a) >= k.Priority(b) {
			t.Fatalf("%T keeps %+v rather than %+v", p, a, b)
		}
	})
}

func TestExpires(t *testing.T) {
	idle := keepalive.Idle{LastUsed: time.Hour}
	if at, ok := (keepalive.LRU{}).New().Expires(idle); ok {
		t.Errorf("lru expires at %v", at)
	}
	if at, ok := (keepalive.TTL{Idle: time.Minute}).New().Expires(idle); !ok || at != 61*time.Minute {
		t.Errorf("ttl of 1m expires at %v, %v, want 61m", at, ok)
	}
}

func TestBuiltin(t *testing.T) {
	for name, tt := range map[string]struct {
		decode func(any) error
		want   keepalive.Policy
	}{
		"lru": {func(any) error { return nil }, keepalive.LRU{}},
		"ttl": {func(any) error { return nil }, keepalive.TTL{Idle: 10 * time.Minute}},
	} {
		got, err := keepalive.Builtin().Build(name, tt.decode)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, tt.want)
		}
	}
	_, err := keepalive.Builtin().Build("ttl", func(into any) error {
		into.(*keepalive.TTL).Idle = -1
		return nil
	})
	if err == nil {
		t.Error("a negative idle time was accepted")
	}
}

// touched is a sandbox of a function that was called so often.
func touched(function int, calls int64, start time.Duration, mib int64) keepalive.Idle {
	return keepalive.Idle{Function: function, Calls: calls, Start: start, Memory: mib << 20}
}

// Of two sandboxes the one that is worth less goes first: called less often, faster to make,
// or larger. What is not used any more gets old.
func TestGDSF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := keepalive.GDSF{}.New()
		calls, start, size := rapid.Int64Range(1, 1000).Draw(t, "calls"), rapid.Int64Range(1, 10_000).Draw(t, "start"), rapid.Int64Range(1, 4096).Draw(t, "size")
		base := k.Priority(touched(1, calls, time.Duration(start)*time.Millisecond, size))
		for name, other := range map[string]keepalive.Idle{
			"called more often": touched(2, calls+1, time.Duration(start)*time.Millisecond, size),
			"slower to make":    touched(2, calls, time.Duration(start+1)*time.Millisecond, size),
		} {
			if k.Priority(other) <= base {
				t.Fatalf("%s, and goes first", name)
			}
		}
		if k.Priority(touched(2, calls, time.Duration(start)*time.Millisecond, size+1)) >= base {
			t.Fatal("larger, and is kept")
		}
		once := touched(3, 1, time.Millisecond, size)
		if k.Evicted(base); k.Priority(once) <= base {
			t.Fatal("what is used now goes before what was worth no more than what has gone already")
		}
	})
}

// Landlord's order is that of paying rent: from all by their size, until one has no credit left
// (Young 2002, section 2, with the credit renewed in full).
func TestLandlord(t *testing.T) {
	type box struct {
		credit, priority float64
		mib              int64
	}
	rapid.Check(t, func(t *rapid.T) {
		k := keepalive.Landlord{}.New()
		var boxes []*box
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(boxes) > 0 && rapid.Bool().Draw(t, "evict") {
				rent := math.Inf(1)
				var out *box
				for _, b := range boxes {
					rent = min(rent, b.credit/float64(b.mib))
					if out == nil || b.priority < out.priority {
						out = b
					}
				}
				if math.Abs(out.credit/float64(out.mib)-rent) > 1e-9 {
					t.Fatalf("the one that goes has %g for each MiB left, another %g", out.credit/float64(out.mib), rent)
				}
				for _, b := range boxes {
					b.credit -= rent * float64(b.mib)
				}
				k.Evicted(out.priority)
				boxes = slices.DeleteFunc(boxes, func(b *box) bool { return b == out })
				continue
			}
			start, mib := rapid.IntRange(1, 5000).Draw(t, "start"), rapid.Int64Range(1, 512).Draw(t, "size")
			idle := touched(1, 1, time.Duration(start)*time.Millisecond, mib)
			boxes = append(boxes, &box{idle.Start.Seconds(), k.Priority(idle), mib})
		}
	})
}

func TestFrequencyAndSize(t *testing.T) {
	small, large := touched(1, 5, time.Second, 10), touched(2, 9, time.Second, 20)
	if k := (keepalive.LFU{}).New(); k.Priority(small) >= k.Priority(large) {
		t.Error("lfu keeps what is called less often")
	}
	if k := (keepalive.Size{}).New(); k.Priority(small) <= k.Priority(large) {
		t.Error("size keeps the larger")
	}
}

// A function with a period is kept for just longer than that; one that is called at random times over
// all the histogram, mostly outside it, or seldom, for the standard time.
func TestHistogram(t *testing.T) {
	p := keepalive.Histogram{Tail: 0.99, Margin: 0.1, Idle: 10 * time.Minute, Times: estimate.Times{Bin: time.Minute, Bins: 240, Least: 5, Spread: 2, Outside: 0.5}}
	kept := func(gaps []time.Duration) time.Duration {
		k := p.New()
		now := time.Duration(0)
		k.Arrived(1, -1)
		for _, g := range gaps {
			now += g
			k.Arrived(1, g)
		}
		at, ok := k.Expires(keepalive.Idle{Function: 1, LastUsed: now, Uses: 1, Ended: now})
		if !ok {
			t.Fatal("it never expires")
		}
		return at - now
	}
	repeat := func(n int, gaps ...time.Duration) (all []time.Duration) {
		for range n {
			all = append(all, gaps...)
		}
		return all
	}
	var spread []time.Duration
	for i := range 240 {
		spread = append(spread, time.Duration(i)*time.Minute)
	}
	for name, tt := range map[string]struct {
		gaps []time.Duration
		want time.Duration
	}{
		"every half hour":         {repeat(50, 30*time.Minute+time.Second), 31 * time.Minute * 11 / 10},
		"seldom longer":           {append(repeat(200, 5*time.Minute), 2*time.Hour), 6 * time.Minute * 11 / 10},
		"at any time":             {spread, 10 * time.Minute},
		"mostly after four hours": {repeat(20, 5*time.Hour, 6*time.Hour, time.Minute), 10 * time.Minute},
		"too seldom":              {repeat(4, time.Hour), 10 * time.Minute},
	} {
		if got := kept(tt.gaps); got != tt.want {
			t.Errorf("%s: kept for %v, want %v", name, got, tt.want)
		}
	}

	k := p.New()
	for range 50 {
		k.Arrived(1, 30*time.Minute+time.Second)
	}
	for name, tt := range map[string]struct {
		idle keepalive.Idle
		want time.Duration
	}{
		"another is made in time":     {keepalive.Idle{Function: 1, LastUsed: time.Hour, Uses: 1, Ended: time.Hour, Again: 87 * time.Minute}, time.Hour},
		"it is the one made in time":  {keepalive.Idle{Function: 1, LastUsed: 87 * time.Minute, Ended: time.Hour}, 60*time.Minute + 31*time.Minute*11/10},
		"it is made before the first": {keepalive.Idle{Function: 1, LastUsed: time.Hour, Ended: -1}, 60*time.Minute + 31*time.Minute*11/10},
	} {
		if at, _ := k.Expires(tt.idle); at != tt.want {
			t.Errorf("%s: it expires at %v, want %v", name, at, tt.want)
		}
	}
}

func TestEveryPolicyDescribesItself(t *testing.T) {
	for _, e := range catalog.Of(keepalive.Builtin()) {
		if e.Doc == "" {
			t.Errorf("%s says nothing of itself", e.Name)
		}
		for _, o := range e.Options {
			if o.Doc == "" || o.Default == "" {
				t.Errorf("%s: option %+v", e.Name, o)
			}
		}
	}
}
