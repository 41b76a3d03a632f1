package multiplex

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// ErrUnspoken reports that who listens at an address speaks something else.
var ErrUnspoken = errors.New("it does not speak the multiplexed protocol of ainur")

// Waiter gets the end of a call, from the goroutine that reads the connection: it must not
// block. The reply is valid until Done returns; err says that the connection was lost, and
// the other end may have done what was asked.
type Waiter interface {
	Done(reply []byte, err error)
}

// Conn makes calls. It is safe for concurrent use.
type Conn struct {
	*frames

	mu      sync.Mutex
	waiting map[uint64]Waiter
	lost    error // why no more is sent
	ended   chan struct{}
}

// Dial connects to address, as creds says, and returns when the other end has answered.
func Dial(ctx context.Context, address string, creds credentials.TransportCredentials) (*Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn, err := greet(ctx, raw, host, creds)
	if err != nil {
		_ = raw.Close() // it may be closed already
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	c := &Conn{frames: newFrames(conn), waiting: map[uint64]Waiter{}, ended: make(chan struct{})}
	go c.receive()
	return c, nil
}

func greet(ctx context.Context, raw net.Conn, host string, creds credentials.TransportCredentials) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) }) // it fails only when it is closed
	defer stop()
	conn, _, err := creds.ClientHandshake(ctx, host, raw)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(preface)); err != nil {
		return nil, err
	}
	var answer [len(preface)]byte
	_, err = io.ReadFull(conn, answer[:])
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil && string(answer[:]) != preface, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, ErrUnspoken
	case err != nil:
		return nil, err
	case !stop():
		return nil, context.Cause(ctx)
	}
	return conn, nil
}

// Send makes a call with an id of the caller's choice, and tells w of its end. The payload may be
// changed afterwards. An error means that it was certainly not sent, and w hears nothing.
func (c *Conn) Send(id uint64, w Waiter, payload []byte) error {
	c.mu.Lock()
	if c.lost != nil {
		c.mu.Unlock()
		return c.lost
	}
	if c.waiting[id] != nil {
		c.mu.Unlock()
		return fmt.Errorf("a call with id %d is under way", id)
	}
	c.waiting[id] = w
	c.mu.Unlock()
	if err := c.write(request, id, payload); err != nil && c.take(id) != nil {
		return err
	}
	return nil
}

// Cancel gives a call up, and tells the other end. It returns false when
// the call has ended, or was given up, already; else its Waiter hears nothing.
func (c *Conn) Cancel(id uint64) bool {
	if c.take(id) == nil {
		return false
	}
	_ = c.write(cancellation, id, nil) // a lost connection has cancelled it
	return true
}

func (c *Conn) take(id uint64) Waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waiting[id]
	delete(c.waiting, id)
	return w
}

// receive hands out replies until the connection ends.
func (c *Conn) receive() {
	for {
		k, id, payload, err := c.read()
		if err == nil && k != reply {
			err = fmt.Errorf("malformed frame of type %d", k)
		}
		if err != nil {
			c.end(err)
			return
		}
		if w := c.take(id); w != nil {
			w.Done(payload, nil)
		}
	}
}

func (c *Conn) end(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("the other end closed the connection")
	}
	c.close(err) // a reason that is there already stays
	c.mu.Lock()
	c.lost = c.frames.reason()
	left := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, w := range left {
		w.Done(nil, c.lost)
	}
	close(c.ended)
}

// Ended is closed when the connection has ended, for the reason Lost, and each Waiter was told.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// Lost is why the connection has ended, nil while it lasts.
func (c *Conn) Lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Close ends the connection. What is under way is lost, as each Waiter is told soon.
func (c *Conn) Close() { c.close(ErrClosed) }
