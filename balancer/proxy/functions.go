package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
)

// invoke passes an invocation to a worker, once: a worker that fails after it was sent
// the invocation may have run it.
func (p *Proxy) invoke(ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
	id, l, ok := p.pick()
	if !ok {
		return failed(req, pb.Outcome_REFUSED, "no worker is a member of the balancer")
	}
	lost := false
	defer func() { p.done(id, lost) }()
	select {
	case <-l.ready:
	case <-ctx.Done():
		return failed(req, outcomeOf(ctx.Err()), "the caller gave up before worker "+l.worker+" had the functions")
	}
	if l.err != nil {
		return failed(req, pb.Outcome_PLATFORM, fmt.Sprintf("worker %s could not register the functions: %v", l.worker, l.err))
	}
	reply, err := l.client.Invoke(ctx, req)
	if err != nil {
		outcome := outcomeOf(err)
		lost = outcome == pb.Outcome_PLATFORM
		return failed(req, outcome, fmt.Sprintf("worker %s: %s", l.worker, status.Convert(err).Message()))
	}
	return reply
}

func failed(req *pb.InvokeRequest, outcome pb.Outcome, why string) *pb.InvokeReply {
	return &pb.InvokeReply{
		Tid: req.GetTid(), Outcome: outcome, Error: why, MemoryBytes: -1,
		QueuedNs: -1, DequeuedNs: -1, SandboxReadyNs: -1, ExecStartNs: -1, ExecEndNs: -1, RepliedNs: -1,
	}
}

// outcomeOf is the one place where a gRPC error becomes an outcome.
func outcomeOf(err error) pb.Outcome {
	switch {
	case errors.Is(err, context.DeadlineExceeded), status.Code(err) == codes.DeadlineExceeded:
		return pb.Outcome_TIMEOUT
	case errors.Is(err, context.Canceled), status.Code(err) == codes.Canceled:
		return pb.Outcome_CANCELLED
	case status.Code(err) == codes.ResourceExhausted:
		return pb.Outcome_TOO_LARGE
	default:
		return pb.Outcome_PLATFORM
	}
}

// functions is the gRPC front, with the methods of an agent.
type functions struct {
	pb.UnimplementedFunctionsServer
	p *Proxy
}

// Register adds a function at every member, and at those that join later.
func (f *functions) Register(ctx context.Context, req *pb.RegisterRequest) (*pb.RegisterReply, error) {
	f.p.mu.Lock()
	f.p.functions = append(f.p.functions, req)
	f.p.mu.Unlock()
	err := f.each(func(l *link) error {
		_, err := l.client.Register(ctx, req)
		return err
	})
	if err != nil {
		f.p.mu.Lock()
		defer f.p.mu.Unlock()
		f.p.functions = slices.DeleteFunc(f.p.functions, func(r *pb.RegisterRequest) bool { return r == req })
		return nil, err
	}
	return &pb.RegisterReply{}, nil
}

// each does the same at every member at the same time and returns the first error.
func (f *functions) each(do func(*link) error) error {
	var all errgroup.Group
	for _, l := range f.p.memberLinks() {
		all.Go(func() error {
			if err := do(l); err != nil {
				s := status.Convert(err)
				return status.Errorf(s.Code(), "worker %s: %s", l.worker, s.Message())
			}
			return nil
		})
	}
	return all.Wait()
}

// Invoke runs one invocation somewhere.
func (f *functions) Invoke(ctx context.Context, req *pb.InvokeRequest) (*pb.InvokeReply, error) {
	return f.p.invoke(ctx, req), nil
}

// InvokeStream runs the invocations that come on the stream at the same time.
func (f *functions) InvokeStream(stream grpc.BidiStreamingServer[pb.InvokeRequest, pb.InvokeReply]) error {
	return pb.ServeStream(stream, f.p.invoke)
}

