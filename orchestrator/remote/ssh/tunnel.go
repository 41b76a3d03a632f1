package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// dialThrough opens a channel to an address; the library has no way to give up
// waiting for one, so one that comes too late is closed when it comes.
func dialThrough(ctx context.Context, client *ssh.Client, network, address string) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	got := make(chan dialed, 1)
	go func() {
		conn, err := client.Dial(network, address)
		got <- dialed{conn, err}
	}()
	select {
	case d := <-got:
		if d.err != nil {
			return nil, d.err
		}
		return newTunnel(d.conn), nil
	case <-ctx.Done():
		go func() {
			if d := <-got; d.conn != nil {
				_ = d.conn.Close() // nobody wants it any more
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// tunnel is a connection over a channel which has deadlines, and ends at once when it
// is closed: the library's has none, and waits for the other end to agree.
type tunnel struct {
	net.Conn // our end of a pipe
	channel  net.Conn

	mu  sync.Mutex
	err error // why nothing more comes
}

func newTunnel(channel net.Conn) net.Conn {
	near, far := net.Pipe()
	t := &tunnel{Conn: near, channel: channel}
	go func() {
		_, err := io.Copy(far, channel)
		t.mu.Lock()
		t.err = err
		t.mu.Unlock()
		_ = far.Close() // a pipe has no other errors
	}()
	go func() {
		_, _ = io.Copy(channel, far) // whose error the reader sees
		_ = channel.Close()          // it may be closed
	}()
	return t
}

// Read tells why nothing more comes.
func (t *tunnel) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.err != nil {
			err = t.err
		}
	}
	return n, err
}

// Close ends both directions.
func (t *tunnel) Close() error { return errors.Join(t.Conn.Close(), closed(t.channel.Close())) }

func (t *tunnel) LocalAddr() net.Addr  { return t.channel.LocalAddr() }
func (t *tunnel) RemoteAddr() net.Addr { return t.channel.RemoteAddr() }
