package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

const (
	// connectWithin bounds the first connection.
	connectWithin = 10 * time.Second
	// retryAfter is the first pause before a connection is made again; each later one is longer, up to retryMost.
	retryAfter = 20 * time.Millisecond
	retryMost  = time.Second
	// replyWithin is how long after a call's deadline the target may still say
	// what became of it; then the call has timed out without a reply.
	replyWithin = 250 * time.Millisecond
	// maxReply is more than any reply a sandbox may give.
	maxReply = 64 << 20
)

// errNoReply ends a call that the target never answered.
var errNoReply = status.Error(codes.DeadlineExceeded, "no reply within the deadline")

// link carries calls to a target over one multiplexed connection, and makes it again when it is
// lost. A target that speaks gRPC alone gets a unary call for each. Every flight given to send is
// settled exactly once, never by send itself.
type link struct {
	target string
	creds  credentials.TransportCredentials
	grpc   *grpc.ClientConn // nil unless the target speaks it alone
	unary  agentpb.FunctionsClient
	ctx    context.Context //nolint:containedctx // the life of the link: what is under way when it ends is cancelled

	mu   sync.Mutex
	conn *multiplex.Conn // nil while there is none
	down error           // why there is none

	settling sync.WaitGroup // by goroutines of their own
}

// dial connects to target as the folder tls says, and returns when that has succeeded.
func dial(ctx context.Context, target, tls string) (*link, error) {
	_, creds, err := mtls.Load(tls)
	if err != nil {
		return nil, err
	}
	l := &link{target: target, creds: creds}
	wait, cancel := context.WithTimeoutCause(ctx, connectWithin, fmt.Errorf("no answer within %v: is an agent or balancer running there?", connectWithin))
	defer cancel()
	switch err := l.connect(wait); {
	case errors.Is(err, multiplex.ErrUnspoken):
		return l, l.dialGRPC(wait)
	case err != nil:
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	return l, nil
}

// connect tries until it is connected, or ctx ends, which is its error, or the target speaks something else.
func (l *link) connect(ctx context.Context) error {
	for pause := retryAfter; ; pause = min(2*pause, retryMost) {
		conn, err := multiplex.Dial(ctx, l.target, l.creds)
		if err == nil || errors.Is(err, multiplex.ErrUnspoken) {
			l.mu.Lock()
			l.conn, l.down = conn, err
			l.mu.Unlock()
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (l *link) dialGRPC(ctx context.Context) (err error) {
	l.grpc, err = grpc.NewClient("passthrough:///"+l.target, grpc.WithTransportCredentials(l.creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)), grpc.WithNoProxy())
	if err != nil {
		return fmt.Errorf("connect to %s: %w", l.target, err)
	}
	l.unary = agentpb.NewFunctionsClient(l.grpc)
	l.grpc.Connect()
	for state := l.grpc.GetState(); state != connectivity.Ready; state = l.grpc.GetState() {
		if !l.grpc.WaitForStateChange(ctx, state) {
			return errors.Join(fmt.Errorf("connect to %s: %w", l.target, context.Cause(ctx)), l.grpc.Close())
		}
	}
	return nil
}

// serve keeps the link connected until l.ctx ends. Then it settles what is under way.
func (l *link) serve() {
	defer l.settling.Wait()
	if l.unary != nil {
		<-l.ctx.Done()
		return
	}
	for {
		l.mu.Lock()
		conn := l.conn
		l.mu.Unlock()
		select {
		case <-l.ctx.Done():
			conn.Close()
			return
		case <-conn.Ended():
		}
		l.mu.Lock()
		l.conn, l.down = nil, conn.Lost()
		l.mu.Unlock()
		conn.Close()
		if err := l.connect(l.ctx); err != nil {
			return
		}
	}
}

// close gives up a link that is not served.
func (l *link) close() error {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.grpc != nil {
		return l.grpc.Close()
	}
	return nil
}

// send sends a flight, to be settled later.
func (l *link) send(f *flight) {
	request := &agentpb.InvokeRequest{Function: f.call.Function, Tid: f.call.TID, TimeoutNs: int64(f.timeout)}
	if l.unary != nil {
		l.settling.Go(func() { l.invoke(f, request) })
		return
	}
	payload, err := proto.Marshal(request)
	l.mu.Lock()
	conn, down := l.conn, l.down
	l.mu.Unlock()
	if err == nil {
		err = down
	}
	if err == nil {
		f.timer = time.AfterFunc(f.timeout+replyWithin, func() {
			if conn.Cancel(uint64(f.call.Seq)) {
				f.g.settle(f, nil, errNoReply)
			}
		})
		if err = conn.Send(uint64(f.call.Seq), f, payload); err != nil {
			f.timer.Stop()
		}
	}
	if err != nil {
		l.settling.Go(func() { f.g.settle(f, nil, err) })
	}
}

// Done is that of multiplex.Waiter.
func (f *flight) Done(payload []byte, err error) {
	f.timer.Stop()
	reply := &agentpb.InvokeReply{}
	if err == nil {
		err = proto.Unmarshal(payload, reply)
	}
	f.g.settle(f, reply, err)
}

// invoke makes a unary call.
func (l *link) invoke(f *flight, request *agentpb.InvokeRequest) {
	ctx, cancel := context.WithTimeout(l.ctx, f.timeout)
	defer cancel()
	reply, err := l.unary.Invoke(ctx, request)
	f.g.settle(f, reply, err)
}
