// Package mono reads CLOCK_MONOTONIC, the clock that all processes of one boot share.
package mono

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// base is CLOCK_MONOTONIC at start; Go's own monotonic reading runs on the same clock.
var start, base = func() (time.Time, time.Duration) {
	var ts unix.Timespec
	t := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("mono: no CLOCK_MONOTONIC: " + err.Error())
	}
	return t, time.Duration(ts.Nano())
}()

// Now is CLOCK_MONOTONIC, about 1 µs exact.
func Now() time.Duration { return base + time.Since(start) }

// At converts a time with a monotonic reading.
func At(t time.Time) time.Duration { return base + t.Sub(start) }

// BootID names the boot that Now belongs to, "" when the kernel does not say.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
