package oci

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
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
// Of an image for several kinds of machines it takes the one for this kind, and refuses those
// for others; but not one that is named by sha256:HEX alone.
func (s *Store) Pull(ctx context.Context, ref string) (digest string, err error) {
	return s.PullFor(ctx, ref, Here)
}

// PullFor is Pull for another kind of machine.
func (s *Store) PullFor(ctx context.Context, ref string, p v1.Platform) (digest string, err error) {
	kind, rest, _ := strings.Cut(ref, ":")
	switch kind {
	case "sha256":
		return ref, s.Check(ref)
	case "scratch":
		return s.add(p)(onScratch(p, v1.Config{}))
	case "oci-dir":
		return s.add(p)(fromLayout(rest, p))
	case "oci-tar":
		return s.fromArchive(ctx, rest, p)
	case "rootfs":
		return s.rootfs(ctx, rest, p)
	case "deb":
		if p.String() != Here.String() {
			return "", fmt.Errorf("packages of Debian are unpacked on a host of their own kind: %s is made for %s here, not for %s", ref, Here, p)
		}
		suite, packages, ok := strings.Cut(rest, "?include=")
		names := strings.Split(packages, ",")
		if !ok || !debianSuite.MatchString(suite) || slices.ContainsFunc(names, func(p string) bool { return !debianPackage.MatchString(p) }) {
			return "", fmt.Errorf("%q is no set of Debian packages: write deb:SUITE?include=PACKAGE,PACKAGE, such as deb:bookworm?include=python3-minimal,libpython3-stdlib", ref)
		}
		return s.debian(ctx, suite, names)
	default:
		return s.registry(ctx, ref, p)
	}
}

// What a suite and a package of Debian may be called (Debian Policy 5.6.7), and nothing that
// mmdebstrap or apt reads otherwise.
var (
	debianSuite   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	debianPackage = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
)

// add is Add of an image, or the error of having none, that runs on a kind of machine.
func (s *Store) add(p v1.Platform) func(v1.Image, error) (string, error) {
	return func(image v1.Image, err error) (string, error) {
		if err == nil {
			err = fits(image, p)
		}
		if err != nil {
			return "", err
		}
		return s.Add(image)
	}
}

// Here is this kind of machine.
var Here = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

// platformOf is the kind of machine that an image is for. What it does not say is this one's.
func platformOf(image v1.Image) (v1.Platform, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return v1.Platform{}, err
	}
	return v1.Platform{OS: cmp.Or(config.OS, Here.OS), Architecture: cmp.Or(config.Architecture, Here.Architecture)}, nil
}

// fits returns an error for an image of another kind of machine.
func fits(image v1.Image, p v1.Platform) error {
	of, err := platformOf(image)
	if err == nil && (of.OS != p.OS || of.Architecture != p.Architecture) {
		wanted := p.String() + " is asked for"
		if p.String() == Here.String() {
			wanted = "this host is " + p.String()
		}
		err = fmt.Errorf("the image is for %s, and %s", of, wanted)
	}
	return err
}

func (s *Store) fits(digest string, p v1.Platform) error {
	image, err := s.Image(digest)
	if err != nil {
		return err
	}
	return fits(image, p)
}

func (s *Store) registry(ctx context.Context, ref string, p v1.Platform) (string, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", ref, err)
	}
	if d, ok := r.(name.Digest); ok {
		if s.Check(d.DigestStr()) == nil { // pinned and here: no network
			return d.DigestStr(), s.fits(d.DigestStr(), p)
		}
	}
	image, err := remote.Image(r, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithPlatform(p))
	if err != nil {
		return "", fmt.Errorf("image %s cannot be had from %s: %w: where there is no network, give oci-dir:PATH or oci-tar:PATH", ref, r.Context().RegistryStr(), err)
	}
	return s.add(p)(image, nil)
}

// fromLayout reads one image of a folder with an OCI image layout.
func fromLayout(path string, p v1.Platform) (v1.Image, error) {
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
	return choose(index, path, p)
}

// choose is the image of an index for a kind of machine.
func choose(index v1.ImageIndex, path string, p v1.Platform) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []v1.Descriptor
	var others []string
	matches := match.Platforms(p)
	for _, d := range manifest.Manifests {
		if d.Platform == nil || matches(d) {
			found = append(found, d)
		} else {
			others = append(others, d.Platform.String())
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%s has no image for %s; it has %d for others: %s", path, p, len(others), strings.Join(others, ", "))
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
		return choose(inner, path, p)
	default:
		return index.Image(found[0].Digest)
	}
}

// fromArchive reads the image of an archive, in either format.
func (s *Store) fromArchive(ctx context.Context, path string, p v1.Platform) (string, error) {
	image, err := tarball.ImageFromPath(path, nil)
	if err == nil {
		return s.add(p)(image, nil)
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
	return s.add(p)(fromLayout(dir, p))
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
func (s *Store) rootfs(ctx context.Context, path string, p v1.Platform) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return s.add(p)(onScratch(p, v1.Config{Env: []string{"PATH=" + Path}}, fileLayer(path)))
	}
	f, err := os.CreateTemp("", "ainur-rootfs-*.tar")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(archive.WriteDiff(ctx, f, "", path), f.Close()); err != nil {
		return "", err
	}
	return s.add(p)(onScratch(p, v1.Config{Env: []string{"PATH=" + Path}}, fileLayer(f.Name())))
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
func onScratch(p v1.Platform, config v1.Config, layers ...func() (v1.Layer, error)) (v1.Image, error) {
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = p.OS, p.Architecture, config
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return nil, err
	}
	return with(image, layers...)
}

// New is an image of the tar layer alone, for this kind of machine.
func New(config v1.Config, layer []byte) (v1.Image, error) {
	return onScratch(Here, config, bytesLayer(layer))
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
