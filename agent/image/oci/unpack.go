package oci

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// What is unpacked of one image is bounded: one that is made to fill a host is refused.
const (
	MaxUnpacked = 32 << 30  // bytes, of its files and of the archives they are in
	MaxFiles    = 1_000_000 // in all layers
	MaxLayers   = 127       // as in Docker
	MaxDepth    = 255       // folders above a file
)

// budget is what an image may still have.
type budget struct {
	bytes int64
	files int
}

func newBudget() *budget { return &budget{MaxUnpacked, MaxFiles} }

// take counts a file of a layer. The size of one with holes is that of what it says.
func (b *budget) take(h *tar.Header) error {
	b.files--
	b.bytes -= max(0, h.Size)
	switch {
	case b.files < 0:
		return fmt.Errorf("the image has over %d files", MaxFiles)
	case b.bytes < 0:
		return fmt.Errorf("the image has over %d GiB in its files", int64(MaxUnpacked)>>30)
	case strings.Count(h.Name, "/") > MaxDepth:
		return fmt.Errorf("the image has a file below over %d folders, in %.40q", MaxDepth, h.Name)
	}
	return nil
}

// admit is take for what is unpacked. Devices are left out: no sandbox has those of an
// image, and they would be ones of this host.
func (b *budget) admit(h *tar.Header) (bool, error) {
	return h.Typeflag != tar.TypeBlock && h.Typeflag != tar.TypeChar, b.take(h)
}

// Root is an image unpacked on this host.
type Root struct {
	Layers []string // folders of the layers for overlay, the lowest first
	Config v1.Config
}

// Unpack returns the root of an image, of which each layer is unpacked once,
// whatever images have it. It takes root: owners are those of the image, and what
// a layer removes is marked as overlay wants it. Nobody but root sees the layers, in which
// files may say to be executed as root.
func (s *Store) Unpack(ctx context.Context, digest string) (root Root, err error) {
	if _, err := s.hold(); err != nil { // for good: sandboxes are on it
		return Root{}, err
	}
	image, err := s.Image(digest)
	if err != nil {
		return Root{}, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return Root{}, err
	}
	layers, err := image.Layers()
	if err != nil {
		return Root{}, err
	}
	ids := config.RootFS.DiffIDs
	switch err := fits(image, Here); {
	case err != nil:
		return Root{}, fmt.Errorf("image %s: %w", digest, err)
	case len(ids) != len(layers):
		return Root{}, fmt.Errorf("image %s has %d layers, and %d in its configuration", digest, len(layers), len(ids))
	case len(layers) > MaxLayers:
		return Root{}, fmt.Errorf("image %s has %d layers, over %d", digest, len(layers), MaxLayers)
	}
	root.Config = config.Config
	left := newBudget()
	for n, layer := range layers {
		dir, err := s.unpackLayer(ctx, layer, ids[n], left)
		if err != nil && ctx.Err() == nil {
			err = errors.Join(err, s.dropBroken(layer))
		}
		if err != nil {
			return Root{}, fmt.Errorf("image %s, layer %d: %w", digest, n+1, err)
		}
		root.Layers = slices.DeleteFunc(root.Layers, func(l string) bool { return l == dir }) // the highest of equal ones hides others, and overlay takes each once
		root.Layers = append(root.Layers, dir)
	}
	return root, nil
}

// dropBroken removes the blob of a layer that could not be unpacked, if it is not what its name says.
func (s *Store) dropBroken(layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	f, err := s.Open(digest.String())
	if err != nil {
		return err
	}
	defer f.Close()
	if got, _, err := v1.SHA256(f); err != nil || got == digest {
		return err
	}
	return errors.Join(fmt.Errorf("blob %s is broken and was removed: pull the image again", digest), s.drop(digest.String()))
}

// unpackLayer returns the folder of the layer with this digest, made if missing.
func (s *Store) unpackLayer(ctx context.Context, layer v1.Layer, id v1.Hash, left *budget) (string, error) {
	all := filepath.Join(s.dir, "layers")
	dir := filepath.Join(all, id.Hex)
	if err := errors.Join(os.MkdirAll(all, 0o700), os.Chmod(all, 0o700)); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	tmp, err := os.MkdirTemp(all, atomicfile.Prefix)
	if err != nil {
		return "", err
	}
	err = errors.Join(os.Chmod(tmp, 0o755), extract(ctx, layer, id, tmp, left))
	if err == nil {
		err = os.Rename(tmp, dir)
		if errors.Is(err, fs.ErrExist) { // another was faster, with the same content
			return dir, os.RemoveAll(tmp)
		}
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(tmp))
	}
	return dir, nil
}

// extract writes the files of a layer to dir, out of which no name in it leads.
func extract(ctx context.Context, layer v1.Layer, id v1.Hash, dir string, left *budget) error {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	sum := sha256.New()
	whole := io.TeeReader(&bounded{r: content, left: MaxUnpacked}, sum)
	if _, err := archive.Apply(ctx, dir, whole, archive.WithFilter(left.admit), archive.WithConvertWhiteout(archive.OverlayConvertWhiteout)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil { // what follows the end of the archive
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != id.Hex {
		return fmt.Errorf("%w when unpacked: sha256:%s, not %s", ErrDigest, got, id)
	}
	return nil
}

// bounded is an error once more than left bytes were read.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("it has over %d GiB when unpacked", int64(MaxUnpacked)>>30)
	}
	return n, err
}
