package proxy

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// function is one that every member has.
type function struct {
	name string
	req  *pb.RegisterRequest
}

// at says in an error of a call which worker it came from.
func at(l *link, err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	return status.Errorf(s.Code(), "worker %s: %s", l.worker, s.Message())
}

// functions is the gRPC front, with the methods of an agent.
type functions struct {
	pb.UnimplementedFunctionsServer
	p *Proxy
}

// Register adds a function at every member, and at those that join later.
func (f *functions) Register(ctx context.Context, req *pb.RegisterRequest) (*pb.RegisterReply, error) {
	fn, added, err := f.p.add(req)
	if err != nil {
		return nil, err
	}
	err = each(f.p.memberLinks(), func(_ int, l *link) error {
		_, err := l.client.Register(ctx, req)
		return err
	})
	if err != nil {
		if added {
			f.p.remove(fn)
		}
		return nil, err
	}
	return &pb.RegisterReply{}, nil
}

// add makes a function one that members must have.
func (p *Proxy) add(req *pb.RegisterRequest) (fn *function, added bool, err error) {
	var s spec.Function
	if err := json.Unmarshal(req.GetFunctionJson(), &s); err != nil {
		return nil, false, status.Errorf(codes.InvalidArgument, "function_json: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.functions, func(f *function) bool { return f.name == s.Name }); i >= 0 {
		if !proto.Equal(p.functions[i].req, req) {
			return nil, false, status.Errorf(codes.AlreadyExists, "function %s is registered with other content", s.Name)
		}
		return p.functions[i], false, nil
	}
	fn = &function{s.Name, req}
	p.functions = append(p.functions, fn)
	return fn, true, nil
}

func (p *Proxy) remove(fn *function) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.functions = slices.DeleteFunc(p.functions, func(f *function) bool { return f == fn })
}

// each does the same at every member at the same time and returns the first
// error, with the worker that it came from.
func each(links []*link, do func(i int, l *link) error) error {
	var all errgroup.Group
	for i, l := range links {
		all.Go(func() error { return at(l, do(i, l)) })
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

// InvokeAsync starts an invocation somewhere; its cookie says where. It is in
// flight, for the balancing policy, only until it has started.
func (f *functions) InvokeAsync(ctx context.Context, req *pb.InvokeRequest) (*pb.InvokeAsyncReply, error) {
	var cookie string
	failed := f.p.try(ctx, req.GetFunction(), func(member uint64, l *link) (bool, error) {
		var from peer.Peer
		reply, err := l.client.InvokeAsync(ctx, req, grpc.Peer(&from))
		if err != nil {
			return reached(from), err
		}
		f.p.end(member)
		cookie = reply.GetCookie() + "@" + l.worker
		return true, nil
	})
	if failed != nil {
		return nil, status.Error(failed.code, failed.why)
	}
	return &pb.InvokeAsyncReply{Cookie: cookie}, nil
}

// Poll asks the worker that the cookie names.
func (f *functions) Poll(ctx context.Context, req *pb.PollRequest) (*pb.PollReply, error) {
	cookie, worker, _ := strings.Cut(req.GetCookie(), "@")
	links := f.p.memberLinks()
	i := slices.IndexFunc(links, func(l *link) bool { return l.worker == worker })
	if i < 0 {
		return nil, status.Errorf(codes.NotFound, "worker %q of this cookie is no member of the balancer", worker)
	}
	reply, err := links[i].client.Poll(ctx, &pb.PollRequest{Cookie: cookie})
	return reply, at(links[i], err)
}

// Prewarm spreads count sandboxes evenly over the members, the first getting what is left over.
func (f *functions) Prewarm(ctx context.Context, req *pb.PrewarmRequest) (*pb.PrewarmReply, error) {
	links := f.p.memberLinks()
	n := int32(len(links))
	if n == 0 {
		return nil, status.Error(codes.Unavailable, noMember)
	}
	ready := make([]int32, n)
	err := each(links, func(i int, l *link) error {
		share := (req.GetCount() + n - 1 - int32(i)) / n
		if share == 0 {
			return nil
		}
		reply, err := l.client.Prewarm(ctx, &pb.PrewarmRequest{Function: req.GetFunction(), Count: share})
		ready[i] = reply.GetReady()
		return err
	})
	if err != nil {
		return nil, err
	}
	sum := &pb.PrewarmReply{}
	for _, r := range ready {
		sum.Ready += r
	}
	return sum, nil
}

// Estimate is the best of the members.
func (f *functions) Estimate(ctx context.Context, req *pb.EstimateRequest) (*pb.EstimateReply, error) {
	links := f.p.memberLinks()
	if len(links) == 0 {
		return nil, status.Error(codes.Unavailable, noMember)
	}
	replies := make([]*pb.EstimateReply, len(links))
	err := each(links, func(i int, l *link) (err error) {
		replies[i], err = l.client.Estimate(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.MinFunc(replies, func(a, b *pb.EstimateReply) int {
		return cmp.Compare(a.GetQueueNs()+a.GetExecNs(), b.GetQueueNs()+b.GetExecNs())
	}), nil
}

// List is the functions at the members, each with its invocations at all of
// them, and the sandboxes of all.
func (f *functions) List(ctx context.Context, req *pb.ListRequest) (*pb.ListReply, error) {
	links := f.p.memberLinks()
	replies := make([]*pb.ListReply, len(links))
	err := each(links, func(i int, l *link) (err error) {
		replies[i], err = l.client.List(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &pb.ListReply{}
	known := map[string]*pb.FunctionInfo{}
	for _, reply := range replies {
		out.Sandboxes = append(out.Sandboxes, reply.GetSandboxes()...)
		for _, fn := range reply.GetFunctions() {
			if k := known[fn.GetName()]; k != nil {
				k.Invocations += fn.GetInvocations()
				continue
			}
			known[fn.GetName()] = fn
			out.Functions = append(out.Functions, fn)
		}
	}
	return out, nil
}
