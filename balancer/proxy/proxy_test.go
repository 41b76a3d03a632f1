package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// callers are the ways to call; all must behave the same.
var callers = map[string]func(*testing.T, *balancer, context.Context, *pb.InvokeRequest) *pb.InvokeReply{
	"unary": func(t *testing.T, b *balancer, ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
		reply, err := b.Invoke(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	},
	"stream": func(t *testing.T, b *balancer, ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
		stream, err := b.InvokeStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(stream.Send(req), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		reply, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return reply
	},
	"multiplexed": func(t *testing.T, b *balancer, ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
		reply, err := multiplexed(ctx, b, req)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	},
}

// multiplexed makes one call by a connection of its own, which ends with ctx.
func multiplexed(ctx context.Context, b *balancer, req *pb.InvokeRequest) (*pb.InvokeReply, error) {
	conn, err := multiplex.Dial(ctx, b.address, insecure.NewCredentials())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	payload, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	w := make(waiter, 1)
	if err := conn.Send(1, w, payload); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case reply := <-w:
		return reply, nil
	}
}

// waiter gets a reply.
type waiter chan *pb.InvokeReply

func (w waiter) Done(payload []byte, err error) {
	reply := &pb.InvokeReply{}
	if err == nil && proto.Unmarshal(payload, reply) == nil {
		w <- reply
	}
}

// eachCaller runs a test for both.
func eachCaller(t *testing.T, test func(*testing.T, func(*balancer, *pb.InvokeRequest) *pb.InvokeReply)) {
	t.Helper()
	for name, call := range callers {
		t.Run(name, func(t *testing.T) {
			test(t, func(b *balancer, req *pb.InvokeRequest) *pb.InvokeReply { return call(t, b, t.Context(), req) })
		})
	}
}

func TestCallsGoRound(t *testing.T) {
	eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
		b, w1, w2 := newBalancer(t, 0), newAgent(t, "w1"), newAgent(t, "w2")
		b.joins(t, w1, "i")
		b.joins(t, w2, "i")
		var got []string
		for i := range 4 {
			reply := call(b, &pb.InvokeRequest{Function: "f", Tid: fmt.Sprint(i)})
			if reply.GetTid() != fmt.Sprint(i) || reply.GetOutcome() != pb.Outcome_OK {
				t.Errorf("reply %v", reply)
			}
			got = append(got, reply.GetWorker())
		}
		if diff := cmp.Diff([]string{"w1", "w2", "w1", "w2"}, got); diff != "" {
			t.Error(diff)
		}
		members, err := b.Members(t.Context(), &pb.MembersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members.GetMembers() {
			if m.GetInFlight() != 0 || !m.GetHealthy() {
				t.Errorf("when all is done: %v", m)
			}
		}
	})
}

func TestStreamMultiplexes(t *testing.T) {
	release := make(chan struct{})
	b, w := newBalancer(t, 0), newAgent(t, "w", doing(func(_ context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
		if req.GetFunction() == "slow" {
			<-release
		}
		return &pb.InvokeReply{Outcome: pb.Outcome_OK}
	}))
	b.joins(t, w, "i")
	stream, err := b.InvokeStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The same tid twice at once is allowed: the second goes its own way.
	for _, req := range []*pb.InvokeRequest{{Function: "slow", Tid: "a"}, {Function: "fast", Tid: "b"}, {Function: "fast", Tid: "a"}} {
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	reply, err := stream.Recv()
	if err != nil || reply.GetTid() != "a" {
		t.Errorf("last came %v, %v, want the slow one", reply, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("a fourth reply to three calls")
	}
}

func TestRefusedWithoutMembers(t *testing.T) {
	eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
		reply := call(newBalancer(t, 0), &pb.InvokeRequest{Tid: "t"})
		if reply.GetOutcome() != pb.Outcome_REFUSED || reply.GetError() != "no worker is a member of the balancer" || reply.GetExecEndNs() != -1 {
			t.Errorf("reply %v", reply)
		}
	})
}

// A worker that dies in mid-call may have run it: the call fails and runs nowhere else.
func TestWorkerDiesInACall(t *testing.T) {
	eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
		started := make(chan struct{})
		b, other := newBalancer(t, 0), newAgent(t, "other")
		dies := newAgent(t, "dies", doing(func(ctx context.Context, _ *pb.InvokeRequest) *pb.InvokeReply {
			close(started)
			<-ctx.Done()
			return &pb.InvokeReply{Outcome: pb.Outcome_CANCELLED}
		}))
		b.joins(t, dies, "i")
		b.joins(t, other, "i")
		go func() { <-started; dies.stop() }()
		reply := call(b, &pb.InvokeRequest{Tid: "t"})
		if reply.GetOutcome() != pb.Outcome_PLATFORM || !strings.Contains(reply.GetError(), "worker dies was lost before it replied") || reply.GetWorker() != "dies" {
			t.Errorf("reply %v", reply)
		}
		if n := other.calls(); n != 0 {
			t.Errorf("the call went to another worker %d times", n)
		}
		for range 3 { // the dead one is suspect
			if reply := call(b, &pb.InvokeRequest{Tid: "next"}); reply.GetWorker() != "other" {
				t.Errorf("reply %v", reply)
			}
		}
	})
}

