// Package oci keeps container images on a host without a daemon or a registry:
// it reads them from where they are, builds them from code and a base, and
// unpacks them into folders that sandboxes have as their root.
package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// MaxBlob bounds one blob of an image, and one layer of it unpacked, in bytes.
const MaxBlob = 16 << 30

// Store is images in a folder, as the blobs of an OCI image layout. What is in
// it has the digest it is named by. Processes may share a folder: whatever is
// written appears whole or not at all.
//
//	blobs/sha256/HEX   manifests, configurations and compressed layers
//	images/HEX         an empty file for each image, by the digest of its manifest
//	layers/HEX         unpacked layers, by the digest of their uncompressed tar
//	lock               who removes what no image needs holds it alone
type Store struct {
	dir string

	mu     sync.Mutex
	lock   *os.File // nil until it is needed
	shared bool     // lock is held, shared with other processes
	held   int      // how often in this process
}

// Open returns the store in dir, which is made when the first image is added.
func Open(dir string) *Store { return &Store{dir: dir} }

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

// DefaultDir is where images are kept when nothing says otherwise: $AINUR_CACHE/images,
// or /var/lib/ainur/images as root, or a folder in the user's cache.
func DefaultDir() string {
	if dir := os.Getenv("AINUR_CACHE"); dir != "" {
		return filepath.Join(dir, "images")
	}
	if os.Getuid() == 0 {
		return "/var/lib/ainur/images"
	}
	cache, err := os.UserCacheDir()
	if err != nil { // there is no home
		cache = filepath.Join(os.TempDir(), "ainur-cache-"+strconv.Itoa(os.Getuid()))
	}
	return filepath.Join(cache, "ainur", "images")
}

// parse is the hex digits of a digest such as "sha256:...".
func parse(digest string) (string, error) {
	h, err := v1.NewHash(digest)
	if err != nil || h.Algorithm != "sha256" {
		return "", fmt.Errorf("%q is no digest: it is sha256: and 64 hex digits", digest)
	}
	return h.Hex, nil
}

func (s *Store) blob(hex string) string { return filepath.Join(s.dir, "blobs", "sha256", hex) }

// Has reports whether the blob is there.
func (s *Store) Has(digest string) bool {
	hex, err := parse(digest)
	if err != nil {
		return false
	}
	_, err = os.Stat(s.blob(hex))
	return err == nil
}

// Missing is those of the blobs that are not there.
func (s *Store) Missing(digests []string) []string {
	return slices.DeleteFunc(slices.Clone(digests), s.Has)
}

// ErrDigest is content that is not what its digest says.
var ErrDigest = errors.New("the content has another digest")

// Put adds a blob. It reads all of content, unless the blob is there. One as
// small as a manifest or a configuration may be is replaced when it is broken.
func (s *Store) Put(digest string, content io.Reader) error {
	want, err := parse(digest)
	if err != nil {
		return err
	}
	release, err := s.hold()
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.read(digest); err == nil || s.Has(digest) && !errors.Is(err, ErrDigest) {
		return nil
	}
	return atomicfile.Write(s.blob(want), 0o644, func(w io.Writer) error {
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(content, MaxBlob+1))
		if err != nil {
			return err
		}
		if n > MaxBlob {
			return fmt.Errorf("blob %s has over %d GiB", digest, int64(MaxBlob)>>30)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != want {
			return fmt.Errorf("blob %s: %w: sha256:%s, of %d bytes", digest, ErrDigest, got, n)
		}
		return nil
	})
}

// Open returns a blob to read.
func (s *Store) Open(digest string) (*os.File, error) {
	hex, err := parse(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(s.blob(hex))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s is not in the store %s", digest, s.dir)
	}
	return f, err
}

// Add puts an image there, of which blobs that are there are not read, and
// returns the digest of its manifest.
func (s *Store) Add(image v1.Image) (digest string, err error) {
	release, err := s.hold()
	if err != nil {
		return "", err
	}
	defer release()
	digest, err = s.AddBlobs(image)
	if err != nil {
		return "", err
	}
	return digest, s.mark(digest)
}

// AddBlobs is Add for what is no image of the user's: it is not listed, and goes
// when images are removed.
func (s *Store) AddBlobs(image v1.Image) (digest string, err error) {
	release, err := s.hold()
	if err != nil {
		return "", err
	}
	defer release()
	manifest, err := image.Digest()
	if err != nil {
		return "", err
	}
	layers, err := image.Layers()
	if err != nil {
		return "", err
	}
	for _, layer := range layers {
		if err := s.addLayer(layer); err != nil {
			return "", err
		}
	}
	config, err := image.ConfigName()
	if err != nil {
		return "", err
	}
	for hash, raw := range map[v1.Hash]func() ([]byte, error){config: image.RawConfigFile, manifest: image.RawManifest} {
		b, err := raw()
		if err == nil && len(b) > maxRead {
			err = fmt.Errorf("the manifest or the configuration of image %s has over %d MiB", manifest, maxRead>>20)
		}
		if err != nil {
			return "", err
		}
		if err := s.Put(hash.String(), strings.NewReader(string(b))); err != nil {
			return "", err
		}
	}
	return manifest.String(), nil
}

func (s *Store) addLayer(layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	if s.Has(digest.String()) {
		size, err := layer.Size()
		if err != nil || s.checkSize(digest.String(), size) == nil {
			return err
		}
		if err := s.drop(digest.String()); err != nil {
			return err
		}
	}
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	return errors.Join(s.Put(digest.String(), content), content.Close())
}

// mark makes the manifest with this digest known as that of an image.
func (s *Store) mark(digest string) error {
	hex, err := parse(digest)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.dir, "images", hex), 0o644, func(io.Writer) error { return nil })
}

// Adopt makes known as an image what was Put there blob by blob. It is an error
// when one lacks, or when this host cannot run it.
func (s *Store) Adopt(digest string) error {
	if err := s.Check(digest); err != nil {
		return err
	}
	if err := s.fits(digest, Here); err != nil {
		return err
	}
	return s.mark(digest)
}

// Blobs is the digests of all blobs of an image: manifest, configuration, layers.
func (s *Store) Blobs(digest string) ([]string, error) {
	image, err := s.Image(digest)
	if err != nil {
		return nil, err
	}
	m, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	blobs := []string{digest, m.Config.Digest.String()}
	for _, layer := range m.Layers {
		blobs = append(blobs, layer.Digest.String())
	}
	return blobs, nil
}

// List is the digests of the images, sorted.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "images"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var digests []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), atomicfile.Prefix) {
			digests = append(digests, "sha256:"+e.Name())
		}
	}
	return digests, err
}
