package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

// joinWithin is how long a worker that joins may take to answer and to register
// the functions that are there.
const joinWithin = 30 * time.Second

// retryAfter is the first pause before a lost worker is connected to again; each later
// one is longer, up to retryMost.
const (
	retryAfter = 20 * time.Millisecond
	retryMost  = time.Second
)

// link is the connections to a member: one for its invocations, and gRPC's for the rest.
type link struct {
	worker  string
	address string
	creds   credentials.TransportCredentials
	conn    *grpc.ClientConn
	client  pb.FunctionsClient
	gone    string // why the membership has ended, "" while it lasts; guarded by Proxy.mu

	calls atomic.Pointer[multiplex.Conn] // the last there was
	last  atomic.Uint64                  // id of a call
	stop  context.CancelFunc             // ends keep
}

// dial connects to a worker and waits for its answer, so that a worker that
// cannot be reached does not become a member.
func dial(ctx context.Context, worker, address, tls string) (*link, error) {
	_, creds, err := mtls.Load(tls)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	calls, err := multiplex.Dial(ctx, address, creds)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "the balancer cannot reach worker %s at %s: %v", worker, address, err)
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		calls.Close()
		return nil, status.Errorf(codes.InvalidArgument, "address %q of worker %s: %v", address, worker, err)
	}
	kept, stop := context.WithCancel(context.Background())
	l := &link{worker: worker, address: address, creds: creds, conn: conn, client: pb.NewFunctionsClient(conn), stop: stop}
	l.calls.Store(calls)
	go l.keep(kept)
	return l, nil
}

// keep connects again to a worker that was lost, until ctx ends.
func (l *link) keep(ctx context.Context) {
	for pause := retryAfter; ; {
		calls := l.calls.Load()
		select {
		case <-calls.Ended():
		case <-ctx.Done():
			calls.Close()
			return
		}
		again, err := multiplex.Dial(ctx, l.address, l.creds)
		if err == nil {
			l.calls.Store(again)
			pause = retryAfter
			continue
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, retryMost)
		case <-ctx.Done():
			return
		}
	}
}

// send sends an invocation. An error means that the worker has not seen it.
func (l *link) send(in *invocation, request []byte) error {
	in.conn, in.id = l.calls.Load(), l.last.Add(1)
	if err := in.conn.Send(in.id, in, request); err != nil {
		return unavailable(err)
	}
	return nil
}

// close ends what is in flight at the member.
func (l *link) close() {
	l.stop()
	_ = l.conn.Close() // fails only where it is closed already
}

// join gives a worker a lease or renews it.
func (p *Proxy) join(ctx context.Context, req *pb.JoinRequest) error {
	p.mu.Lock()
	renewed := p.core.Renew(p.now(), req.GetWorker(), req.GetIncarnation())
	if !renewed {
		p.core.Drop(req.GetWorker())
		p.prune("it restarted")
	}
	p.arm()
	p.mu.Unlock()
	if renewed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	l, err := dial(ctx, req.GetWorker(), req.GetAddress(), p.options.TLS)
	if err != nil {
		return err
	}
	admitted, err := p.admit(ctx, l, req)
	if !admitted {
		l.close()
	}
	return err
}

// admit registers every function at a worker and, at the moment when it lacks
// none, makes it a member. Another Join of the worker may have come first.
func (p *Proxy) admit(ctx context.Context, l *link, req *pb.JoinRequest) (admitted bool, err error) {
	for has := map[*function]bool{}; ; {
		f := func() *function {
			p.mu.Lock()
			defer p.mu.Unlock()
			if i := slices.IndexFunc(p.functions, func(f *function) bool { return !has[f] }); i >= 0 {
				return p.functions[i]
			}
			m, joined := p.core.Join(p.now(), l.worker, req.GetAddress(), req.GetIncarnation(), req.GetMilliCpu())
			if joined {
				admitted, p.links[m.ID] = true, l
				p.options.Log.Info("member joined", slog.String("worker", l.worker), slog.String("address", m.Address))
			}
			p.prune("it restarted")
			p.arm()
			return nil
		}()
		if f == nil {
			return admitted, nil
		}
		if _, err := l.client.Register(ctx, f.req); err != nil {
			return false, at(l, err)
		}
		has[f] = true
	}
}

func (p *Proxy) leave(worker, incarnation string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Leave(worker, incarnation)
	p.prune("it left")
}

// expire ends the memberships that were not renewed.
func (p *Proxy) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.core.Expire(p.now()) {
		p.options.Log.Warn("member lost: its lease ran out", slog.String("worker", m.Worker), slog.Int("in_flight", m.InFlight))
	}
	p.prune("its lease ran out")
	p.arm()
}

// arm sets the timer to the next lease that runs out. The caller holds p.mu.
func (p *Proxy) arm() {
	if at, ok := p.core.Deadline(); ok {
		p.timer.Reset(max(at-p.now(), 0))
	}
}

// prune closes the connections to members that have gone, which ends what is
// in flight there, for the reason why. The caller holds p.mu.
func (p *Proxy) prune(why string) {
	there := map[uint64]bool{}
	for _, m := range p.core.Members() {
		there[m.ID] = true
	}
	for id, l := range p.links {
		if !there[id] {
			delete(p.links, id)
			l.gone = why
			l.close()
		}
	}
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

// pick chooses a member for an invocation of a function and counts it there, or
// says why there is none.
func (p *Proxy) pick(function string) (id uint64, l *link, nobody string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return 0, nil, "the balancer is stopping"
	}
	if m, ok := p.core.Pick(p.now(), function); ok {
		return m.ID, p.links[m.ID], ""
	}
	if n := len(p.links); n > 0 {
		return 0, nil, fmt.Sprintf("none of the balancer's %d workers can be reached; each is tried again when it renews its lease", n)
	}
	return 0, nil, noMember
}

const noMember = "no worker is a member of the balancer"

// membership is where agents join.
type membership struct {
	pb.UnimplementedMembershipServer
	p *Proxy
}

// Join gives a worker a lease or renews it.
func (m *membership) Join(ctx context.Context, req *pb.JoinRequest) (*pb.JoinReply, error) {
	if req.GetWorker() == "" || req.GetAddress() == "" || req.GetIncarnation() == "" {
		return nil, status.Error(codes.InvalidArgument, "worker, address and incarnation are required")
	}
	if err := m.p.join(ctx, req); err != nil {
		return nil, err
	}
	return &pb.JoinReply{LeaseNs: int64(m.p.options.Lease)}, nil
}

// Leave ends a membership.
func (m *membership) Leave(_ context.Context, req *pb.LeaveRequest) (*pb.LeaveReply, error) {
	m.p.leave(req.GetWorker(), req.GetIncarnation())
	return &pb.LeaveReply{}, nil
}

// Members lists the members in the order they joined.
func (m *membership) Members(context.Context, *pb.MembersRequest) (*pb.MembersReply, error) {
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	reply := &pb.MembersReply{}
	for _, member := range m.p.core.Members() {
		reply.Members = append(reply.Members, &pb.Member{
			Worker: member.Worker, Address: member.Address, Healthy: !member.Suspect, InFlight: int32(member.InFlight),
		})
	}
	return reply, nil
}
