package live

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
)

const (
	// joinRetry is the pause after a balancer could not be reached.
	joinRetry = 200 * time.Millisecond
	// joinWithin is how long a balancer may take to answer.
	joinWithin = 5 * time.Second
)

// Lease keeps the Agent a member of the balancer behind conn until ctx ends,
// then leaves. A balancer that is away is asked again until it is back.
func (a *Agent) Lease(ctx context.Context, conn grpc.ClientConnInterface, address string) {
	balancer, incarnation := pb.NewMembershipClient(conn), rand.Text()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, err := balancer.Leave(leave, &pb.LeaveRequest{Worker: a.options.Worker.Name, Incarnation: incarnation})
			if err != nil {
				a.options.Log.Debug("leave balancer", slog.Any("error", err))
			}
			return
		}
		st := a.Status()
		join, cancel := context.WithTimeout(ctx, joinWithin)
		reply, err := balancer.Join(join, &pb.JoinRequest{
			Worker: a.options.Worker.Name, Address: address, Incarnation: incarnation,
			Queued: int32(st.Waiting + st.Pending), Running: int32(st.Running),
			MilliCpu: st.MilliCPU, MemoryBytes: st.Memory,
		})
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				a.options.Log.Warn("join balancer", slog.Any("error", err))
			}
			timer.Reset(joinRetry)
			continue
		}
		timer.Reset(time.Duration(reply.GetLeaseNs()) / 3)
	}
}
