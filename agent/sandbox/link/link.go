// Package link is the agent's end of the protocol with what runs in a sandbox,
// whatever isolates it.
package link

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
)

// Frames is the protocol of agent/shim/wire on one stream.
type Frames struct {
	socket net.Conn
	conn   *wire.Conn
	ended  func() *sandbox.Error
	calls  uint64
}

// NewFrames speaks frames on socket, which Close closes. Once the stream has
// ended, ended says why: it waits until the sandbox has ended, for a while, and
// is the error of kind Crashed or OutOfMemory with its last words.
func NewFrames(socket net.Conn, ended func() *sandbox.Error) *Frames {
	f := &Frames{socket: socket, conn: wire.NewConn(socket), ended: ended}
	if c, ok := socket.(*net.UnixConn); ok {
		if quick, err := wire.NewQuick(c); err == nil { // it fails only on a closed one
			f.conn = wire.NewConn(quick)
		}
	}
	return f
}

// Ready returns when user code is loaded. Its errors are *sandbox.Error of kind StartFailed.
func (f *Frames) Ready(ctx context.Context) error { return f.await(ctx, wire.Ready) }

// Waiting is Ready for a stem cell, which waits for its function then.
func (f *Frames) Waiting(ctx context.Context) error { return f.await(ctx, wire.Waiting) }

// Bind tells a stem cell that waits its function, as shim.Binding says it.
func (f *Frames) Bind(function []byte) error { return f.conn.Write(wire.Bind, 0, function) }

func (f *Frames) await(ctx context.Context, want wire.Type) error {
	stop := context.AfterFunc(ctx, f.interrupt)
	frame, err := f.conn.Read()
	switch {
	case !stop():
		return StartFailed("%w", context.Cause(ctx))
	case err != nil:
		return StartFailed("it ended before it was ready: %s", f.failure(err).Message)
	case frame.Type == wire.StartError:
		return StartFailed("%s", Text(frame.Payload))
	case frame.Type != want:
		return StartFailed("it sent a frame of type %d before it was ready", frame.Type)
	default:
		return nil
	}
}

// StartFailed is an error of that kind.
func StartFailed(format string, args ...any) error {
	return &sandbox.Error{Kind: sandbox.StartFailed, Message: fmt.Errorf(format, args...).Error()}
}

// OutOfMemory is the error of a sandbox of f that was ended for its memory.
func OutOfMemory(f spec.Function) *sandbox.Error {
	return &sandbox.Error{Kind: sandbox.OutOfMemory, Message: fmt.Sprintf("it went over its memory limit of %d MiB and was ended", f.Memory/spec.MiB)}
}

// interrupt makes reads and writes under way return.
func (f *Frames) interrupt() { _ = f.socket.SetDeadline(time.Unix(1, 0)) } // it fails only on a closed socket, which is interrupted

// Invoke is that of sandbox.Sandbox, in the calling goroutine.
func (f *Frames) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	if err := CheckSize(args); err != nil {
		return sandbox.Reply{}, err
	}
	began := mono.Now()
	stop := context.AfterFunc(ctx, f.interrupt)
	f.calls++
	frame, err := f.roundTrip(args)
	if !stop() {
		return sandbox.Reply{}, context.Cause(ctx)
	}
	if err != nil {
		return sandbox.Reply{}, f.failure(err)
	}
	start, end, data, err := wire.SplitTimes(frame.Payload)
	if err != nil || frame.ID != f.calls || frame.Type != wire.Result && frame.Type != wire.UserError {
		return sandbox.Reply{}, &sandbox.Error{Kind: sandbox.Protocol, Message: fmt.Sprintf("it answered with a frame of type %d and id %d", frame.Type, frame.ID)}
	}
	elapsed := mono.Now() - began
	reply := sandbox.Reply{ExecStart: clamp(time.Duration(start)-began, 0, elapsed)}
	reply.ExecEnd = clamp(time.Duration(end)-began, reply.ExecStart, elapsed)
	if frame.Type == wire.UserError {
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: Text(data)}
	}
	if !json.Valid(data) {
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: fmt.Sprintf("what the function returned is not JSON: %.100q", data)}
	}
	reply.Result = bytes.Clone(data)
	return reply, nil
}

// CheckSize is an error of kind TooLarge for arguments over MaxPayload.
func CheckSize(args []byte) error {
	if len(args) <= sandbox.MaxPayload {
		return nil
	}
	return &sandbox.Error{Kind: sandbox.TooLarge, Message: fmt.Sprintf("the arguments have %d bytes, over %d MiB", len(args), sandbox.MaxPayload>>20)}
}

func (f *Frames) roundTrip(args []byte) (wire.Frame, error) {
	if err := f.conn.Write(wire.Invoke, f.calls, args); err != nil {
		return wire.Frame{}, err
	}
	return f.conn.Read()
}

func clamp(d, low, high time.Duration) time.Duration { return min(max(d, low), high) }

// failure says why the stream ended: the sandbox did, or it sent what is no frame.
func (f *Frames) failure(err error) *sandbox.Error {
	switch {
	case errors.Is(err, wire.ErrMalformed):
		return &sandbox.Error{Kind: sandbox.Protocol, Message: err.Error()}
	case errors.Is(err, wire.ErrTooLarge):
		return &sandbox.Error{Kind: sandbox.Protocol, Message: "it sent a frame over 16 MiB"}
	default:
		return f.ended()
	}
}

// Close closes the stream. It may be called twice.
func (f *Frames) Close() error {
	if err := f.socket.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// maxText bounds the text of an error that a sandbox sends, in bytes.
const maxText = 16 << 10

// Text makes what a sandbox sends fit for a message.
func Text(b []byte) string { return strings.ToValidUTF8(string(b[:min(len(b), maxText)]), "\uFFFD") }
