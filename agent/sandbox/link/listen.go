package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// SocketName is the file in a sandbox's folder that the sandbox connects to.
const SocketName = "agent.sock"

// Listener waits for a sandbox to connect, once.
type Listener struct {
	folder *os.File // holds the socket; a Unix address is too short for most paths
	socket *net.UnixListener
}

// Listen makes the socket in the folder dir.
func Listen(dir string) (*Listener, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	address := net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), SocketName)}
	socket, err := net.ListenUnix("unix", &address)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return &Listener{folder, socket}, nil
}

// Accept returns the connection of the sandbox, and closes the Listener. Its errors
// are those of Frames.Ready: it gives up when ctx ends, or done is closed, which
// ended explains.
func (l *Listener) Accept(ctx context.Context, done <-chan struct{}, ended func() *sandbox.Error) (net.Conn, error) {
	accepted := make(chan struct{})
	go func() {
		select {
		case <-done:
		case <-ctx.Done():
		case <-accepted:
			return
		}
		_ = l.socket.SetDeadline(time.Unix(1, 0)) // it fails only when it is closed
	}()
	conn, err := l.socket.Accept()
	close(accepted)
	closeErr := l.Close()
	switch {
	case err == nil:
		return conn, closeErr
	case ctx.Err() != nil:
		return nil, StartFailed("%w", context.Cause(ctx))
	default:
		return nil, StartFailed("it ended before it was ready: %s", ended().Message)
	}
}

// Close removes the socket. It may be called twice.
func (l *Listener) Close() error {
	err := errors.Join(l.socket.Close(), l.folder.Close())
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
