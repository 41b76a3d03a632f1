package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/shim/fn"
)

// builtinEnv names the builtin that a process is to serve.
const builtinEnv = "AINUR_BUILTIN"

// Builtins are the functions that need no code, in the order of the documentation.
var Builtins = []string{"hello", "busy", "sleep", "memory"}

// Builtin serves a builtin function, and does not return, where the agent has
// started this process for that. It is called first thing in main.
func Builtin() {
	name, ok := os.LookupEnv(builtinEnv)
	if !ok {
		return
	}
	if err := os.Unsetenv(builtinEnv); err != nil || !slices.Contains(Builtins, name) {
		fmt.Fprintf(os.Stderr, "ainur: no builtin function %q; there are %s\n", name, strings.Join(Builtins, ", "))
		os.Exit(1)
	}
	fn.ServeRaw(map[string]func(context.Context, []byte) ([]byte, error){
		"hello": hello, "busy": busy, "sleep": sleep, "memory": memory,
	}[name])
}

// hello returns at once: what remains is the platform's overhead.
func hello(context.Context, []byte) ([]byte, error) { return []byte(`{"hello":"world"}`), nil }

// amount reads one number of the arguments, which must not be negative.
func amount(args []byte, name string) (float64, error) {
	var all map[string]any
	if err := json.Unmarshal(args, &all); err != nil {
		return 0, fmt.Errorf("the arguments are no JSON object: %w", err)
	}
	n, ok := all[name].(float64)
	if !ok || n < 0 {
		return 0, fmt.Errorf("argument %q must be a number, 0 or more; the arguments are %s", name, args)
	}
	return n, nil
}

// busy uses ms milliseconds of CPU time, so that contention for the CPU
// lengthens it as it does real work.
func busy(_ context.Context, args []byte) ([]byte, error) {
	ms, err := amount(args, "ms")
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread() // whose CPU time it measures
	defer runtime.UnlockOSThread()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		return nil, err
	}
	x := uint64(1)
	for until := now.Nano() + int64(ms*1e6); now.Nano() < until; {
		for range 2000 { // about 2 µs of work between two looks at the clock
			x = x*6364136223846793005 + 1442695040888963407
		}
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
			return nil, err
		}
	}
	return fmt.Appendf(nil, `{"busy_ms":%g,"x":%d}`, ms, x>>32), nil
}

// sleep waits for ms milliseconds and uses no CPU.
func sleep(_ context.Context, args []byte) ([]byte, error) {
	ms, err := amount(args, "ms")
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(ms * float64(time.Millisecond)))
	return fmt.Appendf(nil, `{"slept_ms":%g}`, ms), nil
}

// memory touches mb mebibytes and lets them go.
func memory(_ context.Context, args []byte) ([]byte, error) {
	mb, err := amount(args, "mb")
	if err != nil {
		return nil, err
	}
	if mb > 1<<20 {
		return nil, fmt.Errorf("argument \"mb\" is %g, want at most 1048576", mb)
	}
	block := make([]byte, int(mb*(1<<20)))
	for i := 0; i < len(block); i += os.Getpagesize() {
		block[i] = 1
	}
	return fmt.Appendf(nil, `{"touched_mb":%g,"first":%d}`, mb, len(block[:min(len(block), 1)])), nil
}
