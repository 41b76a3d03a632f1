package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/internal/pieces"
	pb "github.com/ainur-faas/ainur/orchestrator/node/nodepb"
)

// Client is the Host behind a connection to its supervisor.
type Client struct {
	Name string // of the host, for errors
	conn grpc.ClientConnInterface
	rpc  pb.SupervisorClient

	patience time.Duration
}

// NewClient returns a client that does not own conn.
func NewClient(name string, conn grpc.ClientConnInterface) *Client {
	return &Client{Name: name, conn: conn, rpc: pb.NewSupervisorClient(conn), patience: Patience}
}

// Conn is what it was made with, for the other services of a supervisor.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// errorOf is an error of a call as the other end meant it.
func (c *Client) errorOf(what string, err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		err = &distant{s.Message(), kinds[s.Code()]}
		if s.Code() == codes.Unavailable {
			err = fmt.Errorf("%s: %w", s.Message(), ErrAway)
		}
	}
	return fmt.Errorf("%s on host %s: %w", what, c.Name, err)
}

// A distant error is one of the other end, in its words; it is kind, or nothing known if that is nil.
type distant struct {
	words string
	kind  error
}

func (d *distant) Error() string { return d.words }

func (d *distant) Unwrap() error { return d.kind }

// ErrAway reports that a host does not answer: it may later.
var ErrAway = errors.New("the host does not answer")

// Describe asks what runs there, and waits until the host answers.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	return c.describe(ctx, grpc.WaitForReady(true))
}

// Ask asks what runs there, if the host answers.
func (c *Client) Ask(ctx context.Context) (Description, error) { return c.describe(ctx) }

func (c *Client) describe(ctx context.Context, options ...grpc.CallOption) (Description, error) {
	reply, err := c.rpc.Describe(ctx, &pb.DescribeRequest{}, options...)
	if err != nil {
		return Description{}, c.errorOf("describe", err)
	}
	d := Description{
		Deployment: reply.GetDeployment(), ExecutableSHA256: reply.GetExecutableSha256(), ConfigSHA256: reply.GetConfigSha256(),
		PID: int(reply.GetPid()), BootID: reply.GetBootId(), Address: reply.GetAddress(), Time: time.Unix(0, reply.GetUnixNs()),
	}
	for _, r := range reply.GetRuns() {
		run := Run{ID: r.GetId()}
		for _, of := range r.GetDaemons() {
			s := Status{Name: of.GetName(), PID: int(of.GetPid()), Lines: int(of.GetLines())}
			if of.GetExit() != nil {
				e := exitFrom(of.GetExit())
				s.Exit = &e
			}
			run.Daemons = append(run.Daemons, s)
		}
		d.Runs = append(d.Runs, run)
	}
	return d, nil
}

// clockSamples is how often Clock asks.
const clockSamples = 16

// Clock is Host.Clock. Somewhere in the shortest round trip the reply was written.
func (c *Client) Clock(ctx context.Context) (k Clock, err error) {
	for i := range clockSamples {
		asked := time.Now()
		reply, err := c.rpc.Describe(ctx, &pb.DescribeRequest{})
		if err != nil {
			return Clock{}, c.errorOf("read the clock", err)
		}
		took := time.Since(asked)
		if i == 0 || took/2 < k.Within {
			then := asked.Add(took / 2)
			k = Clock{time.Unix(0, reply.GetUnixNs()).Sub(then), time.Duration(reply.GetMonotonicNs()) - mono.At(then), took / 2}
		}
	}
	return k, nil
}

// Facts is Host.Facts.
func (c *Client) Facts(ctx context.Context) (f spec.Facts, err error) {
	reply, err := c.rpc.Facts(ctx, &pb.FactsRequest{})
	if err == nil {
		err = json.Unmarshal(reply.GetFactsJson(), &f)
	}
	return f, c.errorOf("read facts", err)
}

// Start is Host.Start.
func (c *Client) Start(ctx context.Context, t Task) error {
	_, err := c.rpc.Start(ctx, &pb.StartRequest{Run: t.Run, Name: t.Name, Args: t.Args, Env: t.Env, Files: t.Files, LeaseNs: int64(t.Lease), GraceNs: int64(t.Grace)})
	return c.errorOf("start "+t.Name, err)
}

// Patience is how long a host may be away before a daemon there counts as lost.
const Patience = 30 * time.Second

