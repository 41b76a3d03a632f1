package live_test

import (
	"slices"
	"testing"
	"time"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
)

// One caller, one warm call at a time, in a sandbox that answers at once: what
// the Agent itself costs, and with gRPC on loopback before it.
func BenchmarkInvoke(b *testing.B) {
	a, conn := served(b, fake.Script{})
	client := pb.NewFunctionsClient(conn)
	stream, err := client.InvokeStream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		way  string
		call func() (pb.Outcome, error)
	}{
		{"direct", func() (pb.Outcome, error) {
			return pb.Outcome(a.Invoke(b.Context(), live.Request{Function: "f"}).Outcome), nil
		}},
		{"unary", func() (pb.Outcome, error) {
			reply, err := client.Invoke(b.Context(), &pb.InvokeRequest{Function: "f", Tid: "t"})
			return reply.GetOutcome(), err
		}},
		{"stream", func() (pb.Outcome, error) {
			if err := stream.Send(&pb.InvokeRequest{Function: "f", Tid: "t"}); err != nil {
				return 0, err
			}
			reply, err := stream.Recv()
			return reply.GetOutcome(), err
		}},
	} {
		b.Run(bb.way, func(b *testing.B) {
			b.ReportAllocs()
			took := make([]time.Duration, 0, 1<<20)
			for b.Loop() {
				began := time.Now()
				outcome, err := bb.call()
				took = append(took, time.Since(began))
				if outcome != pb.Outcome_OK {
					b.Fatal(outcome, err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
		})
	}
}
