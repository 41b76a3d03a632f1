package link

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Protocol is how the agent speaks with what runs in a sandbox. Invoke is called
// by one goroutine at a time.
type Protocol interface {
	// Ready returns when user code is loaded. Its errors are *sandbox.Error of kind StartFailed.
	Ready(ctx context.Context) error
	// Invoke is that of sandbox.Sandbox.
	Invoke(ctx context.Context, args []byte) (sandbox.Reply, error)
	// Close ends the connection. It may be called twice.
	Close() error
}

// Where an image of Ilúvatar has its sockets, and what is run in one that does not say.
const (
	IluvatarSockets = "/iluvatar/sockets"
	iluvatarSocket  = "sock" // of a server = "unix"
)

// IluvatarCommand is run in an image that has no entrypoint, in the folder /app.
var IluvatarCommand = []string{"/usr/local/bin/gunicorn", "server:app"}

// IluvatarEnv is the environment of an image of Ilúvatar, whose server listens on
// host:port, or on its Unix socket.
func IluvatarEnv(host string, port int, timeout time.Duration) []string {
	return []string{
		fmt.Sprintf("__IL_HOST=%s", host), fmt.Sprintf("__IL_PORT=%d", port), "__IL_SOCKET=" + IluvatarSockets + "/" + iluvatarSocket,
		fmt.Sprintf("GUNICORN_CMD_ARGS=--workers=1 --timeout=%d --bind=%s:%d --enable-stdio-inheritance -e PYTHONUNBUFFERED=1", int(timeout.Seconds()), host, port),
		"FLASK_APP=server", fmt.Sprintf("FLASK_RUN_PORT=%d", port), "FLASK_RUN_HOST=" + host,
	}
}

// marker is what Ilúvatar's server prints when its socket is there.
const marker = "MGK_GUN_READY_KMG"

// Marker passes on what is printed, and closes Seen when the marker was among it.
type Marker struct {
	To   io.Writer
	Seen chan struct{} // made by the caller
	mu   *sync.Mutex
	end  []byte // of what was printed, shorter than the marker
	once *sync.Once
}

// NewMarkers are Markers on standard output and standard error, on either of which
// the marker may be.
func NewMarkers(stdout, stderr io.Writer) (out, err *Marker) {
	seen, once := make(chan struct{}), &sync.Once{}
	return &Marker{To: stdout, Seen: seen, mu: &sync.Mutex{}, once: once}, &Marker{To: stderr, Seen: seen, mu: &sync.Mutex{}, once: once}
}

func (m *Marker) Write(p []byte) (int, error) {
	m.mu.Lock()
	text := append(m.end, p...)
	if bytes.Contains(text, []byte(marker)) {
		m.once.Do(func() { close(m.Seen) })
	}
	m.end = append(m.end[:0], text[max(0, len(text)-len(marker)+1):]...)
	m.mu.Unlock()
	return m.To.Write(p)
}

// iluvatar is a sandbox that speaks one of Ilúvatar's protocols.
type iluvatar struct {
	transport transport
	seen      <-chan struct{} // closed by the marker
	done      <-chan struct{} // closed when the sandbox has ended
	ended     func() *sandbox.Error
}

// transport carries one exchange, and is told the same words by HTTP and by a socket.
type transport interface {
	// check asks whether user code is loaded: an answer that is no error says so.
	check(ctx context.Context) (answer []byte, failed bool, err error)
	// invoke returns the answer, and whether it is a user error for certain.
	invoke(ctx context.Context, args []byte) (answer []byte, failed bool, err error)
	close() error
}

// retryEvery is how long to wait before the next attempt to connect.
const retryEvery = 2 * time.Millisecond

// Ready waits for the marker and then for the server to answer: it prints the
// marker before it has imported user code.
func (i *iluvatar) Ready(ctx context.Context) error {
	select {
	case <-i.seen:
	case <-i.done:
		return StartFailed("it ended before it was ready: %s", i.ended().Message)
	case <-ctx.Done():
		return StartFailed("it did not print %s: %w", marker, context.Cause(ctx))
	}
	for {
		answer, failed, err := i.transport.check(ctx)
		switch {
		case err == nil && failed:
			return StartFailed("%s", Text(answer))
		case err == nil:
			return nil
		}
		select {
		case <-time.After(retryEvery):
		case <-i.done:
			return StartFailed("it ended before it was ready: %s", i.ended().Message)
		case <-ctx.Done():
			return StartFailed("it does not answer: %w (%w)", context.Cause(ctx), err)
		}
	}
}

// answer is what Ilúvatar's servers say of an invocation.
type answer struct {
	Result   *string  `json:"user_result"`    // JSON text
	Error    *string  `json:"user_error"`     // JSON text
	Platform any      `json:"platform_error"` // the server itself failed
	Duration *float64 `json:"duration_sec"`   // of user code
}

// Invoke runs args. A user error leaves the sandbox usable; a platform error, and
// what is no answer at all, does not.
func (i *iluvatar) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	if err := CheckSize(args); err != nil {
		return sandbox.Reply{}, err
	}
	began := time.Now()
	body, failed, err := i.transport.invoke(ctx, args)
	elapsed := time.Since(began)
	var e *sandbox.Error
	switch {
	case ctx.Err() != nil:
		return sandbox.Reply{}, context.Cause(ctx)
	case errors.As(err, &e):
		return sandbox.Reply{}, e
	case err != nil:
		return sandbox.Reply{}, i.ended()
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return sandbox.Reply{}, &sandbox.Error{Kind: sandbox.Protocol, Message: fmt.Sprintf("it answered with what is no JSON object: %.200q", body)}
	}
	reply := sandbox.Reply{ExecEnd: elapsed}
	if a.Duration != nil {
		reply.ExecStart = clamp(elapsed-time.Duration(*a.Duration*float64(time.Second)), 0, elapsed)
	}
	switch {
	case a.Platform != nil:
		return reply, &sandbox.Error{Kind: sandbox.Protocol, Message: Text(fmt.Append(nil, a.Platform))}
	case a.Error != nil:
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: Text([]byte(*a.Error))}
	case failed:
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: Text(body)}
	case a.Result == nil:
		return reply, &sandbox.Error{Kind: sandbox.Protocol, Message: fmt.Sprintf("its answer has neither user_result nor user_error: %.200q", body)}
	case !json.Valid([]byte(*a.Result)):
		return reply, &sandbox.Error{Kind: sandbox.UserError, Message: fmt.Sprintf("what the function returned is not JSON: %.100q", *a.Result)}
	}
	reply.Result = []byte(*a.Result)
	return reply, nil
}

// Close ends the connection.
func (i *iluvatar) Close() error { return i.transport.close() }

// errLarge is an answer over sandbox.MaxPayload.
var errLarge = &sandbox.Error{Kind: sandbox.Protocol, Message: fmt.Sprintf("its answer has over %d MiB", sandbox.MaxPayload>>20)}
