// Package fn is the SDK for functions written in Go.
//
//	func main() {
//		fn.Serve(func(ctx context.Context, args map[string]any) (any, error) {
//			return map[string]any{"hello": args["name"]}, nil
//		})
//	}
//
// It imports the standard library alone: a copy of it is built into every function.
package fn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/ainur-faas/ainur/agent/shim/wire"
)

// maxError bounds the text of an error, in bytes.
const maxError = 8 << 10

// Serve runs f for each invocation, one at a time, and does not return. What f
// returns is encoded as JSON. An error or a panic of f is a user error: the
// sandbox stays and serves the next invocation. The context does not end: the
// agent ends the process of an invocation that takes too long.
func Serve(f func(ctx context.Context, args map[string]any) (any, error)) {
	ServeRaw(adapt(f))
}

// adapt reads and writes JSON around f.
func adapt(f func(context.Context, map[string]any) (any, error)) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, raw []byte) ([]byte, error) {
		var args map[string]any
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("the arguments are no JSON object: %w", err)
		}
		result, err := f(ctx, args)
		if err != nil {
			return nil, err
		}
		encoded, err := json.Marshal(result)
		if err != nil {
			return nil, fmt.Errorf("what the function returned is not JSON: %w", err)
		}
		return encoded, nil
	}
}

// ServeRaw is Serve for functions that read and write JSON themselves. The
// arguments are valid during the call only.
func ServeRaw(f func(ctx context.Context, args []byte) ([]byte, error)) {
	conn, err := connect()
	if err == nil {
		err = serve(conn, f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ainur function:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// connect opens the socket that the agent has left.
func connect() (io.ReadWriter, error) {
	if path := os.Getenv(wire.Socket); path != "" {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return nil, err
		}
		return wire.NewQuick(conn.(*net.UnixConn))
	}
	fd, err := strconv.Atoi(os.Getenv(wire.FD))
	if err != nil {
		return nil, fmt.Errorf("neither %s nor %s is set: a function is started by an ainur agent", wire.FD, wire.Socket)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	syscall.CloseOnExec(fd)
	return wire.NewQuick(os.NewFile(uintptr(fd), "agent"))
}

func serve(rw io.ReadWriter, f func(context.Context, []byte) ([]byte, error)) error {
	conn, times := wire.NewConn(rw), make([]byte, 0, wire.TimesSize)
	if err := conn.Write(wire.Ready, 0); err != nil {
		return err
	}
	for long := true; ; {
		frame, err := conn.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if frame.Type != wire.Invoke {
			return fmt.Errorf("%w: type %d where an invocation should be", wire.ErrMalformed, frame.Type)
		}
		if long {
			wake()
		}
		start := monotonic()
		result, err := call(f, frame.Payload)
		end := monotonic()
		times = wire.AppendTimes(times[:0], start, end)
		long = time.Duration(end-start) >= time.Millisecond
		if size := len(result); size > wire.MaxPayload-wire.TimesSize {
			err = fmt.Errorf("the result has %d bytes, over 16 MiB", size)
		}
		kind := wire.Result
		if err != nil {
			kind, result = wire.UserError, message(err)
		}
		if err := conn.Write(kind, frame.ID, times, result); err != nil {
			return err
		}
	}
}

// wake makes a system call of which Go's scheduler is told, as those on the socket are not. It
// wakes the thread that sees to it that no goroutine keeps a core from others for
// more than 10 ms, which executions of less than that do not need.
func wake() { _, _, _ = syscall.Syscall(syscall.SYS_GETPID, 0, 0, 0) }

// message is what the agent is told of err: valid UTF-8 of a bounded length.
func message(err error) []byte {
	text := err.Error()
	if len(text) > maxError {
		text = text[:maxError-len("...")] + "..."
	}
	return []byte(strings.ToValidUTF8(text, ""))
}

// call makes a panic an error.
func call(f func(context.Context, []byte) ([]byte, error), args []byte) (result []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(context.Background(), args)
}

// began is a moment by Go's clock and base by CLOCK_MONOTONIC, on which Go's runs: the closest
// two of some looks at both, since the process may be interrupted between them.
var began, base = func() (began time.Time, base int64) {
	closest := int64(math.MaxInt64)
	for tries := 10; tries > 0; tries-- {
		before, now, after := clock(), time.Now(), clock()
		if after-before < closest {
			closest, began, base = after-before, now, before+(after-before)/2
		}
	}
	return began, base
}()

// clock is CLOCK_MONOTONIC.
func clock() int64 {
	var ts syscall.Timespec
	const clockMonotonic = 1
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		panic("no CLOCK_MONOTONIC: " + errno.Error())
	}
	return ts.Nano()
}

func monotonic() int64 { return base + int64(time.Since(began)) }
