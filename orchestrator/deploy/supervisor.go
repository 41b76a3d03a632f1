package deploy

import (
	"context"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

// TLS is the folder of certificates on every host.
func (s *Site) TLS() string { return s.layout().TLS() }

// Supervisor is that of a host, through the connection to it, which is made again
// when it is lost. It is to be closed before the Site.
func (s *Site) Supervisor(h *Host) (client *node.Client, closeAll func() error, err error) {
	w := &way{site: s, host: h, conn: h.conn}
	conn, err := grpc.NewClient("passthrough:///"+h.Name, grpc.WithContextDialer(w.dial), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials())) // SSH encrypts, and files say who may connect
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
	socket := w.site.layout().Socket()
	c, err := w.conn.Dial(ctx, "unix", socket)
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	again, dialed := w.site.Dial(ctx, w.host.Host, w.site.Cluster.Become)
	if dialed != nil {
		return nil, dialed
	}
	if err := w.closeOwn(); err != nil {
		return nil, errors.Join(err, again.Close())
	}
	w.conn = again
	return again.Dial(ctx, "unix", socket)
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
