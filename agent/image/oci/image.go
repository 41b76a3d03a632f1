package oci

import (
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is the image with this manifest. Its layers are read when asked for.
func (s *Store) Image(digest string) (v1.Image, error) {
	raw, err := s.read(digest)
	if err != nil {
		return nil, err
	}
	stored := stored{store: s, raw: raw}
	if stored.manifest, err = partial.Manifest(stored); err != nil {
		return nil, fmt.Errorf("%s is no image: %w", digest, err)
	}
	return partial.CompressedToImage(stored)
}

// read is a blob as a whole: a manifest or a configuration.
func (s *Store) read(digest string) ([]byte, error) {
	f, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const most = 4 << 20 // what registries take
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("blob %s is no manifest or configuration: it has over %d MiB", digest, most>>20)
	}
	return b, err
}

// stored is an image in a store, for partial.CompressedToImage.
type stored struct {
	store    *Store
	raw      []byte
	manifest *v1.Manifest
}

func (i stored) RawManifest() ([]byte, error) { return i.raw, nil }

func (i stored) MediaType() (types.MediaType, error) {
	if i.manifest.MediaType == "" { // optional in OCI
		return types.OCIManifestSchema1, nil
	}
	return i.manifest.MediaType, nil
}

func (i stored) RawConfigFile() ([]byte, error) {
	return i.store.read(i.manifest.Config.Digest.String())
}

func (i stored) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, d := range i.manifest.Layers {
		if d.Digest == h {
			return layer{i.store, d}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

// layer is one in a store, for partial.CompressedToLayer.
type layer struct {
	store      *Store
	descriptor v1.Descriptor
}

func (l layer) Digest() (v1.Hash, error)            { return l.descriptor.Digest, nil }
func (l layer) Size() (int64, error)                { return l.descriptor.Size, nil }
func (l layer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }
func (l layer) Compressed() (io.ReadCloser, error)  { return l.open() }
func (l layer) open() (*os.File, error)             { return l.store.Open(l.descriptor.Digest.String()) }
