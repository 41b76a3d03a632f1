package link_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
)

// listen is a Unix socket that tells of the first connection.
func listen(t *testing.T, path string) (connected <-chan struct{}) {
	t.Helper()
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	first := make(chan struct{})
	go func() {
		tell := sync.OnceFunc(func() { close(first) })
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
			tell()
		}
	}()
	return first
}

// A sandbox cannot have the agent connect to another socket than its own, as what the
// agent runs as.
func TestUnixFollowsNothing(t *testing.T) {
	_, others := rootFolder(t)
	other := filepath.Join(others, "sock")
	connected := listen(t, other)
	seen := make(chan struct{})
	close(seen)
	for name, put := range map[string]func(root, sockets string) error{
		"a link":           func(_, sockets string) error { return os.Symlink(other, filepath.Join(sockets, "sock")) },
		"a folder's link":  func(_, sockets string) error { return os.Remove(sockets) },
		"a file":           func(_, sockets string) error { return os.WriteFile(filepath.Join(sockets, "sock"), nil, 0o600) },
		"a folder":         func(_, sockets string) error { return os.Mkdir(filepath.Join(sockets, "sock"), 0o700) },
		"a link to itself": func(_, sockets string) error { return os.Symlink("sock", filepath.Join(sockets, "sock")) },
	} {
		t.Run(name, func(t *testing.T) {
			root, sockets := rootFolder(t)
			err := put(root, sockets)
			if err == nil && name == "a folder's link" {
				err = os.Symlink(others, sockets)
			}
			if err != nil {
				t.Fatal(err)
			}
			p := link.NewUnix(root, "", seen, make(chan struct{}), nil)
			fails(t, p.Ready(within(t, 50*time.Millisecond)), sandbox.StartFailed, "does not answer", "of the sandbox")
		})
	}
	select {
	case <-connected:
		t.Error("it is connected to")
	default:
	}
}

// Who is in another cgroup neither answers for a sandbox nor connects as one.
func TestPeers(t *testing.T) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	own := string(line[bytes.LastIndexByte(line, ':')+1:])
	own = strings.TrimSuffix(own, "/") + "/"
	for name, tt := range map[string]struct {
		cgroup string
		let    bool
	}{
		"any": {"", true}, "its own": {own, true}, "another": {own + "another/", false},
	} {
		t.Run(name, func(t *testing.T) {
			root, sockets := rootFolder(t)
			listener, err := link.Listen(sockets)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("unix", filepath.Join(sockets, link.SocketName))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			accepted, err := listener.Accept(ctx, tt.cgroup, nil, nil)
			if (err == nil) != tt.let {
				t.Errorf("let in: %v", err)
			}
			if err == nil {
				_ = accepted.Close()
			}

			seen := make(chan struct{})
			close(seen)
			connected := listen(t, filepath.Join(sockets, "sock"))
			p := link.NewUnix(root, tt.cgroup, seen, make(chan struct{}), nil)
			err = p.Ready(within(t, 200*time.Millisecond)) // what is there does not answer
			<-connected
			if turned := strings.Contains(err.Error(), "not in the sandbox"); tt.let && turned {
				t.Errorf("it is turned away: %v", err)
			} else if !tt.let && strings.Contains(err.Error(), "EOF") {
				t.Errorf("it is spoken to: %v", err)
			}
		})
	}
}
