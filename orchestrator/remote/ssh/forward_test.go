package ssh_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshtest"
)

// Connections to what listens on a host carry bytes, have deadlines, and end at once.
func TestForward(t *testing.T) {
	echo := func(conn net.Conn) { _, _ = io.Copy(conn, conn) } // until the client goes
	socket := listen(t, echo)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := l.Accept(); err == nil {
			echo(conn)
			_ = conn.Close() // its client may have closed it
		}
	}()
	defer func() { <-served }()
	defer l.Close()
	c := dial(t, dialer(t), hostOf(sshtest.Start(t, sshtest.Faults{})))
	for network, address := range map[string]string{"unix": socket, "tcp": l.Addr().String()} {
		conn, err := c.Dial(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		big := strings.Repeat("0123456789abcdef", 1<<16)
		go func() { _, _ = io.WriteString(conn, big) }() // what is missing is seen below
		got := make([]byte, len(big))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != big {
			t.Errorf("%s: what came back is another: %v", network, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: after its deadline: %v", network, err)
		}
		if err := conn.SetDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := conn.Read(got)
			ended <- err
		}()
		time.Sleep(20 * time.Millisecond)
		if err := conn.Close(); err != nil {
			t.Errorf("%s: close: %v", network, err)
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: something was read of a closed connection", network)
			}
		case <-time.After(time.Second):
			t.Errorf("%s: a reader waits for a closed connection", network)
		}
	}
	if _, err := c.Dial(t.Context(), "unix", socket+"-not"); err == nil || !strings.Contains(err.Error(), "host h: connect to "+socket+"-not there") {
		t.Errorf("nobody listens: %v", err)
	}
	c = dial(t, dialer(t), hostOf(sshtest.Start(t, sshtest.Faults{NoForwarding: true})))
	if _, err := c.Dial(t.Context(), "unix", socket); !errors.Is(err, remote.ErrRefused) || !strings.Contains(err.Error(), "AllowStreamLocalForwarding") {
		t.Errorf("it is not let through: %v", err)
	}
}

// What a connection through a host waits for ends with the connection to the host.
func TestForwardCut(t *testing.T) {
	socket := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	d := dialer(t)
	c, err := d.Dial(t.Context(), hostOf(sshtest.Start(t, sshtest.Faults{})), spec.Become{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil && !errors.Is(err, io.ErrClosedPipe) { // it may have ended
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Dial(t.Context(), "unix", socket); !errors.Is(err, remote.ErrUnreachable) {
		t.Errorf("through a closed connection: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