// A worker that cannot be reached has not run the call: another does.
func TestUnreachableWorkerIsPassedOver(t *testing.T) {
	eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
		b, dead, alive := newBalancer(t, 0), newAgent(t, "dead"), newAgent(t, "alive")
		b.joins(t, dead, "i")
		b.joins(t, alive, "i")
		dead.stop()
		time.Sleep(100 * time.Millisecond) // for the balancer to see its connection end
		for i := range 4 {
			if reply := call(b, &pb.InvokeRequest{Tid: fmt.Sprint(i)}); reply.GetOutcome() != pb.Outcome_OK || reply.GetWorker() != "alive" {
				t.Errorf("reply %v", reply)
			}
		}
		alive.stop()
		time.Sleep(100 * time.Millisecond)
		if reply := call(b, &pb.InvokeRequest{Tid: "t"}); reply.GetOutcome() != pb.Outcome_PLATFORM || !strings.Contains(reply.GetError(), "worker alive cannot be reached") {
			t.Errorf("reply %v", reply)
		}
		if reply := call(b, &pb.InvokeRequest{Tid: "t"}); reply.GetOutcome() != pb.Outcome_REFUSED || !strings.Contains(reply.GetError(), "none of the balancer's 2 workers") {
			t.Errorf("reply %v", reply)
		}
	})
}

func TestLease(t *testing.T) {
	b, w1, w2 := newBalancer(t, 150*time.Millisecond), newAgent(t, "w1"), newAgent(t, "w2")
	reply, err := b.Join(t.Context(), &pb.JoinRequest{Worker: "w1", Address: w1.address, Incarnation: "i"})
	if err != nil || time.Duration(reply.GetLeaseNs()) != 150*time.Millisecond {
		t.Fatal(reply, err)
	}
	b.joins(t, w2, "i")
	for range 4 {
		time.Sleep(60 * time.Millisecond)
		b.joins(t, w2, "i")
	}
	b.members(t, "w2")
	b.members(t) // it stopped renewing
	b.joins(t, w1, "i")
	b.members(t, "w1")
	if _, err := b.Leave(t.Context(), &pb.LeaveRequest{Worker: "w1", Incarnation: "earlier"}); err != nil {
		t.Error(err)
	}
	b.members(t, "w1")
	if _, err := b.Leave(t.Context(), &pb.LeaveRequest{Worker: "w1", Incarnation: "i"}); err != nil {
		t.Error(err)
	}
	b.members(t)
}

// What is in flight at a worker fails at once when its lease runs out or it
// joins anew, with that as the reason.
func TestLostMemberFailsItsCalls(t *testing.T) {
	for name, tt := range map[string]struct {
		lease time.Duration
		lose  func(*testing.T, *balancer, *fakeAgent)
		why   string
	}{
		"lease":   {100 * time.Millisecond, func(*testing.T, *balancer, *fakeAgent) {}, "its lease ran out"},
		"restart": {0, func(t *testing.T, b *balancer, a *fakeAgent) { b.joins(t, a, "i2") }, "it restarted"},
	} {
		t.Run(name, func(t *testing.T) {
			eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
				started := make(chan struct{})
				b, w := newBalancer(t, tt.lease), newAgent(t, "w", doing(func(ctx context.Context, _ *pb.InvokeRequest) *pb.InvokeReply {
					close(started)
					<-ctx.Done()
					return &pb.InvokeReply{}
				}))
				b.joins(t, w, "i1")
				lost := make(chan struct{})
				go func() { defer close(lost); <-started; tt.lose(t, b, w) }()
				reply := call(b, &pb.InvokeRequest{Tid: "t"})
				<-lost
				if reply.GetOutcome() != pb.Outcome_PLATFORM || !strings.Contains(reply.GetError(), tt.why) {
					t.Errorf("reply %v, want %q", reply, tt.why)
				}
			})
		})
	}
}

