package proxy

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

// replyWithin is how long after an invocation's deadline its worker, which has
// the same deadline, may still say where the time went. Load generators wait longer.
const replyWithin = 150 * time.Millisecond

// asker is who wants an invocation. It gets one reply, valid until Reply returns.
type asker interface {
	Reply(payload []byte) error
}

// invocation is one that passes through, as the bytes that it came as: from who
// asks to a member, and back.
type invocation struct {
	p      *Proxy
	from   asker
	tid    string
	member uint64
	link   *link
	conn   *multiplex.Conn
	id     uint64 // on conn
}

// serveCall passes on an invocation that came multiplexed. Its caller sees to its deadline.
func (p *Proxy) serveCall(call *multiplex.Call, request []byte) {
	if in := p.relay(call, request); in != nil {
		call.OnCancel(func() { in.giveUp(pb.Outcome_CANCELLED, "the caller gave up") })
	}
}

// relay sends an InvokeRequest to the member that the policy chooses, and returns it while it is
// under way, or nil when it has been answered.
func (p *Proxy) relay(from asker, request []byte) *invocation {
	function, tid, ok := names(request)
	if !ok {
		_ = from.Reply((&failure{outcome: pb.Outcome_REFUSED, why: "the request is no InvokeRequest"}).reply("")) // as below
		return nil
	}
	in := &invocation{p: p, from: from, tid: tid}
	f := p.try(context.Background(), function, func(member uint64, l *link) (sent bool, err error) {
		in.member, in.link = member, l
		return false, l.send(in, request)
	})
	if f != nil {
		_ = from.Reply(f.reply(tid)) // who asks may have gone
		return nil
	}
	return in
}

// names reads what a balancer needs of an InvokeRequest.
func names(request []byte) (function, tid string, ok bool) {
	for len(request) > 0 {
		number, kind, n := protowire.ConsumeTag(request)
		if n < 0 {
			return "", "", false
		}
		request = request[n:]
		var into *string
		switch {
		case kind != protowire.BytesType:
		case number == 1:
			into = &function
		case number == 2:
			into = &tid
		}
		if into == nil {
			n = protowire.ConsumeFieldValue(number, kind, request)
		} else {
			*into, n = protowire.ConsumeString(request)
		}
		if n < 0 {
			return "", "", false
		}
		request = request[n:]
	}
	return function, tid, true
}

// Done is that of multiplex.Waiter.
func (in *invocation) Done(reply []byte, err error) {
	if err == nil {
		in.p.end(in.member)
	} else {
		reply = in.p.failed(context.Background(), in.member, in.link, true, unavailable(err)).reply(in.tid)
	}
	_ = in.from.Reply(reply) // who asks may have gone
}

// giveUp ends an invocation that is still under way.
func (in *invocation) giveUp(outcome pb.Outcome, why string) {
	if in.conn.Cancel(in.id) {
		in.p.end(in.member)
		f := failure{outcome: outcome, worker: in.link.worker, why: why + " before worker " + in.link.worker + " replied"}
		_ = in.from.Reply(f.reply(in.tid)) // who asks may have gone
	}
}

// unavailable is why a connection carries no call, as an error of gRPC.
func unavailable(err error) error {
	if errors.Is(err, multiplex.ErrTooLarge) {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}

// waiting is an asker that waits.
type waiting chan []byte

// Reply is that of asker.
func (w waiting) Reply(payload []byte) error {
	w <- slices.Clone(payload)
	return nil
}

// invoke passes on an invocation and returns its end. Every failure is in the reply.
func (p *Proxy) invoke(ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
	if deadline, ok := ctx.Deadline(); ok {
		req.TimeoutNs = max(1, int64(time.Until(deadline)))
	}
	request, err := proto.Marshal(req)
	reply := &pb.InvokeReply{}
	if err == nil {
		err = proto.Unmarshal(p.wait(ctx, request), reply)
	}
	if err != nil {
		return &pb.InvokeReply{Tid: req.GetTid(), Outcome: pb.Outcome_PLATFORM, Error: err.Error(), MemoryBytes: -1}
	}
	return reply
}

// wait passes on an invocation and returns its reply.
func (p *Proxy) wait(ctx context.Context, request []byte) []byte {
	replied := make(waiting, 1)
	in := p.relay(replied, request)
	if in == nil {
		return <-replied
	}
	select {
	case reply := <-replied:
		return reply
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		select {
		case reply := <-replied:
			return reply
		case <-time.After(replyWithin):
			in.giveUp(pb.Outcome_TIMEOUT, "the caller's deadline passed")
		}
	} else {
		in.giveUp(pb.Outcome_CANCELLED, "the caller gave up")
	}
	return <-replied
}
