package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// ErrInUse is that nothing is removed from disk because images are added, or sandboxes may
// run on them, here or in another process.
var ErrInUse = errors.New("images are in use")

// Remove removes an image, and the blobs and layers that no other image has. With
// ErrInUse it is no longer listed, and what it has on disk goes when an image is removed later.
func (s *Store) Remove(digest string) error {
	hex, err := parse(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, "images", hex)); err != nil {
		return err
	}
	return s.alone(s.prune)
}

func (s *Store) prune() error {
	images, err := s.List()
	if err != nil {
		return err
	}
	wanted := map[string]bool{} // by hex digits
	for _, digest := range images {
		blobs, layers, err := s.parts(digest)
		if unread := (*fs.PathError)(nil); errors.As(err, &unread) {
			return err
		}
		if err != nil {
			continue // its manifest or configuration is none or not there: it can be of no use
		}
		for _, b := range append(blobs, layers...) {
			wanted[strings.TrimPrefix(b, "sha256:")] = true
		}
	}
	var errs []error
	for _, folder := range []string{"blobs/sha256", "layers"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, folder))
		if !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			if !wanted[e.Name()] {
				errs = append(errs, os.RemoveAll(filepath.Join(s.dir, folder, e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// parts are the digests of the blobs of an image, and of its layers unpacked.
func (s *Store) parts(digest string) (blobs, layers []string, err error) {
	image, err := s.Image(digest)
	if err != nil {
		return nil, nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	for _, d := range config.RootFS.DiffIDs {
		layers = append(layers, d.String())
	}
	blobs, err = s.Blobs(digest)
	return blobs, layers, err
}

// Export writes an image to oci-dir:PATH, which must not be there or is an image
// layout, or to the new archive oci-tar:PATH, as docker load takes it.
func (s *Store) Export(digest, to string) error {
	image, err := s.Image(digest)
	if err != nil {
		return err
	}
	kind, path, _ := strings.Cut(to, ":")
	switch kind {
	case "oci-dir":
		p, err := layout.FromPath(path)
		if errors.Is(err, os.ErrNotExist) {
			p, err = layout.Write(path, empty.Index)
		}
		if err != nil {
			return err
		}
		hash, err := image.Digest()
		if err != nil {
			return err
		}
		of, err := platformOf(image)
		if err != nil {
			return err
		}
		return p.ReplaceImage(image, match.Digests(hash), layout.WithPlatform(of))
	case "oci-tar":
		tag, err := name.NewTag("ainur/" + digest[len("sha256:"):][:12])
		if err != nil {
			return err
		}
		return tarball.WriteToFile(path, tag, image)
	default:
		return fmt.Errorf("an image goes to oci-dir:PATH or oci-tar:PATH, not %q", to)
	}
}
