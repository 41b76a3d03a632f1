package report

import (
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	zero := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	c := clocks{"h": {{zero, "h", 10 * time.Millisecond}, {zero.Add(time.Minute), "h", 20 * time.Millisecond}}}
	for at, want := range map[time.Duration]time.Duration{
		-time.Second:     10 * time.Millisecond,
		0:                10 * time.Millisecond,
		30 * time.Second: 15 * time.Millisecond,
		time.Minute:      20 * time.Millisecond,
		time.Hour:        20 * time.Millisecond,
	} {
		if got := c.ahead("h", zero.Add(at)); got != want {
			t.Errorf("%v after the first look it is %v ahead, want %v", at, got, want)
		}
	}
	if got := c.ahead("other", zero); got != 0 {
		t.Errorf("a host nobody looked at is %v ahead", got)
	}
}
