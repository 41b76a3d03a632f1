package proxy_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/proxy"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

// fakeAgent is a worker that counts what it is sent and answers as told. It
// leaves out the health service: the balancer has to live with that.
type fakeAgent struct {
	pb.UnimplementedFunctionsServer
	name     string
	address  string
	stop     func()
	do       func(context.Context, *pb.InvokeRequest) *pb.InvokeReply // nil: OK
	register func(*pb.RegisterRequest) error                          // nil: OK
	refuses  error                                                    // of what is asked of all members

	mu         sync.Mutex
	registered []string // function_json
	invoked    []string // tids
	prewarmed  int32
	async      map[string]*pb.InvokeReply
}

// newAgent serves a fake worker on loopback until the test ends.
func newAgent(t testing.TB, name string, options ...func(*fakeAgent)) *fakeAgent {
	t.Helper()
	a := &fakeAgent{name: name, async: map[string]*pb.InvokeReply{}}
	for _, o := range options {
		o(a)
	}
	listener := listen(t)
	a.address = listener.Addr().String()
	calls := multiplex.NewServer(pb.HandleCalls(a.invoke))
	server := grpc.NewServer(grpc.WaitForHandlers(true), grpc.Creds(calls.Credentials(insecure.NewCredentials())))
	a.stop = func() { server.Stop(); calls.Close() }
	pb.RegisterFunctionsServer(server, a)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { a.stop(); serving.Wait() })
	return a
}

func doing(do func(context.Context, *pb.InvokeRequest) *pb.InvokeReply) func(*fakeAgent) {
	return func(a *fakeAgent) { a.do = do }
}

func (a *fakeAgent) Register(_ context.Context, req *pb.RegisterRequest) (*pb.RegisterReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.register != nil {
		if err := a.register(req); err != nil {
			return nil, err
		}
	}
	a.registered = append(a.registered, string(req.GetFunctionJson()))
	return &pb.RegisterReply{}, nil
}

func (a *fakeAgent) Invoke(ctx context.Context, req *pb.InvokeRequest) (*pb.InvokeReply, error) {
	return a.invoke(ctx, req), nil
}

func (a *fakeAgent) invoke(ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
	a.mu.Lock()
	a.invoked = append(a.invoked, req.GetTid())
	a.mu.Unlock()
	reply := &pb.InvokeReply{Outcome: pb.Outcome_OK, ResultJson: []byte(`{"ok":true}`)}
	if a.do != nil {
		reply = a.do(ctx, req)
	}
	reply.Tid, reply.Worker = req.GetTid(), a.name
	return reply
}

func (a *fakeAgent) InvokeAsync(ctx context.Context, req *pb.InvokeRequest) (*pb.InvokeAsyncReply, error) {
	reply := a.invoke(context.WithoutCancel(ctx), req)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.async[req.GetTid()] = reply
	return &pb.InvokeAsyncReply{Cookie: req.GetTid()}, nil
}

func (a *fakeAgent) Poll(_ context.Context, req *pb.PollRequest) (*pb.PollReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	reply := a.async[req.GetCookie()]
	if reply == nil {
		return nil, status.Error(codes.NotFound, "no such cookie")
	}
	return &pb.PollReply{Done: true, Reply: reply}, nil
}

func (a *fakeAgent) Prewarm(_ context.Context, req *pb.PrewarmRequest) (*pb.PrewarmReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prewarmed += req.GetCount()
	return &pb.PrewarmReply{Ready: req.GetCount()}, a.refuses
}

func (a *fakeAgent) Estimate(context.Context, *pb.EstimateRequest) (*pb.EstimateReply, error) {
	return &pb.EstimateReply{QueueNs: int64(len(a.name)), ExecNs: 100}, a.refuses
}

func (a *fakeAgent) List(context.Context, *pb.ListRequest) (*pb.ListReply, error) {
	return &pb.ListReply{
		Functions: []*pb.FunctionInfo{{Name: "f", Invocations: int64(a.calls())}},
		Sandboxes: []*pb.SandboxInfo{{Id: 1, Worker: a.name}},
	}, a.refuses
}

func (a *fakeAgent) calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.invoked)
}

// grace is what a stopping Proxy gives to calls under way.
const grace = 300 * time.Millisecond

// balancer is a Proxy that serves on loopback.
type balancer struct {
	pb.FunctionsClient
	pb.MembershipClient
	address string
	url     string
	stop    func() error // and wait
}

// newBalancer serves a Proxy, which goes round, until the test ends or stop is called.
func newBalancer(t testing.TB, lease time.Duration, options ...func(*proxy.Options)) *balancer {
	t.Helper()
	grpcListener, httpListener := listen(t), listen(t)
	o := proxy.Options{Policy: policy.RoundRobin{}, Log: slog.New(slog.DiscardHandler), Lease: lease, Grace: grace}
	for _, option := range options {
		option(&o)
	}
	p := proxy.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	stop := sync.OnceValue(func() error { return p.Serve(ctx, grpcListener, httpListener) })
	served := make(chan struct{})
	go func() { defer close(served); _ = stop() }()
	b := &balancer{address: grpcListener.Addr().String(), url: "http://" + httpListener.Addr().String(), stop: func() error { cancel(); <-served; return stop() }}
	conn, err := grpc.NewClient(grpcListener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	b.FunctionsClient, b.MembershipClient = pb.NewFunctionsClient(conn), pb.NewMembershipClient(conn)
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if err := b.stop(); err != nil {
			t.Error("Serve:", err)
		}
	})
	return b
}

func (b *balancer) joins(t testing.TB, a *fakeAgent, incarnation string) {
	t.Helper()
	if _, err := b.Join(t.Context(), &pb.JoinRequest{Worker: a.name, Address: a.address, Incarnation: incarnation, MilliCpu: 1000}); err != nil {
		t.Fatalf("%s joins: %v", a.name, err)
	}
}

// invoke makes one unary call of function f.
func (b *balancer) invoke(t *testing.T, tid string) *pb.InvokeReply {
	t.Helper()
	reply, err := b.Invoke(t.Context(), &pb.InvokeRequest{Function: "f", Tid: tid})
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// members waits until the members are these.
func (b *balancer) members(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		reply, err := b.Members(t.Context(), &pb.MembersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, m := range reply.GetMembers() {
			got = append(got, m.GetWorker())
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
	}
	t.Fatalf("members are %v, want %v", got, want)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
