package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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

// Accept returns the connection of the sandbox, and closes the Listener. cgroup is part of
// the path of the sandbox's cgroup, which no other's has, where each path ends with a slash:
// who connects from outside of it is turned away. With "", all are let in. The errors are
// those of Frames.Ready: it gives up when ctx ends, or done is closed, which ended explains.
func (l *Listener) Accept(ctx context.Context, cgroup string, done <-chan struct{}, ended func() *sandbox.Error) (net.Conn, error) {
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
	conn, err := l.acceptFrom(cgroup)
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

func (l *Listener) acceptFrom(cgroup string) (net.Conn, error) {
	for {
		conn, err := l.socket.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if checkPeer(conn, cgroup) == nil {
			return conn, nil
		}
		_ = conn.Close() // it is none of ours
	}
}

// checkPeer is an error when the process at the other end of a connection is in no cgroup
// whose path has the text in it. One that this process cannot see is not checked.
func checkPeer(conn *net.UnixConn, cgroup string) error {
	if cgroup == "" {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { peer, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || credErr != nil {
		return errors.Join(err, credErr)
	}
	if peer.Pid == 0 {
		return nil
	}
	// While a process of several threads executes another program, what has its number may be a
	// thread that has ended, and is in no cgroup any more.
	for again := range peerLooks {
		if again > 0 {
			time.Sleep(peerPause)
		}
		if err = inCgroup(peer.Pid, cgroup); err == nil {
			return nil
		}
	}
	return err
}

const (
	peerLooks = 20
	peerPause = 5 * time.Millisecond
)

// inCgroup is an error when a process is in no cgroup whose path has the text in it.
func inCgroup(pid int32, cgroup string) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(strings.TrimSuffix(line, "\n")+"/", cgroup) {
			return nil
		}
	}
	return fmt.Errorf("process %d, at the other end of the socket, is not in the sandbox", pid)
}

// Close removes the socket. It may be called twice.
func (l *Listener) Close() error {
	err := errors.Join(l.socket.Close(), l.folder.Close())
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
