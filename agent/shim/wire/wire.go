// Package wire is the protocol between an agent and a sandbox: frames over one
// stream socket. It imports the standard library alone, because the SDK for
// functions in Go contains it.
//
// A frame is a header of 16 bytes, integers big-endian, and a payload:
//
//	0   uint32  length of the payload
//	4   uint8   type
//	5   3 bytes zero
//	8   uint64  id of the invocation, 0 where there is none
//
// The sandbox sends Ready once user code is loaded, or StartError with a text.
// Then, for each Invoke, whose payload is the arguments as a JSON object, it sends
// one Result or UserError of the same id. Their payload begins with two int64,
// the CLOCK_MONOTONIC in nanoseconds when user code began and ended, followed by
// the result as JSON, or by the error as text. One invocation is under way at a time.
// The end of the stream, in either direction, is the end of the sandbox.
//
// A stem cell, which has no function yet, sends Waiting first. For Bind, whose payload
// is a JSON object of environment variables, it becomes the function they speak of.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Type says what a frame is.
type Type uint8

// The types of frames.
const (
	Ready      Type = 1 // from the sandbox: user code is loaded
	StartError Type = 2 // from the sandbox: it is not, and why
	Invoke     Type = 3 // to the sandbox
	Result     Type = 4 // from the sandbox
	UserError  Type = 5 // from the sandbox: user code raised, and the sandbox can go on
	Waiting    Type = 6 // from a stem cell: it has no function
	Bind       Type = 7 // to a stem cell: its function
)

// FD is the environment variable with the number of an inherited stream socket,
// Socket the one with the path of a Unix socket to connect to. Exactly one is set.
const (
	FD     = "AINUR_FD"
	Socket = "AINUR_SOCKET"
)

const (
	headerSize = 16
	// TimesSize is the length of the times that begin a Result and a UserError.
	TimesSize = 16
	// MaxPayload bounds a payload, in bytes: 16 MiB of data and the times.
	MaxPayload = 16<<20 + TimesSize
	// keep is the largest buffer that is kept for the next frame.
	keep = 1 << 20
)

// ErrTooLarge is a payload over MaxPayload. Nothing of the frame was written or
// allocated.
var ErrTooLarge = errors.New("payload is over 16 MiB")

// ErrMalformed is a stream that is not this protocol.
var ErrMalformed = errors.New("malformed frame")

// Frame is one message.
type Frame struct {
	Type    Type
	ID      uint64
	Payload []byte
}

// Conn reads and writes frames. One goroutine may read while another writes.
type Conn struct {
	rw    io.ReadWriter
	in    []byte // in[begin:end] was read and not yet returned
	begin int
	end   int
	out   []byte
}

// NewConn returns a Conn on rw.
func NewConn(rw io.ReadWriter) *Conn { return &Conn{rw: rw, in: make([]byte, 4096)} }

// Write sends a frame whose payload is the parts one after the other, in one
// write to the stream.
func (c *Conn) Write(t Type, id uint64, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > MaxPayload {
		return ErrTooLarge
	}
	b := slices.Grow(c.out[:0], headerSize+size)
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = append(b, byte(t), 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, id)
	for _, p := range parts {
		b = append(b, p...)
	}
	if cap(b) <= keep {
		c.out = b
	}
	_, err := c.rw.Write(b)
	return err
}

// Read returns the next frame. Its payload is valid until the next Read. The
// error is io.EOF at the end of the stream between two frames, and
// io.ErrUnexpectedEOF in the middle of one.
func (c *Conn) Read() (Frame, error) {
	if err := c.fill(headerSize); err != nil {
		return Frame{}, err
	}
	h := c.in[c.begin:]
	size := int(binary.BigEndian.Uint32(h))
	t := Type(h[4])
	if t < Ready || t > Bind || h[5]|h[6]|h[7] != 0 {
		return Frame{}, fmt.Errorf("%w: type %d", ErrMalformed, t)
	}
	if size > MaxPayload {
		return Frame{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	id := binary.BigEndian.Uint64(h[8:])
	if err := c.fill(headerSize + size); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	payload := c.in[c.begin+headerSize : c.begin+headerSize+size]
	c.begin += headerSize + size
	return Frame{t, id, payload}, nil
}

// fill reads until n bytes are there, with as few reads as the stream allows.
func (c *Conn) fill(n int) error {
	if c.end-c.begin >= n {
		return nil
	}
	switch {
	case n > len(c.in):
		grown := make([]byte, n)
		c.end, c.begin = copy(grown, c.in[c.begin:c.end]), 0
		c.in = grown
	case c.begin == c.end && len(c.in) > keep && n <= keep:
		c.in, c.begin, c.end = make([]byte, 4096), 0, 0
		return c.fill(n)
	case c.begin > 0:
		c.end, c.begin = copy(c.in, c.in[c.begin:c.end]), 0
	}
	for c.end < n {
		read, err := c.rw.Read(c.in[c.end:])
		c.end += read
		if err != nil && c.end < n {
			if c.end > 0 && errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// AppendTimes appends the times of a Result or UserError to b.
func AppendTimes(b []byte, start, end int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(start)), uint64(end))
}

// SplitTimes returns the times and the rest of the payload of a Result or UserError.
func SplitTimes(payload []byte) (start, end int64, rest []byte, err error) {
	if len(payload) < TimesSize {
		return 0, 0, nil, fmt.Errorf("%w: %d bytes where the times take %d", ErrMalformed, len(payload), TimesSize)
	}
	return int64(binary.BigEndian.Uint64(payload)), int64(binary.BigEndian.Uint64(payload[8:])), payload[TimesSize:], nil
}
