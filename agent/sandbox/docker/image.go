package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
)

// repository is the name of the images that we tag. A tag is RUN.ISOLATION.HASH:
// it says whose the image is, and goes with them.
const repository = "ainur"

// LabelKeep is the label of images that stay in the daemon when a run ends, so that
// the next one need not load them.
const LabelKeep = "ainur.keep"

// images loads images into the daemon, each once.
type images struct {
	client  *client.Client
	store   *oci.Store
	host    container.Host
	prefix  string // of the run's tags
	name    string // of the isolation
	loading sync.WaitGroup
	mu      sync.Mutex
	loaded  map[string]*image // by digest; "" is the image of functions that have none
}

// image is one that is in the daemon.
type image struct {
	whole  bool          // it is a function itself
	done   chan struct{} // closed when the rest is set
	id     string        // for the daemon
	tag    string        // ours, "" when it has none
	config v1.Config     // of the image as it is in the store
	err    error
}

// load returns an image that the daemon has then: whole, or with what things are
// mounted on.
func (i *images) load(ctx context.Context, digest string, whole bool) (*image, error) {
	i.mu.Lock()
	key := digest
	if whole {
		key += " whole"
	}
	im := i.loaded[key]
	if im == nil {
		im = &image{whole: whole, done: make(chan struct{})}
		i.loaded[key] = im
		i.loading.Go(func() {
			defer close(im.done)
			if im.err = i.put(im, digest); im.err != nil {
				im.err = fmt.Errorf("load image %s: %w", digest, im.err)
				i.mu.Lock()
				delete(i.loaded, key) // the next sandbox tries again
				i.mu.Unlock()
			}
		})
	}
	i.mu.Unlock()
	select {
	case <-im.done:
		return im, im.err
	case <-ctx.Done():
		return nil, link.StartFailed("its image is not loaded yet: %w", context.Cause(ctx))
	}
}

// put loads an image that the daemon does not have. Who asks for it may go away
// meanwhile: others wait for it too.
func (i *images) put(im *image, digest string) error {
	source, err := i.open(digest, im.whole)
	if err != nil {
		return err
	}
	config, err := source.ConfigFile()
	if err != nil {
		return err
	}
	im.config = config.Config
	hash, err := source.ConfigName()
	if err != nil {
		return err
	}
	ours := repository + ":" + i.prefix + i.name + "." + hash.Hex[:16]
	tag, err := name.NewTag(ours)
	if err != nil {
		return err
	}
	ctx := context.Background()
	found, err := i.client.ImageInspect(ctx, hash.String())
	switch {
	case err == nil && (len(found.RepoTags) == 0 || config.Config.Labels[LabelKeep] != ""):
		im.id = hash.String() // with a tag of ours it would go when that goes
		return nil
	case err == nil:
		_, err = i.client.ImageTag(ctx, client.ImageTagOptions{Source: hash.String(), Target: ours})
	case errdefs.IsNotFound(err):
		err = i.send(ctx, tag, source)
	}
	if err != nil {
		return err
	}
	im.id = ours
	if config.Config.Labels[LabelKeep] == "" {
		im.tag = ours
	}
	return nil
}

// open is an image of the store, alone when it is wanted whole, or with what things are mounted on as a layer on top,
// or an image for the files of the host.
func (i *images) open(digest string, whole bool) (v1.Image, error) {
	switch {
	case digest == "":
		skeleton, err := container.Skeleton(i.host)
		if err != nil {
			return nil, err
		}
		return oci.New(v1.Config{Env: []string{"PATH=" + os.Getenv("PATH")}}, skeleton)
	case i.store == nil:
		return nil, errors.New("this agent has no images")
	}
	base, err := i.store.Image(digest)
	if err != nil || whole {
		return base, err
	}
	skeleton, err := container.Skeleton(container.Host{})
	if err != nil {
		return nil, err
	}
	return oci.Append(base, skeleton)
}

// send writes an image to the daemon as docker save would.
func (i *images) send(ctx context.Context, tag name.Tag, source v1.Image) error {
	archive, w := io.Pipe()
	var writing sync.WaitGroup
	var writeErr error
	writing.Go(func() {
		writeErr = tarball.Write(tag, source, w)
		_ = w.CloseWithError(writeErr) // it never fails
	})
	err := i.receive(ctx, archive)
	_ = archive.CloseWithError(io.ErrClosedPipe) // the daemon may have stopped reading
	writing.Wait()
	if errors.Is(writeErr, io.ErrClosedPipe) {
		writeErr = nil
	}
	return errors.Join(err, writeErr)
}

// receive has the daemon load an archive. It says in the body how that went.
func (i *images) receive(ctx context.Context, archive io.Reader) error {
	body, err := i.client.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer body.Close()
	for lines := json.NewDecoder(body); ; {
		var line struct{ Error string }
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}

// removeOthers removes the tags of the run's other isolations, and the images that
// have no other tag. It returns the tags.
func (i *images) removeOthers() (removed []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	list, err := i.client.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", repository)})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var errs []error
	for _, im := range list.Items {
		if im.Labels[LabelKeep] != "" {
			continue
		}
		for _, tag := range im.RepoTags {
			if rest, ok := strings.CutPrefix(tag, repository+":"+i.prefix); !ok || strings.HasPrefix(rest, i.name+".") {
				continue
			}
			if err := i.remove(ctx, tag); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, tag)
		}
	}
	return removed, errors.Join(errs...)
}

func (i *images) remove(ctx context.Context, tag string) error {
	_, err := i.client.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", tag, err)
	}
	return nil
}

// close removes our tags, and the images that have no other.
func (i *images) close() error {
	i.loading.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var errs []error
	for _, im := range i.loaded {
		if im.tag != "" {
			errs = append(errs, i.remove(ctx, im.tag))
		}
	}
	return errors.Join(errs...)
}
