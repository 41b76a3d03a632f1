package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pull puts the image that ref names into the store and returns the digest of
// its manifest. A ref is one of
//
//	sha256:HEX                  an image of the store
//	scratch                     an empty image
//	oci-dir:PATH[@sha256:HEX]   a folder with an OCI image layout
//	oci-tar:PATH                an archive of one, or one that docker save makes
//	rootfs:PATH                 a root filesystem, as a folder or a tar
//	deb:SUITE?include=A,B       packages of Debian, as mmdebstrap unpacks them
//	NAME[:TAG][@sha256:HEX]     of a registry
//
// Of an image for several kinds of machines it takes the one for this kind.
func (s *Store) Pull(ctx context.Context, ref string) (digest string, err error) {
	kind, rest, _ := strings.Cut(ref, ":")
	switch kind {
	case "sha256":
		_, err := s.Blobs(ref)
		return ref, err
	case "scratch":
		return s.add(onScratch(v1.Config{}))
	case "oci-dir":
		return s.add(fromLayout(rest))
	case "oci-tar":
		return s.fromArchive(ctx, rest)
	case "rootfs":
		return s.rootfs(ctx, rest)
	case "deb":
		suite, packages, ok := strings.Cut(rest, "?include=")
		if !ok || suite == "" || packages == "" || strings.ContainsAny(rest, " '\"\\$`;&|<>") {
			return "", fmt.Errorf("%q is no set of Debian packages: write deb:SUITE?include=PACKAGE,PACKAGE", ref)
		}
		return s.debian(ctx, suite, strings.Split(packages, ","))
	default:
		return s.registry(ctx, ref)
	}
}

func (s *Store) add(image v1.Image, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return s.Add(image)
}

// platform is this kind of machine.
var platform = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

func (s *Store) registry(ctx context.Context, ref string) (string, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", ref, err)
	}
	if d, ok := r.(name.Digest); ok {
		if _, err := s.Blobs(d.DigestStr()); err == nil { // pinned and here: no network
			return d.DigestStr(), nil
		}
	}
	image, err := remote.Image(r, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithPlatform(platform))
	if err != nil {
		return "", fmt.Errorf("image %s cannot be had from %s: %w: where there is no network, give oci-dir:PATH or oci-tar:PATH", ref, r.Context().RegistryStr(), err)
	}
	return s.Add(image)
}

// fromLayout reads one image of a folder with an OCI image layout.
func fromLayout(path string) (v1.Image, error) {
	path, digest, pinned := strings.Cut(path, "@")
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("%s has no OCI image layout: %w", path, err)
	}
	if pinned {
		hash, err := v1.NewHash(digest)
		if err != nil {
			return nil, err
		}
		return index.Image(hash)
	}
	return choose(index, path)
}

// choose is the image of an index for this kind of machine.
func choose(index v1.ImageIndex, path string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []v1.Descriptor
	matches := match.Platforms(platform)
	for _, d := range manifest.Manifests {
		if d.Platform == nil || matches(d) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%s has no image for %s", path, platform)
	case len(found) > 1:
		names := make([]string, len(found))
		for i, d := range found {
			names[i] = d.Digest.String()
		}
		return nil, fmt.Errorf("%s has several images: choose one by @%s", path, strings.Join(names, " or @"))
	case found[0].MediaType.IsIndex():
		inner, err := index.ImageIndex(found[0].Digest)
		if err != nil {
			return nil, err
		}
		return choose(inner, path)
	default:
		return index.Image(found[0].Digest)
	}
}

// fromArchive reads the image of an archive, in either format.
func (s *Store) fromArchive(ctx context.Context, path string) (string, error) {
	image, err := tarball.ImageFromPath(path, nil)
	if err == nil {
		return s.Add(image)
	}
	if _, statErr := os.Stat(path); statErr != nil {
		return "", statErr
	}
	dir, tmpErr := os.MkdirTemp("", "ainur-image-")
	if tmpErr != nil {
		return "", tmpErr
	}
	defer os.RemoveAll(dir)
	if untarErr := untar(ctx, path, dir); untarErr != nil {
		return "", fmt.Errorf("%s is no archive of an image: %w", path, untarErr)
	}
	if _, statErr := os.Stat(filepath.Join(dir, "index.json")); statErr != nil {
		return "", fmt.Errorf("%s is no archive of an image: %w", path, err)
	}
	return s.add(fromLayout(dir))
}

func untar(ctx context.Context, path, dir string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = archive.Apply(ctx, dir, &bounded{r: f, left: MaxBlob}, archive.WithNoSameOwner(),
		archive.WithFilter(func(h *tar.Header) (bool, error) { // a layout has nothing else
			return h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeDir, nil
		}))
	return err
}

// rootfs is an image whose one layer is a root filesystem.
func (s *Store) rootfs(ctx context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return s.add(onScratch(v1.Config{Env: []string{"PATH=" + Path}}, fileLayer(path)))
	}
	f, err := os.CreateTemp("", "ainur-rootfs-*.tar")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(archive.WriteDiff(ctx, f, "", path), f.Close()); err != nil {
		return "", err
	}
	return s.add(onScratch(v1.Config{Env: []string{"PATH=" + Path}}, fileLayer(f.Name())))
}

// fileLayer is the layer of a tar on disk, which is read when the layer is.
func fileLayer(path string) func() (v1.Layer, error) {
	return func() (v1.Layer, error) {
		return tarball.LayerFromFile(path, tarball.WithMediaType(types.OCILayer))
	}
}

// bytesLayer is the layer of a tar in memory.
func bytesLayer(b []byte) func() (v1.Layer, error) {
	return func() (v1.Layer, error) {
		return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(b))), nil }, tarball.WithMediaType(types.OCILayer))
	}
}

// onScratch is an image of these layers alone.
func onScratch(config v1.Config, layers ...func() (v1.Layer, error)) (v1.Image, error) {
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = platform.OS, platform.Architecture, config
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return nil, err
	}
	return with(image, layers...)
}

// New is an image of the tar layer alone.
func New(config v1.Config, layer []byte) (v1.Image, error) {
	return onScratch(config, bytesLayer(layer))
}

// Append is an image with the tar layer on top.
func Append(image v1.Image, layer []byte) (v1.Image, error) { return with(image, bytesLayer(layer)) }

// with is an image with layers on top.
func with(image v1.Image, layers ...func() (v1.Layer, error)) (v1.Image, error) {
	for _, open := range layers {
		layer, err := open()
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, err
		}
	}
	return image, nil
}
