// Package units reads and writes the durations, sizes and rates of the language.
package units

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// ErrNoUnit reports a number without a unit.
var ErrNoUnit = errors.New("needs a unit")

// The units by kind, smallest first, with their size in nanoseconds, bytes, seconds, or bits per second.
var (
	durations = []unit{{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}
	sizes     = []unit{
		{"B", 1},
		{"KB", 1e3},
		{"KiB", 1 << 10},
		{"MB", 1e6},
		{"MiB", 1 << 20},
		{"GB", 1e9},
		{"GiB", 1 << 30},
		{"TB", 1e12},
		{"TiB", 1 << 40},
	}
	periods = []unit{{"/s", 1}, {"/m", 60}, {"/h", 3600}}
	bits    = []unit{{"bit/s", 1}, {"kbit/s", 1e3}, {"Mbit/s", 1e6}, {"Gbit/s", 1e9}, {"Tbit/s", 1e12}}
)

type unit struct {
	name string
	size float64
}

// Duration reads "90s", "1.5h" or "1m30s".
func Duration(s string) (time.Duration, error) {
	if n, u, err := split(s, durations); err == nil {
		return integer[time.Duration](s, n*u.size)
	} else if d, goErr := time.ParseDuration(s); goErr == nil && s != "0" {
		return d, nil // several units
	} else {
		return 0, err
	}
}

// Bytes reads "64MiB" or "1.5GB".
func Bytes(s string) (spec.Bytes, error) {
	n, u, err := split(s, sizes)
	if err != nil {
		return 0, err
	}
	return integer[spec.Bytes](s, n*u.size)
}

// Rate reads "50/s" or "10/m", in events per second.
func Rate(s string) (float64, error) {
	n, u, err := split(s, periods)
	return n / max(u.size, 1), err
}

// Bits reads "25Gbit/s", in bits per second.
func Bits(s string) (float64, error) {
	n, u, err := split(s, bits)
	return n * u.size, err
}

func split(s string, units []unit) (float64, unit, error) {
	s = strings.TrimSpace(s)
	i := strings.LastIndexAny(s, "0123456789.") + 1
	n, err := strconv.ParseFloat(s[:i], 64)
	if i == 0 || err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, unit{}, fmt.Errorf("%q is not a number with a unit", s)
	}
	name := strings.TrimSpace(s[i:])
	if name == "" {
		return 0, unit{}, fmt.Errorf("%q %w", s, ErrNoUnit)
	}
	var known []string
	for _, u := range units {
		if u.name == name {
			return n, u, nil
		}
		known = append(known, u.name)
	}
	return 0, unit{}, fmt.Errorf("unknown unit %q in %q, want one of %s", name, s, strings.Join(known, " "))
}

// integer converts f, whose exact bound is 2^63.
func integer[T ~int64](s string, f float64) (T, error) {
	if f = math.Round(f); f >= 1<<63 || f < -1<<63 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return T(f), nil
}

// FormatBytes writes n in the largest binary unit that keeps it exact to a tenth, such as "1.5 GiB".
func FormatBytes(n spec.Bytes) string {
	for _, u := range []struct {
		size spec.Bytes
		name string
	}{{spec.GiB, "GiB"}, {spec.MiB, "MiB"}, {spec.KiB, "KiB"}} {
		if n >= u.size {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(u.size)), ".0") + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", n)
}