// Follow is Host.Follow. It goes on where it was when the host was away for less than Patience.
func (c *Client) Follow(ctx context.Context, run, name string, from int, line func([]byte)) (Exit, error) {
	for away := time.Now(); ; {
		answered := false
		exit, err := c.follow(ctx, run, name, from, func() { answered = true }, func(text []byte) {
			from++
			line(text)
		})
		if err == nil {
			return exit, nil
		}
		if answered {
			away = time.Now()
		}
		err = c.errorOf("follow "+name, err)
		if ctx.Err() != nil {
			return Exit{}, context.Cause(ctx)
		}
		if !errors.Is(err, ErrAway) || time.Since(away) > c.patience {
			return Exit{}, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return Exit{}, context.Cause(ctx)
		}
	}
}

// follow calls answered when the host has answered, which a daemon need not for long.
func (c *Client) follow(ctx context.Context, run, name string, from int, answered func(), line func([]byte)) (Exit, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of a stream that is not ended
	stream, err := c.rpc.Follow(ctx, &pb.FollowRequest{Run: run, Name: name, From: int64(from)})
	if err != nil {
		return Exit{}, err
	}
	if head, err := stream.Header(); err == nil && head != nil { // nil: the stream has ended without
		answered()
	}
	for {
		reply, err := stream.Recv()
		switch {
		case err != nil:
			return Exit{}, err
		case reply.GetExit() != nil:
			return exitFrom(reply.GetExit()), nil
		}
		line(reply.GetLine())
	}
}

// Stop is Host.Stop.
func (c *Client) Stop(ctx context.Context, run, name string) (Exit, error) {
	reply, err := c.rpc.Stop(ctx, &pb.StopRequest{Run: run, Name: name})
	return exitFrom(reply.GetExit()), c.errorOf("stop "+name, err)
}

// Put is Host.Put.
func (c *Client) Put(ctx context.Context, run, path string, content io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of a stream that is not ended
	stream, err := c.rpc.Put(ctx)
	if err != nil {
		return c.errorOf("put "+path, err)
	}
	if err := stream.Send(&pb.PutRequest{Run: run, Path: path}); err != nil && !errors.Is(err, io.EOF) {
		return c.errorOf("put "+path, err)
	}
	err = pieces.Copy(func(b []byte) error { return stream.Send(&pb.PutRequest{Content: b}) }, content)
	if err != nil && !errors.Is(err, io.EOF) { // EOF is explained by CloseAndRecv
		return c.errorOf("put "+path, err)
	}
	_, err = stream.CloseAndRecv()
	return c.errorOf("put "+path, err)
}

// Files is Host.Files.
func (c *Client) Files(ctx context.Context, run, path string) ([]File, error) {
	reply, err := c.rpc.List(ctx, &pb.ListRequest{Run: run, Path: path})
	var all []File
	for _, f := range reply.GetFiles() {
		one := File{Path: f.GetPath(), Size: f.GetSize(), SHA256: f.GetSha256()}
		if !one.below(path) {
			return nil, fmt.Errorf("list files: the host has %q of %d bytes, which is nothing below %q", one.Path, one.Size, path)
		}
		all = append(all, one)
	}
	return all, c.errorOf("list files", err)
}

// below reports whether a file can be that of a run's folder at path or below it: whoever
// fetches it makes a path of its own of the name.
func (f File) below(path string) bool {
	return f.Size >= 0 && filepath.IsLocal(f.Path) && filepath.Clean(f.Path) == f.Path &&
		(path == "" || f.Path == path || strings.HasPrefix(f.Path, strings.TrimSuffix(path, "/")+"/"))
}

// Get is Host.Get.
func (c *Client) Get(ctx context.Context, run, path string, offset int64, to io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of a stream that is not ended
	stream, err := c.rpc.Get(ctx, &pb.GetRequest{Run: run, Path: path, Offset: offset})
	if err != nil {
		return c.errorOf("get "+path, err)
	}
	for {
		reply, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.errorOf("get "+path, err)
		}
		if _, err := to.Write(reply.GetContent()); err != nil {
			return err
		}
	}
}

// Forget is Host.Forget.
func (c *Client) Forget(ctx context.Context, run string) ([]string, error) {
	reply, err := c.rpc.Forget(ctx, &pb.ForgetRequest{Run: run})
	return reply.GetRemoved(), c.errorOf("forget run "+run, err)
}

func exitFrom(e *pb.Exit) Exit {
	return Exit{Status: int(e.GetStatus()), Signal: e.GetSignal(), LastWords: e.GetLastWords(), Forced: e.GetForced(), Lost: e.GetLost()}
}
