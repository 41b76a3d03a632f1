package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/internal/pieces"
	pb "github.com/ainur-faas/ainur/orchestrator/node/nodepb"
)

// MaxTask bounds a Task with its files, and a file that says how a run stands, in bytes.
const MaxTask = 64 << 20

// Server serves a Supervisor by gRPC.
type Server struct {
	pb.UnimplementedSupervisorServer
	Supervisor  *Supervisor
	Description Description // without what changes: time and runs
}

// Describe says what runs here.
func (s *Server) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeReply, error) {
	runs, err := s.Supervisor.Runs()
	if err != nil {
		return nil, statusOf(err)
	}
	d := s.Description
	reply := &pb.DescribeReply{
		Deployment: d.Deployment, ExecutableSha256: d.ExecutableSHA256, ConfigSha256: d.ConfigSHA256, Pid: int64(os.Getpid()),
		BootId: mono.BootID(), Address: d.Address, UnixNs: time.Now().UnixNano(), MonotonicNs: int64(mono.Now()),
	}
	for _, run := range runs {
		r := &pb.Run{Id: run.ID}
		for _, daemon := range run.Daemons {
			of := &pb.Daemon{Name: daemon.Name, Pid: int64(daemon.PID), Lines: int64(daemon.Lines)}
			if daemon.Exit != nil {
				of.Exit = exitOf(*daemon.Exit)
			}
			r.Daemons = append(r.Daemons, of)
		}
		reply.Runs = append(reply.Runs, r)
	}
	return reply, nil
}

// Facts says what this host is.
func (s *Server) Facts(ctx context.Context, _ *pb.FactsRequest) (*pb.FactsReply, error) {
	facts, err := s.Supervisor.Facts(ctx)
	if err != nil {
		return nil, statusOf(err)
	}
	text, err := json.Marshal(facts)
	return &pb.FactsReply{FactsJson: text}, statusOf(err)
}

// Start starts a daemon.
func (s *Server) Start(ctx context.Context, req *pb.StartRequest) (*pb.StartReply, error) {
	return &pb.StartReply{}, statusOf(s.Supervisor.Start(ctx, Task{
		Run: req.GetRun(), Name: req.GetName(), Args: req.GetArgs(), Env: req.GetEnv(), Files: req.GetFiles(), Lease: time.Duration(req.GetLeaseNs()), Grace: time.Duration(req.GetGraceNs()),
	}))
}

// Follow sends what a daemon prints.
func (s *Server) Follow(req *pb.FollowRequest, stream grpc.ServerStreamingServer[pb.FollowReply]) error {
	if err := stream.SendHeader(nil); err != nil { // whoever follows knows that somebody is here
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	exit, err := s.Supervisor.Follow(ctx, req.GetRun(), req.GetName(), int(req.GetFrom()), func(line []byte) {
		if err := stream.Send(&pb.FollowReply{Line: line}); err != nil {
			cancel(err)
		}
	})
	if err != nil {
		return statusOf(err)
	}
	return stream.Send(&pb.FollowReply{Exit: exitOf(exit)})
}

// Stop ends a daemon.
func (s *Server) Stop(ctx context.Context, req *pb.StopRequest) (*pb.StopReply, error) {
	exit, err := s.Supervisor.Stop(ctx, req.GetRun(), req.GetName())
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.StopReply{Exit: exitOf(exit)}, nil
}

// Put writes a file.
func (s *Server) Put(stream grpc.ClientStreamingServer[pb.PutRequest, pb.PutReply]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	content := &pieces.Reader{Next: first.GetContent(), Recv: func() ([]byte, error) {
		req, err := stream.Recv()
		return req.GetContent(), err
	}}
	if err := s.Supervisor.Put(stream.Context(), first.GetRun(), first.GetPath(), content); err != nil {
		return statusOf(err)
	}
	return stream.SendAndClose(&pb.PutReply{})
}

// List lists files.
func (s *Server) List(ctx context.Context, req *pb.ListRequest) (*pb.ListReply, error) {
	files, err := s.Supervisor.Files(ctx, req.GetRun(), req.GetPath())
	if err != nil {
		return nil, statusOf(err)
	}
	reply := &pb.ListReply{}
	for _, f := range files {
		reply.Files = append(reply.Files, &pb.File{Path: f.Path, Size: f.Size, Sha256: f.SHA256})
	}
	return reply, nil
}

// Get sends a file.
func (s *Server) Get(req *pb.GetRequest, stream grpc.ServerStreamingServer[pb.GetReply]) error {
	return statusOf(s.Supervisor.Get(stream.Context(), req.GetRun(), req.GetPath(), req.GetOffset(), pieces.Writer(func(b []byte) error {
		return stream.Send(&pb.GetReply{Content: b})
	})))
}

// Forget removes a run.
func (s *Server) Forget(ctx context.Context, req *pb.ForgetRequest) (*pb.ForgetReply, error) {
	removed, err := s.Supervisor.Forget(ctx, req.GetRun())
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.ForgetReply{Removed: removed}, nil
}

func exitOf(e Exit) *pb.Exit {
	return &pb.Exit{Status: int32(e.Status), Signal: e.Signal, LastWords: string(bytes.ToValidUTF8([]byte(e.LastWords), []byte("\uFFFD"))), Forced: e.Forced, Lost: e.Lost}
}

// kinds are the errors that a caller may tell apart, by the code they travel as.
var kinds = map[codes.Code]error{
	codes.NotFound: ErrNotFound, codes.AlreadyExists: ErrExists,
	codes.DeadlineExceeded: context.DeadlineExceeded, codes.Canceled: context.Canceled,
}

// statusOf is the one place where an error becomes a gRPC code.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	for code, kind := range kinds {
		if errors.Is(err, kind) {
			return status.Error(code, err.Error())
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return status.Error(codes.NotFound, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}
