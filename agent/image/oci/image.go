package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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

// maxRead bounds manifests and configurations, in bytes, as registries do.
const maxRead = 4 << 20

// read is a blob as a whole: a manifest or a configuration. It is ErrDigest when it is not
// what its name says.
func (s *Store) read(digest string) ([]byte, error) {
	f, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxRead {
		return nil, fmt.Errorf("blob %s is no manifest or configuration: it has over %d MiB", digest, maxRead>>20)
	}
	if sum := sha256.Sum256(b); "sha256:"+hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("blob %s: %w", digest, ErrDigest)
	}
	return b, nil
}

// Check returns why an image cannot be used: what is not there, or not as long as it must be,
// or a manifest or configuration with another digest. Layers are not read.
func (s *Store) Check(digest string) error {
	image, err := s.Image(digest)
	if err != nil {
		return err
	}
	m, err := image.Manifest()
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		errs = append(errs, s.checkSize(d.Digest.String(), d.Size))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err = image.ConfigFile()
	return err
}

func (s *Store) checkSize(digest string, want int64) error {
	f, err := s.Open(digest)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() != want {
		err = fmt.Errorf("blob %s has %d bytes, not %d", digest, info.Size(), want)
	}
	return err
}

// drop removes a blob that is not what its name says, so that it is brought again.
func (s *Store) drop(digest string) error {
	hex, err := parse(digest)
	if err != nil {
		return err
	}
	return os.Remove(s.blob(hex))
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
