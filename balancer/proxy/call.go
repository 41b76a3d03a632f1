package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
)

// attempts is to how many members a call may go: to a second one when the
// first could not be reached.
const attempts = 2

// failure is a call that has no reply of a worker.
type failure struct {
	outcome pb.Outcome
	code    codes.Code // of the same, for calls that answer with a gRPC error
	worker  string     // that may have run it, or ""
	why     string
}

// call makes a call at one member. sent is false only when the worker certainly
// has not seen it.
type call func(*link) (sent bool, err error)

// try makes a call of a function at the member that the policy chooses. It goes to another member only when
// it was certainly not sent to the first: a worker that fails later may have run it.
func (p *Proxy) try(ctx context.Context, function string, do call) (f *failure) {
	for range attempts {
		id, l, nobody := p.pick(function)
		switch {
		case l == nil && f != nil:
			return f
		case l == nil:
			return &failure{outcome: pb.Outcome_REFUSED, code: codes.Unavailable, why: nobody}
		}
		sent, err := do(l)
		if f = p.done(ctx, id, l, sent, err); f == nil || sent || ctx.Err() != nil {
			return f
		}
	}
	return f
}

// done ends a call at a member. A member that cannot be reached is suspect.
func (p *Proxy) done(ctx context.Context, id uint64, l *link, sent bool, err error) *failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Done(id)
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	f := &failure{outcome: pb.Outcome_PLATFORM, code: s.Code(), why: fmt.Sprintf("worker %s: %s", l.worker, s.Message())}
	if sent {
		f.worker = l.worker
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		f.outcome, f.why = pb.Outcome_CANCELLED, "the caller gave up before worker "+l.worker+" replied"
		return f
	case ctx.Err() != nil, f.code == codes.DeadlineExceeded:
		f.outcome, f.why = pb.Outcome_TIMEOUT, "the caller's deadline passed before worker "+l.worker+" replied"
		return f
	case f.code == codes.ResourceExhausted:
		f.outcome = pb.Outcome_TOO_LARGE
		return f
	case l.gone == "" && f.code != codes.Unavailable: // the worker's own words
		return f
	}
	p.core.Suspect(id)
	f.code = codes.Unavailable
	lost := cmp.Or(l.gone, s.Message())
	if !sent {
		f.why = fmt.Sprintf("worker %s cannot be reached: %s", l.worker, lost)
		return f
	}
	f.why = fmt.Sprintf("worker %s was lost before it replied (%s); it may have run the call, which was not sent to another", l.worker, lost)
	return f
}

// send passes one invocation to a worker.
type send func(context.Context, *link, *pb.InvokeRequest) (reply *pb.InvokeReply, sent bool, err error)

// invoke passes an invocation to a member. Every failure is in the reply.
func (p *Proxy) invoke(ctx context.Context, req *pb.InvokeRequest, to send) (reply *pb.InvokeReply) {
	f := p.try(ctx, req.GetFunction(), func(l *link) (sent bool, err error) {
		reply, sent, err = to(ctx, l, req)
		return sent, err
	})
	if f == nil {
		return reply
	}
	return &pb.InvokeReply{
		Tid: req.GetTid(), Outcome: f.outcome, Error: f.why, Worker: f.worker, MemoryBytes: -1,
		QueuedNs: -1, DequeuedNs: -1, SandboxReadyNs: -1, ExecStartNs: -1, ExecEndNs: -1, RepliedNs: -1,
	}
}

// unary sends an invocation by a call of its own, which carries the caller's
// deadline and cancellation.
func unary(ctx context.Context, l *link, req *pb.InvokeRequest) (*pb.InvokeReply, bool, error) {
	var at peer.Peer
	reply, err := l.client.Invoke(ctx, req, grpc.Peer(&at))
	return reply, reached(at), err
}

// reached reports whether a call that ended got as far as a connection.
func reached(at peer.Peer) bool { return at.Addr != nil }
