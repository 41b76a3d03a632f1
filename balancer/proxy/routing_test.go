package proxy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/proxy"
	"github.com/ainur-faas/ainur/balancer/route"
)

// The policy sees what is in flight, whichever way it came and until it has its reply.
func TestPolicySeesWhatIsInFlight(t *testing.T) {
	eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
		started, release := make(chan struct{}), make(chan struct{})
		slow := doing(func(_ context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
			if req.GetTid() == "slow" {
				close(started)
				<-release
			}
			return &pb.InvokeReply{Outcome: pb.Outcome_OK}
		})
		b := newBalancer(t, 0, func(o *proxy.Options) { o.Policy = policy.LeastInFlight{} })
		b.joins(t, newAgent(t, "w1", slow), "i")
		b.joins(t, newAgent(t, "w2", slow), "i")
		var calls sync.WaitGroup
		calls.Go(func() { call(b, &pb.InvokeRequest{Tid: "slow"}) })
		<-started
		busy := map[string]int32{}
		members, err := b.Members(t.Context(), &pb.MembersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members.GetMembers() {
			busy[m.GetWorker()] = m.GetInFlight()
		}
		if busy["w1"] != 1 || busy["w2"] != 0 {
			t.Errorf("in flight %v", busy)
		}
		for i := range 4 {
			if reply := call(b, &pb.InvokeRequest{Tid: fmt.Sprint(i)}); reply.GetWorker() != "w2" {
				t.Errorf("call %d went to busy %s", i, reply.GetWorker())
			}
		}
		close(release)
		calls.Wait()
		if reply := call(b, &pb.InvokeRequest{Tid: "next"}); reply.GetWorker() != "w1" {
			t.Errorf("went to %s, want w1, whose turn it is", reply.GetWorker())
		}
	})
}

// Workers come and go under load: each call has one reply, has run at most
// once, and exactly once where its reply says so.
func TestAtMostOnce(t *testing.T) {
	eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
		var mu sync.Mutex
		ran := map[string]int{}
		counts := doing(func(ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
			mu.Lock()
			ran[req.GetTid()]++
			mu.Unlock()
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
			return &pb.InvokeReply{Outcome: pb.Outcome_OK}
		})
		b := newBalancer(t, 0)
		workers := make([]*fakeAgent, 4)
		for i := range workers {
			workers[i] = newAgent(t, fmt.Sprint("w", i), counts)
			b.joins(t, workers[i], "i")
		}
		outcomes := map[string]pb.Outcome{}
		var calls sync.WaitGroup
		for caller := range 8 {
			calls.Go(func() {
				for i := range 20 {
					tid := fmt.Sprint(caller, ".", i)
					reply := call(b, &pb.InvokeRequest{Tid: tid})
					mu.Lock()
					outcomes[tid] = reply.GetOutcome()
					mu.Unlock()
				}
			})
		}
		for i, w := range workers[:3] {
			time.Sleep(15 * time.Millisecond)
			w.stop()
			b.joins(t, newAgent(t, fmt.Sprint("x", i), counts), "i")
		}
		calls.Wait()
		for tid, outcome := range outcomes {
			switch n := ran[tid]; {
			case n > 1:
				t.Errorf("call %s ran %d times", tid, n)
			case n == 0 && outcome == pb.Outcome_OK:
				t.Errorf("call %s did not run, and yet is OK", tid)
			case outcome != pb.Outcome_OK && outcome != pb.Outcome_PLATFORM:
				t.Errorf("call %s ended as %v", tid, outcome)
			}
		}
		if len(outcomes) != 160 {
			t.Errorf("%d calls have a reply, want 160", len(outcomes))
		}
	})
}

// What asks all the members says which of them failed, and says so when there is none.
func TestAskingTheMembers(t *testing.T) {
	b := newBalancer(t, 0)
	ask := map[string]func() error{
		"prewarm": func() error {
			_, err := b.Prewarm(t.Context(), &pb.PrewarmRequest{Function: "f", Count: 1})
			return err
		},
		"estimate": func() error {
			_, err := b.Estimate(t.Context(), &pb.EstimateRequest{Function: "f"})
			return err
		},
		"list": func() error {
			_, err := b.List(t.Context(), &pb.ListRequest{})
			return err
		},
	}
	for name, want := range map[string]codes.Code{"prewarm": codes.Unavailable, "estimate": codes.Unavailable, "list": codes.OK} {
		if err := ask[name](); status.Code(err) != want {
			t.Errorf("%s without members: %v, want %v", name, err, want)
		}
	}
	w := newAgent(t, "w", func(a *fakeAgent) { a.refuses = status.Error(codes.FailedPrecondition, "not now") })
	b.joins(t, w, "i")
	for name, do := range ask {
		if err := do(); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "worker w: not now" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A function goes where a core of the same seed, such as the simulator's,
// sends it, in whichever order the workers have joined, and whichever way the call came.
func TestFunctionsGoWhereTheSeedSays(t *testing.T) {
	const seed = 7
	bounded := policy.CHBounded{Ceil: 1.25, VNodes: 64}
	eachCaller(t, func(t *testing.T, call func(*balancer, *pb.InvokeRequest) *pb.InvokeReply) {
		b := newBalancer(t, 0, func(o *proxy.Options) { o.Policy, o.Seed = bounded, seed })
		other := route.New(bounded, time.Hour, seed)
		for i := range 3 {
			b.joins(t, newAgent(t, fmt.Sprint("w", i)), "i")
			other.Join(0, fmt.Sprint("w", 2-i), "", "i", 0)
		}
		met := map[string]bool{}
		for i := range 20 {
			f := fmt.Sprint("f", i)
			want, _ := other.Pick(0, f)
			other.Done(want.ID)
			met[want.Worker] = true
			if reply := call(b, &pb.InvokeRequest{Function: f, Tid: f}); reply.GetWorker() != want.Worker {
				t.Errorf("%s went to %s, want %s", f, reply.GetWorker(), want.Worker)
			}
			reply, err := b.InvokeAsync(t.Context(), &pb.InvokeRequest{Function: f, Tid: f})
			if want := f + "@" + want.Worker; err != nil || reply.GetCookie() != want {
				t.Errorf("started %s, %v, want %s", reply.GetCookie(), err, want)
			}
		}
		if len(met) != 3 {
			t.Errorf("all functions are at %v", met)
		}
	})
}
