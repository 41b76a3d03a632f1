// Package agentpb is the wire types of ainur, generated from agent.proto, and
// what every server of them does the same way.
package agentpb

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
)

// ServeStream answers the invocations of an InvokeStream, all at the same
// time, each with the deadline that it carries. It returns when the stream has ended and
// every invocation has; a stream that breaks cancels them.
func ServeStream(stream grpc.BidiStreamingServer[InvokeRequest, InvokeReply], invoke func(context.Context, *InvokeRequest) *InvokeReply) error {
	var (
		calls sync.WaitGroup
		mu    sync.Mutex // of Send
	)
	defer calls.Wait()
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel() // before the Wait
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			calls.Wait()
			return nil
		}
		if err != nil {
			return err
		}
		calls.Go(func() {
			ctx, end := contextOf(ctx, req)
			defer end()
			reply := invoke(ctx, req)
			mu.Lock()
			defer mu.Unlock()
			_ = stream.Send(reply) // a broken stream is seen by Recv
		})
	}
}
