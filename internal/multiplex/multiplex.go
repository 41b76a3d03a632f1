// Package multiplex carries many calls at a time over one connection, for a fraction of what
// gRPC takes. Both ends first say the preface. Then follow frames: a header of 16 bytes, integers
// big-endian, and a payload, which is the caller's and the handler's own affair.
//
//	0   uint32  length of the payload
//	4   uint8   type: 1 request, 2 reply, 3 cancellation
//	5   3 bytes zero
//	8   uint64  id of the call, chosen by who calls, never twice on a connection
//
// For each request there is one reply, in any order; none may come for a call that was
// cancelled. The end of a connection cancels what is under way on it.
//
// A server of it shares its port with gRPC: see Server.Credentials.
package multiplex

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/agent/shim/wire"
)

const (
	preface    = "ainur/1\n" // as long as what tells it from HTTP/2, whose own begins otherwise
	headerSize = 16
	// MaxPayload bounds a payload, in bytes: more than any arguments or result of a function.
	MaxPayload = 64 << 20
	// inBuffer is how much is read at a time; larger frames have a buffer of their own.
	inBuffer = 64 << 10
	// keep is the largest buffer for writing that is kept for the next frames.
	keep = 1 << 20
	// backlog is how much waits to be written before whoever writes waits too.
	backlog = 16 << 20
	// stuck is how long the other end may take to take a piece of what is written.
	stuck = 10 * time.Second
	piece = 256 << 10
)

type kind uint8

const (
	request kind = iota + 1
	reply
	cancellation
)

var (
	// ErrTooLarge is a payload over MaxPayload. Nothing of it was sent.
	ErrTooLarge = fmt.Errorf("a payload is over %d MiB", MaxPayload>>20)
	// ErrClosed is a connection that this end has closed.
	ErrClosed = errors.New("the connection was closed")
)

// frames reads and writes frames. One goroutine reads, many may write.
type frames struct {
	conn   net.Conn
	in     *bufio.Reader
	socket *wire.Quick // nil where only all of conn can read and write, as with TLS

	mu      sync.Mutex
	room    sync.Cond // that out has some again, or err is there
	out     []byte    // not yet given to conn
	spare   []byte    // empty, for the next out
	writing bool      // somebody gives out to conn
	err     error     // why nothing is written any more
}

func newFrames(conn net.Conn) *frames {
	f := &frames{conn: conn, in: bufio.NewReaderSize(conn, inBuffer)}
	f.room.L = &f.mu
	if tcp, ok := conn.(*net.TCPConn); ok { // and not any syscall.Conn: gRPC's of TLS is one
		if s, err := wire.NewQuick(tcp); err == nil { // it fails only on a closed one
			f.socket, f.in = s, bufio.NewReaderSize(s, inBuffer)
		}
	}
	return f
}

// read returns the next frame. Its payload is valid until the next read.
func (f *frames) read() (k kind, id uint64, payload []byte, err error) {
	header, err := f.in.Peek(headerSize)
	if err != nil {
		if len(header) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(header))
	k, id = kind(header[4]), binary.BigEndian.Uint64(header[8:])
	if k < request || k > cancellation || header[5]|header[6]|header[7] != 0 {
		return 0, 0, nil, fmt.Errorf("malformed frame of type %d", k)
	}
	if size > MaxPayload {
		return 0, 0, nil, ErrTooLarge
	}
	if headerSize+size <= inBuffer {
		frame, err := f.in.Peek(headerSize + size)
		if err != nil {
			return 0, 0, nil, unexpected(err)
		}
		_, err = f.in.Discard(headerSize + size)
		return k, id, frame[headerSize:], err
	}
	if _, err := f.in.Discard(headerSize); err != nil {
		return 0, 0, nil, err
	}
	payload, err = readAll(f.in, size)
	return k, id, payload, unexpected(err)
}

// readAll reads size bytes into memory that grows with what has come.
func readAll(r io.Reader, size int) ([]byte, error) {
	var all []byte
	for len(all) < size {
		n := len(all)
		all = slices.Grow(all, min(size-n, max(n, inBuffer)))
		more := all[n:min(size, cap(all))]
		read, err := io.ReadFull(r, more)
		if all = all[:n+read]; err != nil {
			return nil, err
		}
	}
	return all, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// write sends a frame. What the socket does not take at once is left to a goroutine, so that
// it waits only where very much is left already. An error means that the frame was not sent.
func (f *frames) write(k kind, id uint64, payload []byte) error {
	if len(payload) > MaxPayload {
		return ErrTooLarge
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.out) > backlog && f.err == nil {
		f.room.Wait()
	}
	if f.err != nil {
		return f.err
	}
	f.out = binary.BigEndian.AppendUint32(f.out, uint32(len(payload)))
	f.out = append(f.out, byte(k), 0, 0, 0)
	f.out = binary.BigEndian.AppendUint64(f.out, id)
	f.out = append(f.out, payload...)
	if f.writing {
		return nil
	}
	f.writing = true
	if f.socket == nil {
		go f.flush(f.take())
		return nil
	}
	for {
		all := f.take()
		f.mu.Unlock()
		n, err := f.socket.TryWrite(all)
		f.mu.Lock()
		switch {
		case err != nil:
			f.fail(err)
			return nil // some of it may have been sent: who reads is told
		case n < len(all):
			go f.flush(all[n:])
			return nil
		}
		f.give(all)
		if len(f.out) == 0 {
			f.writing = false
			return nil
		}
	}
}

// take returns what is to be written. The caller holds f.mu.
func (f *frames) take() []byte {
	all := f.out
	f.out, f.spare = f.spare[:0], nil
	f.room.Broadcast()
	return all
}

// give returns the buffer of what was written. The caller holds f.mu.
func (f *frames) give(b []byte) {
	if cap(b) <= keep {
		f.spare = b[:0]
	}
}

// flush writes rest, and then all else that there is.
func (f *frames) flush(rest []byte) {
	for {
		var err error
		for part := range slices.Chunk(rest, piece) {
			if err = f.conn.SetWriteDeadline(time.Now().Add(stuck)); err != nil {
				break
			}
			if _, err = f.conn.Write(part); err != nil {
				break
			}
		}
		f.mu.Lock()
		if err == nil && len(f.out) == 0 {
			err = f.conn.SetWriteDeadline(time.Time{})
			f.writing = false
		}
		if err != nil {
			f.fail(err)
		}
		if err != nil || !f.writing {
			f.mu.Unlock()
			return
		}
		rest = f.take()
		f.mu.Unlock()
	}
}

// fail ends writing, and with the connection reading too. The caller holds f.mu.
func (f *frames) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	f.out, f.spare = nil, nil
	f.room.Broadcast()
	_ = f.conn.Close() // it is of no use any more
}

// close ends the connection for the reason err, which later writes return.
func (f *frames) close(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail(err)
}

// reason is why nothing is written any more.
func (f *frames) reason() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
