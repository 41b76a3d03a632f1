package orchestrator

import (
	"log/slog"
	"net"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image/oci"
	driver "github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// An image of several pieces reaches a worker's store, and once only.
func TestPush(t *testing.T) {
	from, to := oci.Open(t.TempDir()), oci.Open(t.TempDir())
	image, err := random.Image(3*pieceSize+7, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := from.Add(image)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := from.Blobs(digest)
	if err != nil {
		t.Fatal(err)
	}
	agent, err := driver.New(driver.Options{
		Worker: spec.Worker{Name: "w", MilliCPU: 1000, Memory: spec.GiB, Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "ttl"}},
		RunID:  "run", Isolation: fake.New(fake.Script{}), Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Store: to,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := driver.NewServer(agent).GRPC()
	defer server.Stop()
	go func() { _ = server.Serve(listener) }()
	address := listener.Addr().String()
	for range 2 {
		if err := push(t.Context(), from, address, blobs); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Adopt(digest); err != nil {
		t.Fatal(err)
	}
	got, err := to.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
	conn, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := pb.NewAgentClient(conn).PushBlob(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const other = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	if err := stream.Send(&pb.PushBlobRequest{Digest: other, Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.InvalidArgument || to.Has(other) {
		t.Errorf("content with another digest: %v", err)
	}
}
