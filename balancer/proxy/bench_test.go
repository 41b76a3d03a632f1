package proxy_test

import (
	"strconv"
	"testing"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
)

// One caller, one call at a time, through the balancer to a worker that answers at once.
func BenchmarkInvoke(b *testing.B) {
	setup := func(b *testing.B) *balancer {
		b.Helper()
		front, w := newBalancer(b, 0), newAgent(b, "w")
		front.joins(b, w, "i")
		return front
	}
	b.Run("unary", func(b *testing.B) {
		front := setup(b)
		for n := 0; b.Loop(); n++ {
			if _, err := front.Invoke(b.Context(), &pb.InvokeRequest{Function: "f", Tid: strconv.Itoa(n)}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stream", func(b *testing.B) {
		stream, err := setup(b).InvokeStream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for n := 0; b.Loop(); n++ {
			if err := stream.Send(&pb.InvokeRequest{Function: "f", Tid: strconv.Itoa(n)}); err != nil {
				b.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
