package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/internal/multiplex"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// place fills c with a reply that came at c.Received. start is the load's zero
// in CLOCK_MONOTONIC.
//
// The agent gives the time it accepted the call on its own clock and all others
// since then. On the same boot that clock is also the generator's. Elsewhere
// the time on the network, service minus what the agent accounts for, is split
// evenly, as NTP does (RFC 5905, section 8). What is left of clock error is cut off, so
// that times never decrease and none is after Received.
func place(c *measure.Call, reply *agentpb.InvokeReply, start time.Duration, bootID string) {
	c.Status, c.Error = outcome(reply)
	c.Host = reply.Worker
	c.ColdKind = coldKind(reply.ColdKind)
	c.Device = reply.Device
	c.BytesIn = int64(len(reply.ResultJson))
	if reply.MemoryBytes > 0 {
		c.Memory = reply.MemoryBytes
	}
	if reply.AcceptedMonotonicNs == 0 {
		return // no agent saw it
	}

	accepted := reply.AcceptedMonotonicNs - int64(start)
	if reply.BootId == "" || reply.BootId != bootID {
		network := c.Received - c.Sent - max(0, reply.RepliedNs)
		accepted = c.Sent + max(0, network)/2
	}
	last := c.Sent
	set := func(at *int64, since int64) {
		if since < 0 {
			return
		}
		last = min(max(last, accepted+since), c.Received)
		*at = last
	}
	set(&c.Accepted, 0)
	set(&c.Queued, reply.QueuedNs)
	set(&c.Dequeued, reply.DequeuedNs)
	set(&c.SandboxReady, reply.SandboxReadyNs)
	set(&c.ExecStart, reply.ExecStartNs)
	set(&c.ExecEnd, reply.ExecEndNs)
	set(&c.Replied, reply.RepliedNs)
}

func outcome(reply *agentpb.InvokeReply) (status, message string) {
	switch reply.Outcome {
	case agentpb.Outcome_OK:
		return measure.OK, ""
	case agentpb.Outcome_USER_ERROR:
		return measure.UserError, reply.Error
	case agentpb.Outcome_CRASHED:
		return measure.Crashed, reply.Error
	case agentpb.Outcome_OUT_OF_MEMORY:
		return measure.OutOfMemory, reply.Error
	case agentpb.Outcome_TIMEOUT:
		return measure.Timeout, reply.Error
	case agentpb.Outcome_START_FAILED:
		return measure.StartFailed, reply.Error
	case agentpb.Outcome_TOO_LARGE:
		return measure.TooLarge, reply.Error
	case agentpb.Outcome_REFUSED:
		return measure.Refused, reply.Error
	case agentpb.Outcome_CANCELLED:
		return measure.Cancelled, reply.Error
	case agentpb.Outcome_PLATFORM:
		return measure.Platform, reply.Error
	default:
		return measure.Platform, fmt.Sprintf("reply with outcome %v: %s", reply.Outcome, reply.Error)
	}
}

func coldKind(k agentpb.ColdKind) string {
	switch k {
	case agentpb.ColdKind_COLD:
		return "cold"
	case agentpb.ColdKind_PREWARMED:
		return "prewarmed"
	case agentpb.ColdKind_WARM:
		return "warm"
	default:
		return ""
	}
}

// failure is the status of a call that ended without a reply.
func failure(err error) (callStatus, message string) {
	switch {
	case errors.Is(err, multiplex.ErrClosed): // by this end
		return measure.Cancelled, "the load was ended"
	case errors.Is(err, multiplex.ErrTooLarge):
		return measure.TooLarge, err.Error()
	}
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err)
	}
	switch s.Code() {
	case codes.DeadlineExceeded:
		return measure.Timeout, s.Message()
	case codes.Canceled:
		return measure.Cancelled, s.Message()
	case codes.ResourceExhausted:
		if strings.Contains(s.Message(), "larger than max") { // gRPC's own, of a message over the limit
			return measure.TooLarge, s.Message()
		}
		return measure.Refused, s.Message()
	case codes.NotFound, codes.InvalidArgument, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return measure.Refused, s.Message()
	default:
		return measure.Platform, s.Message()
	}
}

// bounded cuts a message to what a row may hold.
func bounded(message string) string {
	const limit = 512
	if len(message) <= limit {
		return message
	}
	return strings.ToValidUTF8(message[:limit], "")
}