func TestLateJoinerGetsTheFunctionsFirst(t *testing.T) {
	b, early := newBalancer(t, 0), newAgent(t, "early")
	b.joins(t, early, "i")
	for _, f := range []string{`{"name":"f"}`, `{"name":"g"}`, `{"name":"f"}`} { // the last changes nothing
		if _, err := b.Register(t.Context(), &pb.RegisterRequest{FunctionJson: []byte(f)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Register(t.Context(), &pb.RegisterRequest{FunctionJson: []byte(`{"name":"f","memory":1}`)}); status.Code(err) != codes.AlreadyExists {
		t.Errorf("other content under a name in use: %v", err)
	}
	late := newAgent(t, "late")
	b.joins(t, late, "i")
	if diff := cmp.Diff([]string{`{"name":"f"}`, `{"name":"g"}`}, late.registered); diff != "" {
		t.Error(diff)
	}
	picky := newAgent(t, "picky", func(a *fakeAgent) {
		a.register = func(*pb.RegisterRequest) error { return status.Error(codes.FailedPrecondition, "g never fits") }
	})
	_, err := b.Join(t.Context(), &pb.JoinRequest{Worker: "picky", Address: picky.address, Incarnation: "i"})
	if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "worker picky: g never fits" {
		t.Errorf("a worker that refuses a function joined: %v", err)
	}
	b.members(t, "early", "late")
}

// A function that one member refuses is not registered.
func TestRegisterRefused(t *testing.T) {
	refuse := true
	b, w := newBalancer(t, 0), newAgent(t, "w", func(a *fakeAgent) {
		a.register = func(*pb.RegisterRequest) error {
			if refuse {
				return status.Error(codes.FailedPrecondition, "too large")
			}
			return nil
		}
	})
	b.joins(t, w, "i")
	if _, err := b.Register(t.Context(), &pb.RegisterRequest{FunctionJson: []byte(`{"name":"f"}`)}); status.Convert(err).Message() != "worker w: too large" {
		t.Error(err)
	}
	w.mu.Lock()
	refuse = false
	w.mu.Unlock()
	if _, err := b.Register(t.Context(), &pb.RegisterRequest{FunctionJson: []byte(`{"name":"f","memory":1}`)}); err != nil {
		t.Error("the refused one is still there:", err)
	}
	if _, err := b.Register(t.Context(), &pb.RegisterRequest{FunctionJson: []byte(`no JSON`)}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
}

func TestJoinRefused(t *testing.T) {
	b := newBalancer(t, 0)
	l := listen(t)
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		req  *pb.JoinRequest
		code codes.Code
		want string
	}{
		"incomplete":  {&pb.JoinRequest{Worker: "w"}, codes.InvalidArgument, "worker, address and incarnation are required"},
		"unreachable": {&pb.JoinRequest{Worker: "w", Address: nobody, Incarnation: "i"}, codes.Unavailable, "the balancer cannot reach worker w at " + nobody},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := b.Join(t.Context(), tt.req); status.Code(err) != tt.code || !strings.HasPrefix(status.Convert(err).Message(), tt.want) {
				t.Errorf("%v, want %v with %q", err, tt.code, tt.want)
			}
		})
	}
	b.members(t)
}

func TestAsync(t *testing.T) {
	b, w1, w2 := newBalancer(t, 0), newAgent(t, "w1"), newAgent(t, "w2")
	if _, err := b.InvokeAsync(t.Context(), &pb.InvokeRequest{Tid: "t"}); status.Code(err) != codes.Unavailable {
		t.Errorf("without members: %v", err)
	}
	b.joins(t, w1, "i")
	b.joins(t, w2, "i")
	for i, worker := range []string{"w1", "w2"} {
		started, err := b.InvokeAsync(t.Context(), &pb.InvokeRequest{Tid: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		polled, err := b.Poll(t.Context(), &pb.PollRequest{Cookie: started.GetCookie()})
		if err != nil || !polled.GetDone() || polled.GetReply().GetWorker() != worker {
			t.Errorf("cookie %s: %v, %v", started.GetCookie(), polled, err)
		}
	}
	for cookie, want := range map[string]string{"x@w1": "worker w1: no such cookie", "x@w9": `worker "w9" of this cookie`, "": `worker ""`} {
		if _, err := b.Poll(t.Context(), &pb.PollRequest{Cookie: cookie}); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("cookie %q: %v", cookie, err)
		}
	}
}

func TestSpreadAndMerge(t *testing.T) {
	b, w1, w2 := newBalancer(t, 0), newAgent(t, "w1"), newAgent(t, "worker2")
	b.joins(t, w1, "i")
	b.joins(t, w2, "i")
	b.invoke(t, "a")
	b.invoke(t, "b")
	warm, err := b.Prewarm(t.Context(), &pb.PrewarmRequest{Function: "f", Count: 3})
	if err != nil || warm.GetReady() != 3 || w1.prewarmed != 2 || w2.prewarmed != 1 {
		t.Errorf("prewarmed %v, %v: %d and %d", warm, err, w1.prewarmed, w2.prewarmed)
	}
	if e, err := b.Estimate(t.Context(), &pb.EstimateRequest{Function: "f"}); err != nil || e.GetQueueNs() != 2 {
		t.Errorf("estimate %v, %v, want that of w1", e, err)
	}
	list, err := b.List(t.Context(), &pb.ListRequest{})
	if err != nil || len(list.GetFunctions()) != 1 || list.GetFunctions()[0].GetInvocations() != 2 || len(list.GetSandboxes()) != 2 {
		t.Errorf("list %v, %v", list, err)
	}
}

func TestCallerGivesUp(t *testing.T) {
	for name, call := range map[string]func(context.Context, *balancer) error{
		"unary": func(ctx context.Context, b *balancer) error {
			_, err := b.Invoke(ctx, &pb.InvokeRequest{Tid: "t"})
			return err
		},
		"stream": func(ctx context.Context, b *balancer) error {
			stream, err := b.InvokeStream(ctx)
			if err != nil {
				return err
			}
			if err := stream.Send(&pb.InvokeRequest{Tid: "t"}); err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
		"multiplexed": func(ctx context.Context, b *balancer) error {
			_, err := multiplexed(ctx, b, &pb.InvokeRequest{Tid: "t"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			started, stopped := make(chan struct{}), make(chan struct{})
			b, w := newBalancer(t, time.Minute), newAgent(t, "w", doing(func(ctx context.Context, _ *pb.InvokeRequest) *pb.InvokeReply {
				close(started)
				<-ctx.Done()
				close(stopped)
				return &pb.InvokeReply{Outcome: pb.Outcome_CANCELLED}
			}))
			b.joins(t, w, "i")
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-started; cancel() }()
			if err := call(ctx, b); status.Code(err) != codes.Canceled {
				t.Error(err)
			}
			select {
			case <-stopped:
			case <-time.After(5 * time.Second):
				t.Error("the worker never learned of it")
			}
		})
	}
}

// What is left of the deadline of a call on a stream goes with it; the worker's own account of
// the time it took is preferred, and one that never answers is not waited for.
func TestDeadlineOnAStream(t *testing.T) {
	for name, hangs := range map[string]bool{"worker answers": false, "worker hangs": true} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			b, w := newBalancer(t, 0), newAgent(t, "w", doing(func(ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
				if left := time.Duration(req.GetTimeoutNs()); left <= 0 || left >= 20*time.Millisecond {
					t.Errorf("%v are left of 20 ms", left)
				}
				<-ctx.Done()
				if hangs {
					<-release
				}
				return &pb.InvokeReply{Outcome: pb.Outcome_TIMEOUT, QueuedNs: 7}
			}))
			t.Cleanup(func() { close(release) })
			b.joins(t, w, "i")
			reply := callers["stream"](t, b, t.Context(), &pb.InvokeRequest{Tid: "t", TimeoutNs: int64(20 * time.Millisecond)})
			if reply.GetOutcome() != pb.Outcome_TIMEOUT || (reply.GetQueuedNs() == 7) == hangs {
				t.Errorf("reply %v", reply)
			}
		})
	}
}

