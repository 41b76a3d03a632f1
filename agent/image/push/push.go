// Package push moves images by their content from one store to another, with no
// registry: what is there already is not sent.
package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/internal/pieces"
)

// Images sends those blobs of the images with these digests that the other end does not have.
func Images(ctx context.Context, conn grpc.ClientConnInterface, store *oci.Store, digests []string) error {
	var blobs []string
	for _, digest := range digests {
		of, err := store.Blobs(digest)
		if err != nil {
			return fmt.Errorf("image %s: %w", digest, err)
		}
		blobs = append(blobs, of...)
	}
	if len(blobs) == 0 {
		return nil
	}
	slices.Sort(blobs)
	images := pb.NewImagesClient(conn)
	missing, err := images.MissingBlobs(ctx, &pb.MissingBlobsRequest{Digests: slices.Compact(blobs)})
	if err != nil {
		return err
	}
	for _, digest := range missing.GetDigests() {
		if err := blob(ctx, images, store, digest); err != nil {
			return fmt.Errorf("blob %s: %w", digest, err)
		}
	}
	return nil
}

func blob(ctx context.Context, images pb.ImagesClient, store *oci.Store, digest string) error {
	f, err := store.Open(digest)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of a stream that is not ended
	stream, err := images.PushBlob(ctx)
	if err != nil {
		return err
	}
	err = pieces.Copy(func(b []byte) error { return stream.Send(&pb.PushBlobRequest{Digest: digest, Content: b}) }, f)
	if err != nil && !errors.Is(err, io.EOF) { // EOF is explained by CloseAndRecv
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

// Server takes images into a store.
type Server struct {
	pb.UnimplementedImagesServer
	Store *oci.Store // nil keeps none
}

// MissingBlobs says which blobs of images are not here.
func (s *Server) MissingBlobs(_ context.Context, req *pb.MissingBlobsRequest) (*pb.MissingBlobsReply, error) {
	if s.Store == nil {
		return nil, errNoStore
	}
	return &pb.MissingBlobsReply{Digests: s.Store.Missing(req.GetDigests())}, nil
}

// PushBlob takes in a blob of an image.
func (s *Server) PushBlob(stream grpc.ClientStreamingServer[pb.PushBlobRequest, pb.PushBlobReply]) error {
	if s.Store == nil {
		return errNoStore
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	err = s.Store.Put(first.GetDigest(), &pieces.Reader{Next: first.GetContent(), Recv: func() ([]byte, error) {
		req, err := stream.Recv()
		return req.GetContent(), err
	}})
	switch {
	case errors.Is(err, oci.ErrDigest):
		return status.Error(codes.InvalidArgument, err.Error())
	case err != nil:
		return status.Error(codes.Internal, err.Error())
	}
	return stream.SendAndClose(&pb.PushBlobReply{})
}

var errNoStore = status.Error(codes.FailedPrecondition, "no images are kept here")
