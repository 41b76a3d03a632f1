package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/internal/mtls"
)

const (
	// connectWithin bounds the first connection.
	connectWithin = 10 * time.Second
	// retryAfter is the pause before a broken stream is opened again.
	retryAfter = 20 * time.Millisecond
	// replyWithin is how long after a call's deadline the target may still say
	// what became of it; then the call has timed out without a reply.
	replyWithin = 250 * time.Millisecond
	// maxReply is more than any reply a sandbox may give: a larger one would break the stream.
	maxReply = 64 << 20
)

// errNoReply ends a call that the target never answered.
var errNoReply = status.Error(codes.DeadlineExceeded, "no reply within the deadline")

// dial connects to target as the folder tls says, and returns when that has succeeded.
func dial(ctx context.Context, target, tls string) (*grpc.ClientConn, error) {
	_, creds, err := mtls.Load(tls)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryAfter, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: connectWithin,
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	wait, cancel := context.WithTimeoutCause(ctx, connectWithin, fmt.Errorf("no answer within %v: is an agent or balancer running there?", connectWithin))
	defer cancel()
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(wait, state) {
			conn.Close()
			return nil, fmt.Errorf("connect to %s: %w", target, context.Cause(wait))
		}
	}
	return conn, nil
}

// link carries calls over one multiplexed stream, which costs less than a unary
// call each, and opens it again when it breaks. A target that serves no stream
// gets unary calls. Every flight given to send is settled exactly once.
type link struct {
	client agentpb.FunctionsClient
	settle func(*flight, *agentpb.InvokeReply, error)

	mu      sync.Mutex
	stream  agentpb.Functions_InvokeStreamClient // nil while there is none
	down    error                                // why there is none
	unary   bool                                 // there never will be one
	pending map[string]*flight                   // on the stream, by tid

	unaries sync.WaitGroup
}

func newLink(conn *grpc.ClientConn, settle func(*flight, *agentpb.InvokeReply, error)) *link {
	return &link{client: agentpb.NewFunctionsClient(conn), settle: settle, pending: map[string]*flight{}}
}

// open starts a stream.
func (l *link) open(ctx context.Context, options ...grpc.CallOption) {
	stream, err := l.client.InvokeStream(ctx, options...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream, l.down = stream, err
	if err != nil {
		l.stream = nil
	}
}

// serve settles calls as their replies come, and reopens the stream when it
// breaks, until ctx ends or the target turns out to serve none. The first open
// comes before it.
func (l *link) serve(ctx context.Context) {
	for {
		err := l.receive()
		if status.Code(err) == codes.Unimplemented {
			l.fallBack(ctx)
			return
		}
		for _, f := range l.lose(err) {
			l.settle(f, nil, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
			l.open(ctx, grpc.WaitForReady(true))
		}
	}
}

// receive returns when the stream has broken.
func (l *link) receive() error {
	l.mu.Lock()
	stream, err := l.stream, l.down
	l.mu.Unlock()
	for err == nil {
		var reply *agentpb.InvokeReply
		if reply, err = stream.Recv(); err == nil {
			if f := l.take(reply.Tid); f != nil {
				l.settle(f, reply, nil)
			}
		}
	}
	return err
}

// take removes a flight from the stream; the taker settles it. It returns nil
// when another was faster.
func (l *link) take(tid string) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.pending[tid]
	if f != nil {
		f.timer.Stop()
		delete(l.pending, tid)
	}
	return f
}

// lose gives up the stream and takes every flight that is on it.
func (l *link) lose(err error) []*flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream, l.down = nil, err
	lost := slices.Collect(maps.Values(l.pending))
	clear(l.pending)
	for _, f := range lost {
		f.timer.Stop()
	}
	return lost
}

// fallBack makes this and every later flight a unary call. The target did not
// look at those on the stream, so none runs twice.
func (l *link) fallBack(ctx context.Context) {
	lost := l.lose(nil)
	l.mu.Lock()
	l.unary = true
	l.mu.Unlock()
	for _, f := range lost {
		l.send(ctx, f)
	}
}

// send sends a flight, to be settled later; one goroutine sends.
func (l *link) send(ctx context.Context, f *flight) {
	request := &agentpb.InvokeRequest{Function: f.call.Function, Tid: f.call.TID, TimeoutNs: int64(f.timeout)}
	l.mu.Lock()
	stream, unary, down := l.stream, l.unary, l.down
	if stream != nil {
		l.pending[request.Tid] = f
		f.timer = time.AfterFunc(f.timeout+replyWithin, func() {
			if f := l.take(request.Tid); f != nil {
				l.settle(f, nil, errNoReply)
			}
		})
	}
	l.mu.Unlock()
	switch {
	case unary:
		l.unaries.Go(func() { l.invoke(ctx, f, request) })
	case stream == nil:
		l.settle(f, nil, down)
	default:
		_ = stream.Send(request) // an error breaks the stream, and serve settles all that is on it
	}
}

// invoke makes a unary call.
func (l *link) invoke(ctx context.Context, f *flight, request *agentpb.InvokeRequest) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	reply, err := l.client.Invoke(ctx, request)
	l.settle(f, reply, err)
}
