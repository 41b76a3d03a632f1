package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// unusedFor is how long a blob or layer must have been there before Remove takes it
// for one that no image wants: another process may be adding the image.
const unusedFor = time.Minute

// Remove removes an image, and the blobs and layers that no other image has.
func (s *Store) Remove(digest string) error {
	hex, err := parse(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, "images", hex)); err != nil {
		return err
	}
	return s.prune()
}

func (s *Store) prune() error {
	images, err := s.List()
	if err != nil {
		return err
	}
	wanted := map[string]bool{} // by hex digits
	for _, digest := range images {
		image, err := s.Image(digest)
		if err != nil {
			return err
		}
		blobs, err := s.Blobs(digest)
		if err != nil {
			return err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		for _, b := range blobs {
			wanted[strings.TrimPrefix(b, "sha256:")] = true
		}
		for _, d := range config.RootFS.DiffIDs {
			wanted[d.Hex] = true
		}
	}
	var errs []error
	for _, folder := range []string{"blobs/sha256", "layers"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, folder))
		if !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || wanted[e.Name()] || time.Since(info.ModTime()) < unusedFor && folder != "layers" {
				continue // gone, wanted, or new
			}
			errs = append(errs, os.RemoveAll(filepath.Join(s.dir, folder, e.Name())))
		}
	}
	return errors.Join(errs...)
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
		return p.ReplaceImage(image, match.Digests(hash), layout.WithPlatform(platform))
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
