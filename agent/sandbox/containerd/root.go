package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/shim"
)

// root is what all sandboxes of an image share. It is read only, so that one
// snapshot serves them all and none is made for a cold start, but in an image that is
// a function itself, which may want to write anywhere.
type root struct {
	path   string        // a folder of this host; "" with mounts
	mounts []mount.Mount // of the snapshot
	binds  []specs.Mount // of the host's folders, and what hides the agent's
	config v1.Config     // of the image
	// writable: each sandbox has a snapshot of its own on chain instead of mounts.
	writable bool
	chain    string
}

// root is that of sandboxes of c, from the files of this host when it has no image.
// It is made when the first sandbox needs it.
func (i *Isolation) root(ctx context.Context, c sandbox.Config) (*root, error) {
	image, writable := c.Image, c.Function.Image != ""
	key := image
	if writable {
		key += " writable"
	}
	i.mu.Lock()
	made := i.made[key]
	i.mu.Unlock()
	if made != nil {
		return made, nil
	}
	result := i.roots.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(leases.WithLease(context.WithoutCancel(ctx), i.lease.ID), importTimeout)
		defer cancel()
		var made *root
		var err error
		if image == "" {
			made, err = i.hostRoot()
		} else {
			made, err = i.imageRoot(ctx, image, writable)
		}
		if err == nil {
			i.mu.Lock()
			i.made[key] = made
			i.mu.Unlock()
		}
		return made, err
	})
	select {
	case r := <-result:
		made, _ := r.Val.(*root)
		return made, r.Err
	case <-ctx.Done():
		return nil, link.StartFailed("its image is not imported yet: %w", context.Cause(ctx))
	}
}

// importTimeout bounds the import of an image.
const importTimeout = 10 * time.Minute

// hostRoot is the files of this host, as a sandbox sees them that has no image.
func (i *Isolation) hostRoot() (*root, error) {
	host, err := container.FindHost()
	if err != nil {
		return nil, err
	}
	for _, dir := range append(host.Folders, container.Folders...) { // crun fails when two containers make one at the same time
		if err := os.MkdirAll(filepath.Join(i.host, dir), 0o755); err != nil {
			return nil, err
		}
	}
	for _, file := range shim.Mountpoints.Files {
		if err := os.WriteFile(filepath.Join(i.host, file), nil, 0o644); err != nil {
			return nil, err
		}
	}
	for name, target := range host.Links {
		if err := os.Symlink(target, filepath.Join(i.host, name)); err != nil {
			return nil, err
		}
	}
	r := &root{path: i.host, config: v1.Config{Env: []string{"PATH=" + os.Getenv("PATH")}}}
	for _, dir := range host.Folders {
		r.binds = append(r.binds, specs.Mount{Type: "bind", Source: dir, Destination: dir, Options: []string{"rbind", "rprivate", "rro", "rnosuid", "rnodev"}})
	}
	masks, err := host.Masks(i.options.Dir)
	for _, dir := range masks.Folders {
		options := []string{"ro", "nosuid", "nodev", "noexec", "size=4k", "mode=0755"}
		if len(masks.Keep) > 0 {
			options = options[1:] // for something is mounted in it
		}
		r.binds = append(r.binds, specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: dir, Options: options})
	}
	for _, file := range masks.Files {
		r.binds = append(r.binds, specs.Mount{Type: "bind", Source: "/dev/null", Destination: file, Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}})
	}
	for _, dir := range masks.Keep {
		r.binds = append(r.binds, specs.Mount{Type: "bind", Source: dir, Destination: dir, Options: []string{"rbind", "rprivate", "rro", "rnosuid", "rnodev"}})
	}
	return r, err
}

// imageRoot imports an image, with where things of ours are mounted as a layer on
// top, and makes the snapshot.
func (i *Isolation) imageRoot(ctx context.Context, image string, writable bool) (*root, error) {
	if i.options.Store == nil {
		return nil, errors.New("this agent has no images")
	}
	base, err := i.options.Store.Image(image)
	if err != nil {
		return nil, err
	}
	config, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	manifest := image
	if !writable {
		skeleton, err := container.Skeleton(container.Host{})
		if err != nil {
			return nil, err
		}
		onTop, err := oci.Append(base, skeleton)
		if err != nil {
			return nil, err
		}
		if manifest, err = i.options.Store.AddBlobs(onTop); err != nil {
			return nil, err
		}
	}
	imported, err := i.importImage(ctx, manifest)
	if err != nil {
		return nil, fmt.Errorf("import %s into containerd: %w", image, err)
	}
	layers, err := imported.RootFS(ctx)
	if err != nil {
		return nil, err
	}
	r := &root{config: config.Config, chain: identity.ChainID(layers).String()}
	if writable {
		r.writable = true
		return r, nil
	}
	r.mounts, err = i.client.SnapshotService(i.snapshotter).View(ctx, i.name+"-"+manifest, r.chain, snapshots.WithLabels(i.labels("")))
	return r, err
}

// importImage puts those blobs of an image of the store into the daemon that are
// not there, and unpacks it, once.
func (i *Isolation) importImage(ctx context.Context, manifest string) (containerd.Image, error) {
	name := "ainur/image@" + manifest
	image, err := i.client.GetImage(ctx, name)
	if errdefs.IsNotFound(err) {
		image, err = i.pushImage(ctx, name, manifest)
	}
	if err != nil {
		return nil, err
	}
	unpacked, err := image.IsUnpacked(ctx, i.snapshotter)
	if err == nil && !unpacked {
		err = image.Unpack(ctx, i.snapshotter)
	}
	return image, err
}

func (i *Isolation) pushImage(ctx context.Context, name, manifest string) (containerd.Image, error) {
	image, err := i.options.Store.Image(manifest)
	if err != nil {
		return nil, err
	}
	m, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	size, err := image.Size()
	if err != nil {
		return nil, err
	}
	references := map[string]string{"containerd.io/gc.ref.content.config": m.Config.Digest.String()}
	for n, layer := range m.Layers {
		references[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", n)] = layer.Digest.String()
		if err := i.pushBlob(ctx, descriptor(layer)); err != nil {
			return nil, err
		}
	}
	if err := i.pushBlob(ctx, descriptor(m.Config)); err != nil {
		return nil, err
	}
	target := ocispec.Descriptor{MediaType: string(m.MediaType), Digest: digest.Digest(manifest), Size: size}
	if target.MediaType == "" {
		target.MediaType = ocispec.MediaTypeImageManifest
	}
	if err := i.pushBlob(ctx, target, content.WithLabels(references)); err != nil {
		return nil, err
	}
	made, err := i.client.ImageService().Create(ctx, images.Image{Name: name, Target: target, Labels: map[string]string{"ainur.image": manifest}})
	if errdefs.IsAlreadyExists(err) { // another agent was faster
		return i.client.GetImage(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	return containerd.NewImage(i.client, made), nil
}

func descriptor(d v1.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}
}

func (i *Isolation) pushBlob(ctx context.Context, d ocispec.Descriptor, o ...content.Opt) error {
	f, err := i.options.Store.Open(d.Digest.String())
	if err != nil {
		return err
	}
	defer f.Close()
	return content.WriteBlob(ctx, i.client.ContentStore(), "ainur-"+d.Digest.String(), f, d, o...)
}
