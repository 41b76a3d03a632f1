// Package proxy drives a balancer in real time: it serves gRPC and HTTP, keeps
// the members' leases, and passes each invocation to the worker that balancer/route chooses.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/route"
)

const (
	// maxMessage is more than any code or result.
	maxMessage = 256 << 20
	// stopGrace is how long invocations under way may take once the proxy stops.
	stopGrace = 5 * time.Second
)

// Options of a Proxy. Policy and Log are required.
type Options struct {
	Policy policy.Policy
	Log    *slog.Logger
	Lease  time.Duration // of a member, 0 = 3 s
}

// Proxy is a balancer. Create it with New and run it with Serve.
type Proxy struct {
	options Options
	began   time.Time

	mu        sync.Mutex
	core      *route.Core
	links     map[uint64]*link // by member
	functions []*pb.RegisterRequest
	timer     *time.Timer // of the next lease to run out
}

// link is the connection to a member.
type link struct {
	worker string
	conn   *grpc.ClientConn
	client pb.FunctionsClient
	ready  chan struct{} // closed when it has every function, or never will
	err    error         // why it never will; read after ready
}

// New returns a Proxy without members.
func New(o Options) *Proxy {
	if o.Lease == 0 {
		o.Lease = 3 * time.Second
	}
	p := &Proxy{options: o, began: time.Now(), core: route.New(o.Policy, o.Lease), links: map[uint64]*link{}}
	p.timer = time.AfterFunc(time.Hour, p.expire)
	p.timer.Stop()
	return p
}

// Serve serves until ctx ends, and then lets what is under way end within five
// seconds. It closes both listeners.
func (p *Proxy) Serve(ctx context.Context, grpcListener, httpListener net.Listener) error {
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	pb.RegisterFunctionsServer(server, &functions{p: p})
	pb.RegisterMembershipServer(server, &membership{p: p})
	healthy := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, healthy)
	front := &http.Server{Handler: p.handler(), ReadHeaderTimeout: 10 * time.Second}

	var serving errgroup.Group
	serving.Go(func() error { return server.Serve(grpcListener) })
	serving.Go(func() error {
		if err := front.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	<-ctx.Done()
	healthy.Shutdown()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	stop := context.AfterFunc(grace, server.Stop)
	defer stop()
	err := front.Shutdown(grace)
	server.GracefulStop()
	return errors.Join(err, serving.Wait(), p.close())
}

func (p *Proxy) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.conn.Close())
	}
	clear(p.links)
	return errors.Join(errs...)
}

func (p *Proxy) now() time.Duration { return time.Since(p.began) }

// expire ends the memberships that were not renewed.
func (p *Proxy) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.core.Expire(p.now()) {
		p.options.Log.Warn("member lost: its lease ran out", slog.String("worker", m.Worker), slog.Int("in_flight", m.InFlight))
	}
	p.prune()
	p.arm()
}

// arm sets the timer to the next lease that runs out. The caller holds p.mu.
func (p *Proxy) arm() {
	if at, ok := p.core.Deadline(); ok {
		p.timer.Reset(max(at-p.now(), 0))
	}
}

// prune closes the connections to members that have gone, which ends what is
// in flight there. The caller holds p.mu.
func (p *Proxy) prune() {
	there := map[uint64]bool{}
	for _, m := range p.core.Members() {
		there[m.ID] = true
	}
	for id, l := range p.links {
		if !there[id] {
			delete(p.links, id)
			if err := l.conn.Close(); err != nil {
				p.options.Log.Warn("close connection", slog.String("worker", l.worker), slog.Any("error", err))
			}
		}
	}
}

// join gives a worker a lease. A new member gets every function that is
// registered before it gets an invocation.
func (p *Proxy) join(req *pb.JoinRequest) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, joined := p.core.Join(p.now(), req.GetWorker(), req.GetAddress(), req.GetIncarnation(), req.GetMilliCpu())
	p.arm()
	if !joined {
		return p.options.Lease, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+m.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		p.core.Leave(m.Worker, m.Incarnation)
		return 0, fmt.Errorf("connect to worker %s at %s: %w", m.Worker, m.Address, err)
	}
	l := &link{worker: m.Worker, conn: conn, client: pb.NewFunctionsClient(conn), ready: make(chan struct{})}
	p.links[m.ID] = l
	p.prune() // an earlier incarnation
	p.options.Log.Info("member joined", slog.String("worker", m.Worker), slog.String("address", m.Address))
	known := slices.Clone(p.functions)
	go func() { // ends with the connection at the latest
		defer close(l.ready)
		for _, f := range known {
			if _, l.err = l.client.Register(context.Background(), f, grpc.WaitForReady(true)); l.err != nil {
				p.options.Log.Error("register functions at new member", slog.String("worker", l.worker), slog.Any("error", l.err))
				return
			}
		}
	}()
	return p.options.Lease, nil
}

func (p *Proxy) leave(worker, incarnation string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Leave(worker, incarnation)
	p.prune()
}

// memberLinks is the connection to each member, in the order they joined.
func (p *Proxy) memberLinks() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	links := make([]*link, 0, len(p.links))
	for _, m := range p.core.Members() {
		links = append(links, p.links[m.ID])
	}
	return links
}

// pick chooses a member that can be reached. One whose connection is down was
// sent nothing, so the next is tried.
func (p *Proxy) pick() (id uint64, l *link, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		m, ok := p.core.Pick(p.now())
		if !ok {
			return 0, nil, false
		}
		l := p.links[m.ID]
		if state := l.conn.GetState(); state != connectivity.TransientFailure && state != connectivity.Shutdown {
			return m.ID, l, true
		}
		p.core.Done(m.ID)
		p.core.Suspect(m.ID)
	}
}

func (p *Proxy) done(id uint64, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Done(id)
	if lost {
		p.core.Suspect(id)
	}
}
