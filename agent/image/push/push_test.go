package push

import (
	"net"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/internal/pieces"
)

// An image of several pieces reaches another store, and once only.
func TestImages(t *testing.T) {
	from, to := oci.Open(t.TempDir()), oci.Open(t.TempDir())
	image, err := random.Image(3*pieces.Size+7, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := from.Add(image)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterImagesServer(server, &Server{Store: to})
	defer server.Stop()
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 {
		if err := Images(t.Context(), conn, from, []string{digest}); err != nil {
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
	stream, err := pb.NewImagesClient(conn).PushBlob(t.Context())
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
