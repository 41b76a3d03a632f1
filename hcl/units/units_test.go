package units_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"60s": time.Minute, "1.5h": 90 * time.Minute, "20ms": 20 * time.Millisecond, "1m30s": 90 * time.Second, "2d": 48 * time.Hour,
		"0s": 0, "-1s": -time.Second, " 5 us ": 5 * time.Microsecond, "1e3ms": time.Second, "0.1s": 100 * time.Millisecond,
	} {
		if got, err := units.Duration(text); err != nil || got != want {
			t.Errorf("Duration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "s", "0", "60", "5sec", "1e30h", "NaNs", "1..2s", "\x00"} {
		if got, err := units.Duration(text); err == nil {
			t.Errorf("Duration(%q) = %v, want an error", text, got)
		}
	}
	if _, err := units.Duration("60"); !errors.Is(err, units.ErrNoUnit) {
		t.Errorf("Duration(60) says %v", err)
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]spec.Bytes{"64MiB": 64 << 20, "1.5GiB": 3 << 29, "1GB": 1e9, "7B": 7, "2 TiB": 2 << 40} {
		if got, err := units.Bytes(text); err != nil || got != want {
			t.Errorf("Bytes(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"64", "64mb", "99999999TiB", "MiB"} {
		if got, err := units.Bytes(text); err == nil {
			t.Errorf("Bytes(%q) = %v, want an error", text, got)
		}
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]float64{"50/s": 50, "30/m": 0.5, "3600/h": 1, "0.5 /s": 0.5} {
		if got, err := units.Rate(text); err != nil || got != want {
			t.Errorf("Rate(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"50", "50/d", "/s"} {
		if got, err := units.Rate(text); err == nil {
			t.Errorf("Rate(%q) = %v, want an error", text, got)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[spec.Bytes]string{0: "0 B", 1023: "1023 B", spec.KiB: "1 KiB", 3 * spec.GiB / 2: "1.5 GiB", 64 * spec.MiB: "64 MiB"} {
		if got := units.FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %s, want %s", n, got, want)
		}
	}
}
