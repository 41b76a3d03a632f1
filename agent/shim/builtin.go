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

// Builtin serves a builtin function, or starts an executable that is one, and does
// not return, where the agent has started this process for that. It is called
// first thing in main.
func Builtin() {
	if path, ok := os.LookupEnv(launchEnv); ok {
		fmt.Fprintln(os.Stderr, "ainur:", launch(path))
		os.Exit(1)
	}
	if _, ok := os.LookupEnv(cellEnv); ok {
		if err := become(); err != nil {
			fmt.Fprintln(os.Stderr, "ainur:", err)
			os.Exit(1)
		}
	}
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

// maxAmount bounds what a call may ask for: 2³⁰ ms is twelve days.
const maxAmount = 1 << 30

// amount reads one number of the arguments.
func amount(args []byte, name string) (float64, error) {
	var all map[string]any
	if err := json.Unmarshal(args, &all); err != nil {
		return 0, fmt.Errorf("the arguments are no JSON object: %w", err)
	}
	n, ok := all[name].(float64)
	if !ok || n < 0 || n > maxAmount {
		return 0, fmt.Errorf("argument %q must be a number from 0 to %d; the arguments are %s", name, maxAmount, args)
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
	runtime.KeepAlive(x)
	return fmt.Appendf(nil, `{"busy_ms":%g}`, ms), nil
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

// memory touches mb mebibytes and gives them back to the kernel. They are not
// of Go's heap, which would keep them and count them twice in the next call.
func memory(_ context.Context, args []byte) ([]byte, error) {
	mb, err := amount(args, "mb")
	if err != nil {
		return nil, err
	}
	if size := int(mb * (1 << 20)); size > 0 {
		block, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return nil, fmt.Errorf("allocate %g MiB: %w", mb, err)
		}
		for i := 0; i < size; i += os.Getpagesize() {
			block[i] = 1
		}
		if err := unix.Munmap(block); err != nil {
			return nil, fmt.Errorf("free %g MiB: %w", mb, err)
		}
	}
	return fmt.Appendf(nil, `{"touched_mb":%g}`, mb), nil
}
