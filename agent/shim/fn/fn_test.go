package fn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/internal/mono"
)

// agent serves f and is the other end, which is ready.
func agent(t *testing.T, f func(context.Context, []byte) ([]byte, error)) *wire.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	served := make(chan error)
	go func() { served <- serve(theirs, f) }()
	t.Cleanup(func() {
		if err := errors.Join(ours.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	conn := wire.NewConn(ours)
	if frame, err := conn.Read(); err != nil || frame.Type != wire.Ready {
		t.Fatalf("frame %+v, %v, want ready", frame, err)
	}
	return conn
}

// invoke returns the type and the content of the answer.
func invoke(t *testing.T, conn *wire.Conn, id uint64, args string) (wire.Type, string) {
	t.Helper()
	before := int64(mono.Now())
	if err := conn.Write(wire.Invoke, id, []byte(args)); err != nil {
		t.Fatal(err)
	}
	frame, err := conn.Read()
	if err != nil {
		t.Fatal(err)
	}
	start, end, data, err := wire.SplitTimes(frame.Payload)
	if err != nil || frame.ID != id {
		t.Fatalf("answer to %d, %v, want to %d", frame.ID, err, id)
	}
	slack := int64(time.Millisecond) // each process reads the clock's offset once
	if start < before-slack || end < start || end > int64(mono.Now())+slack {
		t.Errorf("ran from %d to %d, called at %d", start, end, before)
	}
	return frame.Type, string(data)
}

func TestServe(t *testing.T) {
	conn := agent(t, adapt(func(_ context.Context, args map[string]any) (any, error) {
		switch args["do"] {
		case "fail":
			return nil, errors.New("by design")
		case "panic":
			panic("by design")
		case "return a channel":
			return make(chan int), nil
		case "return too much":
			return strings.Repeat("x", 17<<20), nil
		case "say too much":
			return nil, errors.New(strings.Repeat("é", 9<<10))
		case "say what is no text":
			return nil, errors.New("a\xffb")
		}
		return args, nil
	}))
	for i, tt := range []struct {
		args string
		kind wire.Type
		want string
	}{
		{`{"n":1}`, wire.Result, `{"n":1}`},
		{`null`, wire.Result, `null`},
		{`[]`, wire.UserError, "the arguments are no JSON object"},
		{`{"do":"fail"}`, wire.UserError, "by design"},
		{`{"do":"panic"}`, wire.UserError, "panic: by design\n"},
		{`{"do":"panic"}`, wire.UserError, "fn_test.go"},
		{`{"do":"return a channel"}`, wire.UserError, "is not JSON: json: unsupported type: chan int"},
		{`{"do":"return too much"}`, wire.UserError, "over 16 MiB"},
		{`{"do":"say too much"}`, wire.UserError, "é..."},
		{`{"do":"say what is no text"}`, wire.UserError, "ab"},
		{`{}`, wire.Result, `{}`}, // after all of that it still serves
	} {
		kind, got := invoke(t, conn, uint64(i+1), tt.args)
		if kind != tt.kind || !strings.Contains(got, tt.want) {
			t.Errorf("%s: type %d with %.200q, want type %d with %q", tt.args, kind, got, tt.kind, tt.want)
		}
		if len(got) > maxError || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, valid %v", tt.args, len(got), utf8.ValidString(got))
		}
	}
}

// What is no invocation ends the function, so that it is not waited for.
func TestServeRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		send string
		want string
	}{
		"garbage":     {"this is no frame at all", "malformed frame"},
		"wrong type":  {"\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "type 4 where an invocation should be"},
		"half a call": {"\x00\x00\x00\x09\x03", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			rw := struct {
				io.Reader
				io.Writer
			}{strings.NewReader(tt.send), io.Discard}
			err := serve(rw, func(context.Context, []byte) ([]byte, error) { return nil, errors.New("it was called") })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

func TestConnect(t *testing.T) {
	t.Setenv(wire.Socket, "")
	for fd, want := range map[string]string{"": "is started by an ainur agent", "x": "is started by an ainur agent", "9999": "descriptor 9999: bad file descriptor"} {
		t.Setenv(wire.FD, fd)
		if _, err := connect(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s=%s: %v, want %q", wire.FD, fd, err, want)
		}
	}
	path := fmt.Sprintf("%s/s", t.TempDir())
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv(wire.Socket, path)
	if _, err := connect(); err != nil {
		t.Error(err)
	}
}

// A call costs what f costs: the frames around it allocate nothing.
func TestAllocations(t *testing.T) {
	result := []byte(`{}`)
	var in strings.Builder
	const calls = 1000
	if err := wire.NewConn(struct {
		io.Reader
		io.Writer
	}{nil, &in}).Write(wire.Invoke, 1, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	run := func(calls int) float64 {
		return testing.AllocsPerRun(1, func() {
			rw := struct {
				io.Reader
				io.Writer
			}{strings.NewReader(strings.Repeat(in.String(), calls)), io.Discard}
			if err := serve(rw, func(context.Context, []byte) ([]byte, error) { return result, nil }); err != nil {
				t.Error(err)
			}
		})
	}
	if few, many := run(1), run(calls); many-few > 10 {
		t.Errorf("%d calls allocate %v times, one %v times", calls, many, few)
	}
}
