package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/shim/wire"
)

// pair is two connected ends, closed when the test ends.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { one.Close(); other.Close() })
	return one.(*net.UnixConn), other.(*net.UnixConn)
}

func quick(t *testing.T, c *net.UnixConn) *wire.Quick {
	t.Helper()
	q, err := wire.NewQuick(c)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// More than the socket holds goes through whole, and the end of the stream is one.
func TestQuick(t *testing.T) {
	a, b := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	go func() {
		if n, err := quick(t, a).Write(sent); n != len(sent) || err != nil {
			t.Errorf("wrote %d of %d: %v", n, len(sent), err)
		}
		a.Close()
	}()
	got, err := io.ReadAll(quick(t, b))
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %d of %d: %v", len(got), len(sent), err)
	}
	if _, err := quick(t, b).Write(sent); err == nil {
		t.Error("written to nobody")
	}
}

// TryWrite does not wait, and a deadline ends a Read.
func TestQuickDoesNotWait(t *testing.T) {
	a, b := pair(t)
	q, all := quick(t, a), make([]byte, 64<<20)
	written, err := q.TryWrite(all)
	if err != nil || written == 0 || written == len(all) {
		t.Errorf("wrote %d of %d at once: %v", written, len(all), err)
	}
	if more, err := q.TryWrite(all); err != nil || more == len(all) {
		t.Errorf("wrote %d more: %v", more, err)
	}
	if n, err := io.ReadFull(quick(t, b), make([]byte, written)); err != nil {
		t.Errorf("read %d of %d: %v", n, written, err)
	}
	if err := a.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	a.Close()
	if _, err := q.TryWrite(all); !errors.Is(err, net.ErrClosed) {
		t.Errorf("written to what is closed: %v", err)
	}
}
