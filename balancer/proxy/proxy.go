// Package proxy drives a balancer in real time: it serves gRPC and HTTP, keeps
// the members' leases, and passes each invocation to the worker that balancer/route chooses.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/route"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

// maxMessage is more than any code or result.
const maxMessage = 256 << 20

// Options of a Proxy. Policy and Log are required.
type Options struct {
	Policy policy.Policy
	Seed   uint64 // of the run; the policy's chance comes from it
	Log    *slog.Logger
	Lease  time.Duration // of a member, 0 = 3 s
	Grace  time.Duration // for what is under way when the proxy stops, 0 = 5 s
	TLS    string        // folder with what to show and whom to trust; "" is in the clear
}

// Proxy is a balancer. Create it with New and run it with Serve.
type Proxy struct {
	options Options
	began   time.Time

	mu        sync.Mutex
	core      *route.Core
	links     map[uint64]*link // by member
	functions []*function
	timer     *time.Timer // of the next lease to run out
	stopping  bool        // nothing new is accepted
}

// New returns a Proxy without members.
func New(o Options) *Proxy {
	o.Lease, o.Grace = cmp.Or(o.Lease, 3*time.Second), cmp.Or(o.Grace, 5*time.Second)
	p := &Proxy{options: o, began: time.Now(), core: route.New(o.Policy, o.Lease, o.Seed), links: map[uint64]*link{}}
	p.timer = time.AfterFunc(time.Hour, p.expire)
	p.timer.Stop()
	return p
}

// Serve serves until ctx ends. Then it refuses what comes, and cuts off what is
// still under way after Options.Grace. It closes both listeners.
func (p *Proxy) Serve(ctx context.Context, grpcListener, httpListener net.Listener) error {
	creds, _, err := mtls.Load(p.options.TLS)
	if err != nil {
		return err
	}
	calls := multiplex.NewServer(p.serveCall)
	server := grpc.NewServer(grpc.Creds(calls.Credentials(creds)), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.WaitForHandlers(true))
	pb.RegisterFunctionsServer(server, &functions{p: p})
	pb.RegisterMembershipServer(server, &membership{p: p})
	healthy := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, healthy)
	front := &http.Server{
		Handler: p.handler(), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(p.options.Log.Handler(), slog.LevelWarn),
	}

	serving, ctx := errgroup.WithContext(ctx) // a front that fails takes the other with it
	serving.Go(func() error { return server.Serve(grpcListener) })
	serving.Go(func() error {
		if err := front.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	<-ctx.Done()
	healthy.Shutdown()
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.options.Grace)
	defer cancel()
	stop := context.AfterFunc(grace, server.Stop)
	defer stop()
	err = front.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = front.Close() // the bound has passed: what is still under way is cut off
	}
	server.GracefulStop()
	calls.Idle(grace)
	calls.Close()
	p.close()
	return errors.Join(err, serving.Wait())
}

func (p *Proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
	for _, l := range p.links {
		l.close()
	}
	clear(p.links)
}

func (p *Proxy) now() time.Duration { return time.Since(p.began) }
