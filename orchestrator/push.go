package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image/oci"
)

// pieceSize is how much of a blob is sent in one message, in bytes.
const pieceSize = 1 << 20

// pushImages gives every worker those blobs of the functions' images that it does
// not have: there need be no registry, and what is there is not sent.
func (d *deployment) pushImages(ctx context.Context) error {
	var blobs []string
	for _, f := range d.point.Functions {
		if f.Digest == "" {
			continue
		}
		of, err := d.host.Store.Blobs(f.Digest)
		if err != nil {
			return fmt.Errorf("function %s: %w", f.Name, err)
		}
		blobs = append(blobs, of...)
	}
	if len(blobs) == 0 {
		return nil
	}
	slices.Sort(blobs)
	blobs = slices.Compact(blobs)
	for i, address := range d.addresses {
		if err := push(ctx, d.host.Store, address, blobs); err != nil {
			return fmt.Errorf("push images to %s: %w", d.agents[i].name, err)
		}
	}
	return nil
}

func push(ctx context.Context, store *oci.Store, address string, blobs []string) (err error) {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	agent := pb.NewAgentClient(conn)
	missing, err := agent.MissingBlobs(ctx, &pb.MissingBlobsRequest{Digests: blobs})
	if err != nil {
		return err
	}
	for _, digest := range missing.GetDigests() {
		if err := pushBlob(ctx, agent, store, digest); err != nil {
			return fmt.Errorf("blob %s: %w", digest, err)
		}
	}
	return nil
}

func pushBlob(ctx context.Context, agent pb.AgentClient, store *oci.Store, digest string) error {
	f, err := store.Open(digest)
	if err != nil {
		return err
	}
	defer f.Close()
	stream, err := agent.PushBlob(ctx)
	if err != nil {
		return err
	}
	for piece := make([]byte, pieceSize); ; {
		n, err := io.ReadFull(f, piece)
		if n > 0 {
			// It reads what it sends before it returns, and an error of it is what CloseAndRecv explains.
			if stream.Send(&pb.PushBlobRequest{Digest: digest, Content: piece[:n]}) != nil {
				break
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}
