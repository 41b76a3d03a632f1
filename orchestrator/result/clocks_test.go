package result_test

import (
	"testing"
	"time"

	"github.com/ainur-faas/ainur/orchestrator/result"
)

func TestClocks(t *testing.T) {
	zero := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	c := result.Clocks{"h": {
		{Time: zero, Host: "h", Offset: 10 * time.Millisecond}, {Time: zero.Add(time.Minute), Host: "h", Offset: 20 * time.Millisecond},
	}}
	for at, want := range map[time.Duration]time.Duration{
		-time.Second:     10 * time.Millisecond,
		0:                10 * time.Millisecond,
		30 * time.Second: 15 * time.Millisecond,
		time.Minute:      20 * time.Millisecond,
		time.Hour:        20 * time.Millisecond,
	} {
		if got := c.Ahead("h", zero.Add(at)); got != want {
			t.Errorf("%v after the first look it is %v ahead, want %v", at, got, want)
		}
	}
	if got := c.Ahead("other", zero); got != 0 {
		t.Errorf("a host nobody looked at is %v ahead", got)
	}
}
