package agentpb

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ainur-faas/ainur/internal/multiplex"
)

// HandleCalls answers calls whose payloads are an InvokeRequest and an InvokeReply, all at the same
// time, each with the deadline that it carries. A call that is cancelled cancels its invocation.
func HandleCalls(invoke func(context.Context, *InvokeRequest) *InvokeReply) multiplex.Handler {
	return func(call *multiplex.Call, request []byte) {
		req := &InvokeRequest{}
		if err := proto.Unmarshal(request, req); err != nil {
			ReplyTo(call, &InvokeReply{Outcome: Outcome_REFUSED, Error: fmt.Sprintf("the request is no InvokeRequest: %v", err)})
			return
		}
		ctx, cancel := contextOf(context.Background(), req)
		call.OnCancel(cancel)
		go func() {
			defer cancel()
			ReplyTo(call, invoke(ctx, req))
		}()
	}
}

// ReplyTo ends a call. Whoever made it may have gone.
func ReplyTo(call *multiplex.Call, r *InvokeReply) {
	payload, err := proto.Marshal(r)
	if err != nil || len(payload) > multiplex.MaxPayload {
		payload, _ = proto.Marshal(&InvokeReply{Tid: r.GetTid(), Outcome: Outcome_PLATFORM, Error: "the reply cannot be sent", Worker: r.GetWorker(), MemoryBytes: -1})
	}
	_ = call.Reply(payload)
}

// contextOf has the deadline that an invocation carries.
func contextOf(ctx context.Context, req *InvokeRequest) (context.Context, context.CancelFunc) {
	if req.GetTimeoutNs() > 0 {
		return context.WithTimeout(ctx, time.Duration(req.GetTimeoutNs()))
	}
	return context.WithCancel(ctx)
}
