// Package mono reads CLOCK_MONOTONIC, the clock that all processes of one boot share.
package mono

import (
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// base is CLOCK_MONOTONIC at start, on which Go's own monotonic reading runs too: the closest two of
// some looks at both, since the process may be interrupted between them.
var start, base = func() (start time.Time, base time.Duration) {
	closest := time.Duration(math.MaxInt64)
	for range 10 {
		before, now, after := clock(), time.Now(), clock()
		if after-before < closest {
			closest, start, base = after-before, now, before+(after-before)/2
		}
	}
	return start, base
}()

func clock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("mono: no CLOCK_MONOTONIC: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

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
