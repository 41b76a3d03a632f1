package keepalive_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/keepalive"
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
		if a.LastUsed < b.LastUsed && p.Priority(a) >= p.Priority(b) {
			t.Fatalf("%T keeps %+v rather than %+v", p, a, b)
		}
	})
}

func TestExpires(t *testing.T) {
	idle := keepalive.Idle{LastUsed: time.Hour}
	if at, ok := (keepalive.LRU{}).Expires(idle); ok {
		t.Errorf("lru expires at %v", at)
	}
	if at, ok := (keepalive.TTL{Idle: time.Minute}).Expires(idle); !ok || at != 61*time.Minute {
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
