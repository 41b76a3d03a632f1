package live_test

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a connection to an agent that serves on loopback until the test ends.
func served(t testing.TB, script fake.Script) (*live.Agent, *grpc.ClientConn) {
	t.Helper()
	a, isolation := agent(t, script, minute)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := live.NewServer(a, insecure.NewCredentials())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		serving.Wait()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := isolation.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, conn
}

func TestServer(t *testing.T) {
	a, conn := served(t, script)
	ctx := t.Context()
	functions, control := pb.NewFunctionsClient(conn), pb.NewAgentClient(conn)

	reply, err := functions.Invoke(ctx, &pb.InvokeRequest{Function: "f", Tid: "t1", ArgsJson: []byte(`{"x":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if reply.GetOutcome() != pb.Outcome_OK || reply.GetTid() != "t1" || string(reply.GetResultJson()) != `{"x":1}` ||
		reply.GetColdKind() != pb.ColdKind_COLD || reply.GetWorker() != "w" || reply.GetBootId() == "" || reply.GetAcceptedMonotonicNs() == 0 {
		t.Errorf("%v", reply)
	}
	if reply, err := functions.Invoke(ctx, &pb.InvokeRequest{Function: "nope"}); err != nil || reply.GetOutcome() != pb.Outcome_REFUSED || !reply.GetUnknownFunction() {
		t.Errorf("%v, %v", reply, err)
	}

	async, err := functions.InvokeAsync(ctx, &pb.InvokeRequest{Function: "raises"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		poll, err := functions.Poll(ctx, &pb.PollRequest{Cookie: async.GetCookie()})
		if err != nil {
			t.Fatal(err)
		}
		if poll.GetDone() {
			if poll.GetReply().GetOutcome() != pb.Outcome_USER_ERROR {
				t.Errorf("%v", poll)
			}
			break
		}
		time.Sleep(time.Millisecond)
	}

	if r, err := functions.Prewarm(ctx, &pb.PrewarmRequest{Function: "g", Count: 1}); err != nil || r.GetReady() != 1 {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := functions.List(ctx, &pb.ListRequest{}); err != nil || len(r.GetFunctions()) != 6 || len(r.GetSandboxes()) != 3 {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := functions.Estimate(ctx, &pb.EstimateRequest{Function: "f"}); err != nil || r.GetExecNs() != int64(20*time.Millisecond) {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := control.Status(ctx, &pb.StatusRequest{}); err != nil || r.GetWorker() != "w" || r.GetRunId() != "run" || r.GetMemoryUsedBytes() != 3*64<<20 {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := control.Clean(ctx, &pb.CleanRequest{}); err != nil || r.GetRemoved() != 3 {
		t.Errorf("%v, %v", r, err)
	}

	big, err := json.Marshal(spec.Function{Name: "big", Builtin: "hello", MilliCPU: 1000, Memory: spec.GiB})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		call func() error
		want codes.Code
	}{
		"register nonsense": {func() error {
			_, err := functions.Register(ctx, &pb.RegisterRequest{FunctionJson: []byte("{")})
			return err
		}, codes.InvalidArgument},
		"register what never fits": {func() error {
			_, err := functions.Register(ctx, &pb.RegisterRequest{FunctionJson: big})
			return err
		}, codes.FailedPrecondition},
		"register other content": {func() error {
			_, err := functions.Register(ctx, &pb.RegisterRequest{FunctionJson: []byte(`{"name":"f"}`)})
			return err
		}, codes.AlreadyExists},
		"register no code": {func() error {
			_, err := functions.Register(ctx, &pb.RegisterRequest{FunctionJson: []byte(`{"name":"code","runtime":"exec"}`)})
			return err
		}, codes.InvalidArgument},
		"register the same": {func() error {
			same, err := json.Marshal(builtin("f"))
			if err != nil {
				return err
			}
			_, err = functions.Register(ctx, &pb.RegisterRequest{FunctionJson: same})
			return err
		}, codes.OK},
		"invoke nothing": {func() error {
			_, err := functions.InvokeAsync(ctx, &pb.InvokeRequest{Function: "nope"})
			return err
		}, codes.NotFound},
		"estimate nothing": {func() error {
			_, err := functions.Estimate(ctx, &pb.EstimateRequest{Function: "nope"})
			return err
		}, codes.NotFound},
		"prewarm nothing": {func() error {
			_, err := functions.Prewarm(ctx, &pb.PrewarmRequest{Function: "nope", Count: 1})
			return err
		}, codes.NotFound},
		"prewarm too many": {func() error {
			_, err := functions.Prewarm(ctx, &pb.PrewarmRequest{Function: "g", Count: 9})
			return err
		}, codes.ResourceExhausted},
		"prewarm what fails": {func() error {
			_, err := functions.Prewarm(ctx, &pb.PrewarmRequest{Function: "import_fails", Count: 1})
			return err
		}, codes.FailedPrecondition},
		"poll an unknown cookie": {func() error {
			_, err := functions.Poll(ctx, &pb.PollRequest{Cookie: "x"})
			return err
		}, codes.NotFound},
	} {
		if _, err := control.Clean(ctx, &pb.CleanRequest{}); err != nil {
			t.Fatal(err)
		}
		if got := status.Code(tt.call()); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}

	health := grpc_health_v1.NewHealthClient(conn)
	if r, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := control.Drain(ctx, &pb.DrainRequest{}); err != nil {
		t.Error(err)
	}
	if r, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("drained, yet %v, %v", r, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := functions.Prewarm(ctx, &pb.PrewarmRequest{Function: "g", Count: 1}); status.Code(err) != codes.Unavailable {
		t.Errorf("closed: %v", err)
	}
}

// Replies come as calls end, and a stream that breaks frees what its calls held.
func TestStream(t *testing.T) {
	a, conn := served(t, script)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := pb.NewFunctionsClient(conn).InvokeStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []*pb.InvokeRequest{
		{Function: "hangs", Tid: "slow", TimeoutNs: int64(200 * time.Millisecond)}, {Function: "f", Tid: "fast"},
	} {
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		tid     string
		outcome pb.Outcome
	}{{"fast", pb.Outcome_OK}, {"slow", pb.Outcome_TIMEOUT}} {
		reply, err := stream.Recv()
		if err != nil || reply.GetTid() != want.tid || reply.GetOutcome() != want.outcome {
			t.Fatalf("%v, %v, want %s", reply, err, want.tid)
		}
	}
	if err := stream.Send(&pb.InvokeRequest{Function: "hangs", Tid: "lost"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return a.Status().Running == 1 })
	cancel()
	eventually(t, func() bool { return a.Status().MilliCPUUsed == 0 })
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to hold")
		}
	}
}

// book is the membership of a balancer.
type book struct {
	pb.UnimplementedMembershipServer
	mu     sync.Mutex
	refuse int            // so many joins that come
	joins  map[string]int // by worker, address and incarnation
	left   []string
}

func (b *book) Join(_ context.Context, req *pb.JoinRequest) (*pb.JoinReply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse > 0 {
		b.refuse--
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	b.joins[req.GetWorker()+" "+req.GetAddress()+" "+req.GetIncarnation()]++
	return &pb.JoinReply{LeaseNs: int64(30 * time.Millisecond)}, nil
}

func (b *book) Leave(_ context.Context, req *pb.LeaveRequest) (*pb.LeaveReply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = append(b.left, req.GetWorker())
	return &pb.LeaveReply{}, nil
}

// An agent joins once it is let, renews, comes back to a balancer that was away, and leaves.
func TestLease(t *testing.T) {
	a, isolation := agent(t, script, minute)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, members := listener.Addr().String(), &book{refuse: 1, joins: map[string]int{}}
	var serving sync.WaitGroup
	serve := func(l net.Listener) *grpc.Server {
		s := grpc.NewServer()
		pb.RegisterMembershipServer(s, members)
		serving.Go(func() { _ = s.Serve(l) }) // until it is stopped
		return s
	}
	renewed := func() (n int) {
		members.mu.Lock()
		defer members.mu.Unlock()
		for _, joins := range members.joins {
			n += joins
		}
		return n
	}
	server := serve(listener)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var leasing sync.WaitGroup
	leasing.Go(func() { a.Lease(ctx, conn, "host:1") })
	eventually(t, func() bool { return renewed() >= 3 })

	server.Stop()
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	before := renewed()
	server = serve(listener)
	eventually(t, func() bool { return renewed() > before })

	cancel()
	leasing.Wait()
	server.Stop()
	serving.Wait()
	conn.Close()
	if len(members.joins) != 1 || len(members.left) != 1 {
		t.Errorf("joins %v, left %v", members.joins, members.left)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := isolation.Close(); err != nil {
		t.Error(err)
	}
}
