package wire_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/shim/wire"
)

// stream is a buffer that counts what is done with it.
type stream struct {
	bytes.Buffer
	writes, reads int
}

func (s *stream) Write(p []byte) (int, error) { s.writes++; return s.Buffer.Write(p) }
func (s *stream) Read(p []byte) (int, error)  { s.reads++; return s.Buffer.Read(p) }

// only reads from r.
type only struct {
	io.Reader
	io.Writer
}

func readAll(c *wire.Conn) (frames []wire.Frame, err error) {
	for {
		f, err := c.Read()
		if err != nil {
			return frames, err
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
	}
}

// frames of every size come out as they went in, however the stream cuts them.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s stream
		var want []wire.Frame
		sizes := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(4000, 4200), rapid.IntRange(0, 3<<20))
		for range rapid.IntRange(0, 5).Draw(t, "count") {
			payload := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, sizes.Draw(t, "size"))
			f := wire.Frame{Type: wire.Type(rapid.Uint8Range(1, 5).Draw(t, "type")), ID: rapid.Uint64().Draw(t, "id"), Payload: payload}
			cut := rapid.IntRange(0, len(payload)).Draw(t, "cut")
			if err := wire.NewConn(&s).Write(f.Type, f.ID, payload[:cut], payload[cut:]); err != nil {
				t.Fatal(err)
			}
			want = append(want, f)
		}
		cutter := rapid.SampledFrom([]func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader,
		}).Draw(t, "cutter")
		got, err := readAll(wire.NewConn(only{Reader: cutter(&s)}))
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("ends with %v, want EOF", err)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("string", func(b []byte) string { return string(b) })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The format is that of docs/functions.md, which others implement.
func TestBytes(t *testing.T) {
	var s stream
	if err := wire.NewConn(&s).Write(wire.Result, 0x0102, wire.AppendTimes(nil, 1, -1), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	want := "\x00\x00\x00\x12" + "\x04" + "\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x01\x02" +
		"\x00\x00\x00\x00\x00\x00\x00\x01" + "\xff\xff\xff\xff\xff\xff\xff\xff" + "{}"
	if diff := cmp.Diff(want, s.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f, err := wire.NewConn(&s).Read()
	if err != nil {
		t.Fatal(err)
	}
	start, end, rest, err := wire.SplitTimes(f.Payload)
	if start != 1 || end != -1 || string(rest) != "{}" || err != nil {
		t.Errorf("times %d and %d, then %q, %v", start, end, rest, err)
	}
	if _, _, _, err := wire.SplitTimes(make([]byte, wire.TimesSize-1)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("times cut short: %v", err)
	}
}

func TestReadErrors(t *testing.T) {
	header := "\x00\x00\x00\x04\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
	for name, tt := range map[string]struct {
		in   string
		want error
	}{
		"end":            {"", io.EOF},
		"half a header":  {header[:9], io.ErrUnexpectedEOF},
		"no payload":     {header, io.ErrUnexpectedEOF},
		"half a payload": {header + "ab", io.ErrUnexpectedEOF},
		"type 0":         {"\x00\x00\x00\x00\x00" + header[5:], wire.ErrMalformed},
		"type 8":         {"\x00\x00\x00\x00\x08" + header[5:], wire.ErrMalformed},
		"padding":        {"\x00\x00\x00\x00\x03\x00\x01\x00" + header[8:], wire.ErrMalformed},
		"text":           {"this is no frame at all", wire.ErrMalformed},
		"over 16 MiB":    {"\x01\x00\x00\x11" + header[4:], wire.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire.NewConn(only{Reader: iotest.OneByteReader(bytes.NewReader([]byte(tt.in)))}).Read()
			if !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	var s stream
	c := wire.NewConn(&s)
	if err := c.Write(wire.Invoke, 1, make([]byte, wire.MaxPayload), []byte{1}); !errors.Is(err, wire.ErrTooLarge) || s.writes > 0 {
		t.Errorf("error is %v after %d writes, want none and %v", err, s.writes, wire.ErrTooLarge)
	}
	if err := c.Write(wire.Invoke, 1, make([]byte, wire.MaxPayload)); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Read(); err != nil || len(f.Payload) != wire.MaxPayload {
		t.Errorf("%d bytes, %v", len(f.Payload), err)
	}
}

// A warm call costs one write and one read, and allocates nothing.
func TestCost(t *testing.T) {
	var s stream
	c, times, payload := wire.NewConn(&s), make([]byte, 0, wire.TimesSize), bytes.Repeat([]byte{'x'}, 1000)
	call := func() {
		err := c.Write(wire.Result, 1, wire.AppendTimes(times, 1, 2), payload)
		if _, readErr := c.Read(); err != nil || readErr != nil {
			t.Fatal(err, readErr)
		}
	}
	if n := testing.AllocsPerRun(100, call); n > 0 {
		t.Errorf("a frame allocates %v times", n)
	}
	s.writes, s.reads = 0, 0
	if call(); s.writes != 1 || s.reads != 1 {
		t.Errorf("a frame takes %d writes and %d reads", s.writes, s.reads)
	}
}

// What is read and written again is the same bytes, whatever comes.
func FuzzRead(f *testing.F) {
	var s stream
	for i := range wire.UserError {
		if err := wire.NewConn(&s).Write(i+1, uint64(i), bytes.Repeat([]byte{byte(i)}, int(i)*7)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(s.Bytes())
	f.Add([]byte("\x01\x00\x00\x11\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"))
	f.Fuzz(func(t *testing.T, in []byte) {
		frames, err := readAll(wire.NewConn(only{Reader: iotest.HalfReader(bytes.NewReader(in))}))
		if err == nil {
			t.Fatal("the stream has no end")
		}
		var again stream
		for _, f := range frames {
			if err := wire.NewConn(&again).Write(f.Type, f.ID, f.Payload); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(in, again.Bytes()) || err == io.EOF && again.Len() != len(in) {
			t.Errorf("%q was read as %q, then %v", in, again.Bytes(), err)
		}
	})
}