func TestStop(t *testing.T) {
	for name, tt := range map[string]struct {
		takes time.Duration // by the call under way when the stop begins
		want  pb.Outcome
	}{
		"finishes what is under way":       {grace / 4, pb.Outcome_OK},
		"cuts off what takes for too long": {time.Minute, pb.Outcome_OUTCOME_UNSPECIFIED},
	} {
		t.Run(name, func(t *testing.T) {
			started := make(chan struct{}, 100)
			b, w := newBalancer(t, time.Minute), newAgent(t, "w", doing(func(ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
				started <- struct{}{}
				if req.GetTid() == "under way" {
					select {
					case <-time.After(tt.takes):
					case <-ctx.Done():
					}
				}
				return &pb.InvokeReply{Outcome: pb.Outcome_OK}
			}))
			b.joins(t, w, "i")
			stream, err := b.InvokeStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			stopped := make(chan error, 1)
			go func() { <-started; stopped <- b.stop() }()
			if err := stream.Send(&pb.InvokeRequest{Tid: "under way"}); err != nil {
				t.Fatal(err)
			}
			var got pb.Outcome // of the call under way, when it has an answer
			refused := 0
			for n := 0; ; n++ {
				_ = stream.Send(&pb.InvokeRequest{Tid: fmt.Sprint(n)}) // Recv says why it fails
				reply, err := stream.Recv()
				if err != nil {
					break
				}
				switch {
				case reply.GetTid() == "under way":
					got = reply.GetOutcome()
				case reply.GetOutcome() == pb.Outcome_REFUSED && reply.GetError() == "the balancer is stopping":
					refused++
				}
				if got == pb.Outcome_OK && refused > 0 {
					_ = stream.CloseSend()
				}
			}
			if err := <-stopped; err != nil || got != tt.want || refused == 0 {
				t.Errorf("stop: %v; the call under way: %v, want %v; %d refused", err, got, tt.want, refused)
			}
		})
	}
}