// InvokeAsync starts an invocation somewhere; its cookie says where.
func (f *functions) InvokeAsync(ctx context.Context, req *pb.InvokeRequest) (*pb.InvokeAsyncReply, error) {
	id, l, ok := f.p.pick()
	if !ok {
		return nil, status.Error(codes.Unavailable, "no worker is a member of the balancer")
	}
	defer f.p.done(id, false)
	reply, err := l.client.InvokeAsync(ctx, req)
	if err != nil {
		return nil, err
	}
	return &pb.InvokeAsyncReply{Cookie: reply.GetCookie() + "@" + l.worker}, nil
}

// Poll asks the worker that the cookie names.
func (f *functions) Poll(ctx context.Context, req *pb.PollRequest) (*pb.PollReply, error) {
	cookie, worker, _ := strings.Cut(req.GetCookie(), "@")
	for _, l := range f.p.memberLinks() {
		if l.worker == worker {
			return l.client.Poll(ctx, &pb.PollRequest{Cookie: cookie})
		}
	}
	return nil, status.Errorf(codes.NotFound, "no member has the invocation of this cookie (worker %q)", worker)
}

// Prewarm spreads count sandboxes evenly over the members, the first getting what is left over.
func (f *functions) Prewarm(ctx context.Context, req *pb.PrewarmRequest) (*pb.PrewarmReply, error) {
	links := f.p.memberLinks()
	if len(links) == 0 {
		return nil, status.Error(codes.Unavailable, "no worker is a member of the balancer")
	}
	share := map[*link]int32{}
	for i, l := range links {
		share[l] = (req.GetCount() + int32(len(links)-1-i)) / int32(len(links))
	}
	var mu sync.Mutex
	var ready int32
	err := f.each(func(l *link) error {
		if share[l] == 0 {
			return nil
		}
		reply, err := l.client.Prewarm(ctx, &pb.PrewarmRequest{Function: req.GetFunction(), Count: share[l]})
		mu.Lock()
		defer mu.Unlock()
		ready += reply.GetReady()
		return err
	})
	return &pb.PrewarmReply{Ready: ready}, err
}

// Estimate is the best of the members.
func (f *functions) Estimate(ctx context.Context, req *pb.EstimateRequest) (*pb.EstimateReply, error) {
	var mu sync.Mutex
	var best *pb.EstimateReply
	err := f.each(func(l *link) error {
		reply, err := l.client.Estimate(ctx, req)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && (best == nil || reply.GetQueueNs()+reply.GetExecNs() < best.GetQueueNs()+best.GetExecNs()) {
			best = reply
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if best == nil {
		return nil, status.Error(codes.Unavailable, "no worker is a member of the balancer")
	}
	return best, nil
}

// List is the functions of the balancer, with their invocations at all members,
// and the sandboxes of all members.
func (f *functions) List(ctx context.Context, req *pb.ListRequest) (*pb.ListReply, error) {
	out := &pb.ListReply{}
	at := map[string]*pb.FunctionInfo{}
	for _, l := range f.p.memberLinks() {
		reply, err := l.client.List(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, fn := range reply.GetFunctions() {
			if known := at[fn.GetName()]; known != nil {
				known.Invocations += fn.GetInvocations()
				continue
			}
			at[fn.GetName()] = fn
			out.Functions = append(out.Functions, fn)
		}
		out.Sandboxes = append(out.Sandboxes, reply.GetSandboxes()...)
	}
	return out, nil
}

// membership is where agents join.
type membership struct {
	pb.UnimplementedMembershipServer
	p *Proxy
}

// Join gives a worker a lease or renews it.
func (m *membership) Join(_ context.Context, req *pb.JoinRequest) (*pb.JoinReply, error) {
	if req.GetWorker() == "" || req.GetAddress() == "" || req.GetIncarnation() == "" {
		return nil, status.Error(codes.InvalidArgument, "worker, address and incarnation are required")
	}
	lease, err := m.p.join(req)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &pb.JoinReply{LeaseNs: int64(lease)}, nil
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
