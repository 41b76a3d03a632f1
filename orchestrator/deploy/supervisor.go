package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// TLS is the folder of certificates on every host.
func (s *Site) TLS() string { return s.layout().TLS() }

// Supervisor is that of a host, through the connection to it, which is made again
// when it is lost. It is to be closed before the Site.
func (s *Site) Supervisor(h *Host) (client *node.Client, closeAll func() error, err error) {
	w := &way{site: s, host: h, conn: h.conn}
	conn, err := grpc.NewClient("passthrough:///"+h.Name, append(node.DialOptions(), grpc.WithContextDialer(w.dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...) // SSH encrypts, and files say who may connect
	if err != nil {
		return nil, nil, err
	}
	return node.NewClient(h.Name, conn), func() error { return errors.Join(conn.Close(), w.close()) }, nil
}

// way is how a supervisor is reached.
type way struct {
	site *Site
	host *Host
	mu   sync.Mutex
	conn remote.Conn
}

func (w *way) dial(ctx context.Context, _ string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, err := w.open(ctx)
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	again, dialed := w.site.Dial(ctx, w.host.Host, w.site.Cluster.Become)
	if dialed != nil {
		return nil, errors.Join(err, dialed)
	}
	if err := w.closeOwn(); err != nil {
		return nil, errors.Join(err, again.Close())
	}
	w.conn = again
	return w.open(ctx)
}

// open connects to the socket, which is for root alone: by the server where the user is root and it lets
// connections through, else by a command.
func (w *way) open(ctx context.Context) (net.Conn, error) {
	if method := w.site.Cluster.Become.Method; method != "sudo" && method != "doas" {
		c, err := w.conn.Dial(ctx, "unix", w.site.layout().Socket())
		if !errors.Is(err, remote.ErrRefused) {
			return c, err
		}
	}
	return relayed(ctx, w.conn, w.site.layout())
}

// Relay has "ainur relay" say that it is connected, before it carries anything.
const Relay = '+'

// relayed connects to the socket by a command there.
func relayed(ctx context.Context, conn remote.Conn, l setup.Layout) (net.Conn, error) {
	here, there := net.Pipe()
	ended := make(chan error, 1)
	go func() { // ends when either end is closed, or the connection
		err := conn.Run(context.WithoutCancel(ctx), remote.Command{Args: []string{l.Binary(), "relay", l.Socket()}, Root: true, Lasts: true, Stdin: there, Stdout: there})
		_ = there.Close() // it returns nil
		ended <- err
	}()
	defer context.AfterFunc(ctx, func() { _ = here.Close() })()
	said := make([]byte, 1)
	if _, err := io.ReadFull(here, said); err != nil || said[0] != Relay {
		_ = here.Close() // it returns nil
		select {
		case why := <-ended:
			return nil, fmt.Errorf("connect to %s: %w", l.Socket(), errors.Join(why, err))
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return here, nil
}

// closeOwn closes a connection that was made again; the first is the site's.
func (w *way) closeOwn() error {
	if w.conn == w.host.conn {
		return nil
	}
	return w.conn.Close()
}

func (w *way) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closeOwn()
}
