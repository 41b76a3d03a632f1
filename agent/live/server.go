package live

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image/push"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

// maxCode bounds a RegisterRequest, in bytes.
const maxCode = 256 << 20

// Server serves an Agent by gRPC, and invocations by internal/multiplex on the same port.
type Server struct {
	pb.UnimplementedFunctionsServer
	pb.UnimplementedAgentServer
	agent  *Agent
	grpc   *grpc.Server
	calls  *multiplex.Server
	health *health.Server
	bootID string
}

// NewServer returns the server of a, healthy from the start, for those whom creds admit.
func NewServer(a *Agent, creds credentials.TransportCredentials) *Server {
	s := &Server{agent: a, health: health.NewServer(), bootID: mono.BootID()}
	s.calls = multiplex.NewServer(pb.HandleCalls(s.invoke))
	s.grpc = grpc.NewServer(grpc.Creds(s.calls.Credentials(creds)), grpc.MaxRecvMsgSize(maxCode), grpc.MaxSendMsgSize(sandbox.MaxPayload+1<<20))
	pb.RegisterFunctionsServer(s.grpc, s)
	pb.RegisterAgentServer(s.grpc, s)
	pb.RegisterImagesServer(s.grpc, &push.Server{Store: a.options.Store})
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	return s
}

// Serve serves who connects, until Stop.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Stop ends every connection, which cancels the invocations that came by it.
func (s *Server) Stop() {
	s.grpc.Stop()
	s.calls.Close()
}

// Register adds a function.
func (s *Server) Register(_ context.Context, req *pb.RegisterRequest) (*pb.RegisterReply, error) {
	var f spec.Function
	if err := json.Unmarshal(req.GetFunctionJson(), &f); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "function_json: %v", err)
	}
	if err := s.agent.Register(f, req.GetCode()); err != nil {
		return nil, statusOf(err)
	}
	return &pb.RegisterReply{}, nil
}

// Invoke runs one invocation.
func (s *Server) Invoke(ctx context.Context, req *pb.InvokeRequest) (*pb.InvokeReply, error) {
	return s.invoke(ctx, req), nil
}

func (s *Server) invoke(ctx context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
	return s.reply(req.GetTid(), s.agent.Invoke(ctx, Request{Function: req.GetFunction(), Args: req.GetArgsJson()}))
}

// InvokeStream runs the invocations that come on the stream at the same time.
func (s *Server) InvokeStream(stream grpc.BidiStreamingServer[pb.InvokeRequest, pb.InvokeReply]) error {
	return pb.ServeStream(stream, s.invoke)
}

// InvokeAsync starts an invocation.
func (s *Server) InvokeAsync(_ context.Context, req *pb.InvokeRequest) (*pb.InvokeAsyncReply, error) {
	cookie, err := s.agent.InvokeAsync(Request{Function: req.GetFunction(), Args: req.GetArgsJson()})
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.InvokeAsyncReply{Cookie: cookie}, nil
}

// Poll asks for the reply of an asynchronous invocation.
func (s *Server) Poll(_ context.Context, req *pb.PollRequest) (*pb.PollReply, error) {
	reply, done, known := s.agent.Poll(req.GetCookie())
	switch {
	case !known:
		return nil, status.Error(codes.NotFound, "no asynchronous invocation has this cookie; replies are kept for 10 minutes")
	case !done:
		return &pb.PollReply{}, nil
	default:
		return &pb.PollReply{Done: true, Reply: s.reply("", reply)}, nil
	}
}

// Prewarm makes sandboxes ahead.
func (s *Server) Prewarm(ctx context.Context, req *pb.PrewarmRequest) (*pb.PrewarmReply, error) {
	ready, err := s.agent.Prewarm(ctx, req.GetFunction(), int(req.GetCount()))
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.PrewarmReply{Ready: int32(ready)}, nil
}

// Estimate predicts an invocation that came now.
func (s *Server) Estimate(_ context.Context, req *pb.EstimateRequest) (*pb.EstimateReply, error) {
	wait, service, err := s.agent.Estimate(req.GetFunction())
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.EstimateReply{QueueNs: int64(wait), ExecNs: int64(service)}, nil
}

