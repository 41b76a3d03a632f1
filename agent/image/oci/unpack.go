package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// Root is an image unpacked on this host.
type Root struct {
	Layers []string // folders of the layers for overlay, the lowest first
	Config v1.Config
}

// Program is the path of a program in the image, as its PATH finds it, or "".
func (r Root) Program(name string) string {
	for dir := range strings.SplitSeq(Path, ":") {
		for _, layer := range r.Layers {
			if _, err := os.Lstat(filepath.Join(layer, dir, name)); err == nil {
				return filepath.Join(dir, name)
			}
		}
	}
	return ""
}

// Unpack returns the root of an image, of which each layer is unpacked once,
// whatever images have it. It takes root: owners and devices are those of the
// image, and what a layer removes is marked as overlay wants it.
func (s *Store) Unpack(ctx context.Context, digest string) (Root, error) {
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
	root := Root{Config: config.Config}
	for n, layer := range layers {
		dir, err := s.unpackLayer(ctx, layer)
		if err != nil {
			return Root{}, fmt.Errorf("image %s, layer %d: %w", digest, n+1, err)
		}
		root.Layers = append(root.Layers, dir)
	}
	return root, nil
}

// unpackLayer returns the folder of a layer, made if missing.
func (s *Store) unpackLayer(ctx context.Context, layer v1.Layer) (string, error) {
	id, err := layer.DiffID()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.dir, "layers", id.Hex)
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), atomicfile.Prefix)
	if err != nil {
		return "", err
	}
	err = errors.Join(os.Chmod(tmp, 0o755), extract(ctx, layer, tmp))
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
func extract(ctx context.Context, layer v1.Layer, dir string) error {
	want, err := layer.DiffID()
	if err != nil {
		return err
	}
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	sum := sha256.New()
	whole := io.TeeReader(&bounded{r: content, left: MaxBlob}, sum)
	if _, err := archive.Apply(ctx, dir, whole, archive.WithConvertWhiteout(archive.OverlayConvertWhiteout)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil { // what follows the end of the archive
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.Hex {
		return fmt.Errorf("%w when unpacked: sha256:%s, not %s", ErrDigest, got, want)
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
		return 0, fmt.Errorf("it has over %d GiB when unpacked", int64(MaxBlob)>>30)
	}
	return n, err
}
