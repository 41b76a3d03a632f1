package client

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/internal/multiplex"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// times lists the times of a call that place sets.
func times(c *measure.Call) []*int64 {
	return []*int64{&c.Accepted, &c.Queued, &c.Dequeued, &c.SandboxReady, &c.ExecStart, &c.ExecEnd, &c.Replied}
}

// sentCall is a call of which only the generator's times are known.
func sentCall(sent, received int64) *measure.Call {
	c := &measure.Call{Sent: sent, Received: received, Memory: measure.Missing}
	for _, at := range times(c) {
		*at = measure.Missing
	}
	return c
}

func TestPlace(t *testing.T) {
	ran := &agentpb.InvokeReply{
		Outcome: agentpb.Outcome_OK, BootId: "here", AcceptedMonotonicNs: 1_000_110,
		QueuedNs: 1, DequeuedNs: 2, SandboxReadyNs: 3, ExecStartNs: 4, ExecEndNs: 50, RepliedNs: 60,
	}
	for name, tt := range map[string]struct {
		change func(*agentpb.InvokeReply)
		want   string
	}{
		"same boot: exactly":        {func(*agentpb.InvokeReply) {}, "[110 111 112 113 114 160 170]"},
		"other boot: in the middle": {func(r *agentpb.InvokeReply) { r.BootId, r.AcceptedMonotonicNs = "there", 9e15 }, "[120 121 122 123 124 170 180]"},
		"unknown boot":              {func(r *agentpb.InvokeReply) { r.BootId = "" }, "[120 121 122 123 124 170 180]"},
		"never ran":                 {func(r *agentpb.InvokeReply) { r.SandboxReadyNs, r.ExecStartNs, r.ExecEndNs = -1, -1, -1 }, "[110 111 112 -1 -1 -1 170]"},
		"clock error is cut off":    {func(r *agentpb.InvokeReply) { r.AcceptedMonotonicNs = 1_000_155 }, "[155 156 157 158 159 200 200]"},
		"no agent saw it":           {func(r *agentpb.InvokeReply) { r.AcceptedMonotonicNs, r.BootId = 0, "" }, "[-1 -1 -1 -1 -1 -1 -1]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := proto.Clone(ran).(*agentpb.InvokeReply)
			tt.change(r)
			c := sentCall(100, 200)
			place(c, r, 1_000_000, "here")
			var got []int64
			for _, at := range times(c) {
				got = append(got, *at)
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

func TestPlaceNeverDecreases(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ns := rapid.Int64Range(-1e12, 1e12)
		sent := rapid.Int64Range(0, 1e12).Draw(rt, "sent")
		c := sentCall(sent, sent+rapid.Int64Range(0, 1e10).Draw(rt, "took"))
		r := &agentpb.InvokeReply{
			AcceptedMonotonicNs: ns.Draw(rt, "accepted"), BootId: rapid.SampledFrom([]string{"", "here", "there"}).Draw(rt, "boot"),
			QueuedNs: ns.Draw(rt, "queued"), DequeuedNs: ns.Draw(rt, "dequeued"), SandboxReadyNs: ns.Draw(rt, "ready"),
			ExecStartNs: ns.Draw(rt, "start"), ExecEndNs: ns.Draw(rt, "end"), RepliedNs: ns.Draw(rt, "replied"),
		}
		place(c, r, time.Duration(ns.Draw(rt, "zero")), "here")
		last := c.Sent
		for i, at := range times(c) {
			if *at == measure.Missing {
				continue
			}
			if *at < last || *at > c.Received {
				rt.Fatalf("time %d is %d after %d, received at %d", i, *at, last, c.Received)
			}
			last = *at
		}
	})
}

func TestOutcomes(t *testing.T) {
	seen := map[string]bool{measure.Dropped: true} // never comes in a reply
	for number := range agentpb.Outcome_name {
		s, _ := outcome(&agentpb.InvokeReply{Outcome: agentpb.Outcome(number)})
		seen[s] = true
	}
	for _, s := range measure.Statuses {
		if !seen[s] {
			t.Errorf("no outcome becomes %s", s)
		}
	}
	if s, message := outcome(&agentpb.InvokeReply{Outcome: 99, Error: "new"}); s != measure.Platform || message != "reply with outcome 99: new" {
		t.Errorf("an unknown outcome is %s: %s", s, message)
	}
}

func TestFailure(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.Unavailable, "connection refused"), "platform: connection refused"},
		{status.Error(codes.Internal, "x"), "platform: x"},
		{status.Error(codes.DeadlineExceeded, "x"), "timeout: x"},
		{errNoReply, "timeout: no reply within the deadline"},
		{status.Error(codes.Canceled, "x"), "cancelled: x"},
		{context.Canceled, "cancelled: context canceled"},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 4)"), "too_large: grpc: received message larger than max (9 vs. 4)"},
		{status.Error(codes.ResourceExhausted, "queue full"), "refused: queue full"},
		{status.Error(codes.NotFound, "no function f"), "refused: no function f"},
		{multiplex.ErrClosed, "cancelled: the load was ended"},
		{multiplex.ErrTooLarge, "too_large: a payload is over 64 MiB"},
	} {
		if s, message := failure(tt.err); s+": "+message != tt.want {
			t.Errorf("%v is %s: %s, want %s", tt.err, s, message, tt.want)
		}
	}
}

func TestBounded(t *testing.T) {
	if got := bounded(strings.Repeat("a", 511) + "ü"); got != strings.Repeat("a", 511) {
		t.Errorf("half a character is left: %q", got[500:])
	}
}