// List shows functions and sandboxes.
func (s *Server) List(context.Context, *pb.ListRequest) (*pb.ListReply, error) {
	functions, sandboxes := s.agent.List()
	reply := &pb.ListReply{}
	for _, f := range functions {
		j, err := json.Marshal(f.Function)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "function %s: %v", f.Function.Name, err)
		}
		reply.Functions = append(reply.Functions, &pb.FunctionInfo{Name: f.Function.Name, FunctionJson: j, Invocations: f.Invocations})
	}
	for _, b := range sandboxes {
		reply.Sandboxes = append(reply.Sandboxes, &pb.SandboxInfo{
			Id: uint64(b.ID), Function: b.Function, State: b.State, MemoryBytes: b.Memory, Worker: s.agent.options.Worker.Name,
		})
	}
	return reply, nil
}

// Status shows the worker.
func (s *Server) Status(context.Context, *pb.StatusRequest) (*pb.StatusReply, error) {
	o, st := s.agent.options, s.agent.Status()
	return &pb.StatusReply{
		Worker: o.Worker.Name, RunId: o.RunID, Version: o.Version, BootId: s.bootID, Pid: int64(os.Getpid()),
		MilliCpu: st.MilliCPU, MilliCpuUsed: st.MilliCPUUsed, MemoryBytes: st.Memory, MemoryUsedBytes: st.MemoryUsed,
		Queued: int32(st.Waiting + st.Pending), Running: int32(st.Running), Sandboxes: int32(st.Sandboxes),
		Draining: st.Draining, Limitations: o.Isolation.Limitations(),
	}, nil
}

// Drain refuses new invocations and waits for the rest.
func (s *Server) Drain(ctx context.Context, _ *pb.DrainRequest) (*pb.DrainReply, error) {
	s.health.Shutdown()
	if err := s.agent.Drain(ctx); err != nil {
		return nil, statusOf(err)
	}
	return &pb.DrainReply{}, nil
}

// Clean removes idle sandboxes.
func (s *Server) Clean(context.Context, *pb.CleanRequest) (*pb.CleanReply, error) {
	return &pb.CleanReply{Removed: int32(s.agent.Clean())}, nil
}

func (s *Server) reply(tid string, r Reply) *pb.InvokeReply {
	kind := pb.ColdKind_COLD_KIND_UNSPECIFIED
	if r.HadSandbox {
		kind = [...]pb.ColdKind{worker.Warm: pb.ColdKind_WARM, worker.Prewarmed: pb.ColdKind_PREWARMED, worker.Cold: pb.ColdKind_COLD}[r.Kind]
	}
	return &pb.InvokeReply{
		Tid: tid, Outcome: pb.Outcome(r.Outcome), Error: strings.ToValidUTF8(r.Error, "\uFFFD"), ResultJson: r.Result,
		Worker: s.agent.options.Worker.Name, ColdKind: kind, Device: r.Device,
		AcceptedMonotonicNs: int64(r.Accepted), BootId: s.bootID,
		QueuedNs: int64(r.Queued), DequeuedNs: int64(r.Dequeued), SandboxReadyNs: int64(r.SandboxReady),
		ExecStartNs: int64(r.ExecStart), ExecEndNs: int64(r.ExecEnd), RepliedNs: int64(r.Replied), MemoryBytes: r.Memory,
		UnknownFunction: r.UnknownFunction,
	}
}

// statusOf is the one place where an error of the Agent becomes a gRPC code.
func statusOf(err error) error {
	code := codes.Internal
	switch {
	case errors.Is(err, ErrUnknownFunction):
		code = codes.NotFound
	case errors.Is(err, ErrConflict):
		code = codes.AlreadyExists
	case errors.Is(err, ErrNeverFits):
		code = codes.FailedPrecondition
	case errors.Is(err, ErrBadCode):
		code = codes.InvalidArgument
	case errors.Is(err, ErrNoRoom):
		code = codes.ResourceExhausted
	case errors.Is(err, ErrClosed):
		code = codes.Unavailable
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	var e *sandbox.Error
	if errors.As(err, &e) && e.Kind == sandbox.StartFailed {
		code = codes.FailedPrecondition
	}
	return status.Error(code, err.Error())
}
