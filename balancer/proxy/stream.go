package proxy

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
)

// replyWithin is how long after an invocation's deadline its worker, which has
// the same deadline, may still say where the time went. Load generators wait longer.
const replyWithin = 150 * time.Millisecond

// lanes carries the invocations of one caller's stream to workers, over one
// stream to each. The streams are the caller's own, so their end, when the caller
// has gone, cancels at the workers exactly what the caller had in flight.
type lanes struct {
	open func(*link) (invokeStream, error)

	mu        sync.Mutex
	to        map[*link]*lane
	receivers sync.WaitGroup // until the streams have ended
}

type invokeStream = grpc.BidiStreamingClient[pb.InvokeRequest, pb.InvokeReply]

// newLanes returns lanes whose streams end with ctx.
func newLanes(ctx context.Context) *lanes {
	return &lanes{
		to:   map[*link]*lane{},
		open: func(l *link) (invokeStream, error) { return l.client.InvokeStream(ctx) },
	}
}

// send passes an invocation to a worker by its lane. A worker that serves no
// stream, and an invocation whose tid is under way on the lane, get a unary call.
func (s *lanes) send(ctx context.Context, l *link, req *pb.InvokeRequest) (*pb.InvokeReply, bool, error) {
	if l.noStream.Load() {
		return unary(ctx, l, req)
	}
	ln, err := s.lane(l)
	if err != nil {
		return nil, false, err
	}
	answered, ok := ln.put(ctx, req)
	if !ok {
		return unary(ctx, l, req)
	}
	var a answer
	select {
	case a = <-answered:
	case <-ctx.Done():
		select {
		case a = <-answered:
		case <-time.After(replyWithin):
			ln.take(req.GetTid())
			a.err = status.FromContextError(ctx.Err()).Err()
		}
	}
	if status.Code(a.err) == codes.Unimplemented {
		l.noStream.Store(true)
		return unary(ctx, l, req)
	}
	return a.reply, !a.unsent, a.err
}

// lane returns the lane to a worker, opened at first and after it has broken.
func (s *lanes) lane(l *link) (*lane, error) {
	s.mu.Lock()
	ln := s.to[l]
	if ln == nil || ln.ended() {
		ln = &lane{waiting: map[string]chan answer{}}
		s.to[l] = ln
	}
	s.mu.Unlock()
	ln.once.Do(func() { // outside of s.mu: a worker that is slow to reach delays no other
		stream, err := s.open(l)
		if err != nil {
			ln.end(err)
			return
		}
		ln.stream = stream
		s.receivers.Go(ln.receive)
	})
	if ln.stream == nil {
		return nil, ln.err
	}
	return ln, nil
}

// lane is a stream to one worker.
type lane struct {
	once   sync.Once    // opens stream
	stream invokeStream // nil if it could not be opened

	mu      sync.Mutex             // also of stream.Send
	waiting map[string]chan answer // by tid, each with room for its answer
	err     error                  // why the stream has ended
}

type answer struct {
	reply  *pb.InvokeReply
	err    error
	unsent bool // the lane had ended before
}

// put sends an invocation and returns where its answer comes, or false when
// its tid is taken.
func (ln *lane) put(ctx context.Context, req *pb.InvokeRequest) (<-chan answer, bool) {
	answered := make(chan answer, 1)
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.err != nil {
		answered <- answer{err: ln.err, unsent: true}
		return answered, true
	}
	if ln.waiting[req.GetTid()] != nil {
		return nil, false
	}
	ln.waiting[req.GetTid()] = answered
	if deadline, ok := ctx.Deadline(); ok {
		req.TimeoutNs = max(1, int64(time.Until(deadline)))
	}
	_ = ln.stream.Send(req) // an error ends the stream, and receive answers all that is on it
	return answered, true
}

// receive hands out replies until the stream ends.
func (ln *lane) receive() {
	for {
		reply, err := ln.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = status.Error(codes.Unavailable, "it ended the stream")
		}
		if err != nil {
			ln.end(err)
			return
		}
		if answered := ln.take(reply.GetTid()); answered != nil {
			answered <- answer{reply: reply}
		}
	}
}

// take removes an invocation from the lane; nil if it is there no more.
func (ln *lane) take(tid string) chan<- answer {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	answered := ln.waiting[tid]
	delete(ln.waiting, tid)
	return answered
}

// end answers everything on the lane with err.
func (ln *lane) end(err error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.err = err
	for _, answered := range ln.waiting {
		answered <- answer{err: err}
	}
	clear(ln.waiting)
}

func (ln *lane) ended() bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	return ln.err != nil
}
