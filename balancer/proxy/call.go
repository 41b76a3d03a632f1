package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
// has not seen it. Who makes it sees to its end unless there is an error.
type call func(member uint64, l *link) (sent bool, err error)

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
		sent, err := do(id, l)
		if err == nil {
			return nil
		}
		if f = p.failed(ctx, id, l, sent, err); sent || ctx.Err() != nil {
			return f
		}
	}
	return f
}

// end ends a call at a member.
func (p *Proxy) end(member uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Done(member)
}

// failed ends a call at a member with an error. A member that cannot be reached is suspect.
func (p *Proxy) failed(ctx context.Context, id uint64, l *link, sent bool, err error) *failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Done(id)
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

// reply is what who asked for an invocation gets.
func (f *failure) reply(tid string) []byte {
	payload, _ := proto.Marshal(&pb.InvokeReply{ // it fails only on what is not UTF-8, of which nothing was parsed
		Tid: tid, Outcome: f.outcome, Error: strings.ToValidUTF8(f.why, "\uFFFD"), Worker: f.worker, MemoryBytes: -1,
		QueuedNs: -1, DequeuedNs: -1, SandboxReadyNs: -1, ExecStartNs: -1, ExecEndNs: -1, RepliedNs: -1,
	})
	return payload
}

// reached reports whether a gRPC call that ended got as far as a connection.
func reached(at peer.Peer) bool { return at.Addr != nil }
