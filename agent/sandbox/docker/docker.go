// Package docker isolates by containers of a Docker daemon on this host.
package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/stem"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Options of an Isolation. Dir, RunID and Log are required.
type Options struct {
	Socket    string // of the daemon; "" = DefaultSocket
	Dir       string // for the sockets of sandboxes; made if missing
	RunID     string // labels containers, images and cgroups
	Log       *slog.Logger
	Container spec.Container
	Store     *oci.Store // has the images; nil: no function may have one
	Memory    spec.Bytes // for sandboxes; bounds what is made ahead, 0 does not
}

// DefaultSocket is where the daemon listens when nothing says otherwise.
const DefaultSocket = "/var/run/docker.sock"

// The labels of containers.
const (
	labelRun       = "ainur.run"
	labelIsolation = "ainur.isolation"
	labelSandbox   = "ainur.sandbox"
)

// within is how long the daemon may take for one request that makes or removes
// something. Such a request is not cut short: what it has made would be unknown.
const within = time.Minute

// Isolation is the kind "docker".
type Isolation struct {
	options     Options
	name        string // of the Isolation: agents of one run can share a host
	client      *client.Client
	images      images
	host        container.Host   // root filesystem of sandboxes without an image
	masks       container.Masks  // what they do not see of it
	cpus        int              // of the daemon's host
	cgroups     resource.Cgroups // those of the containers, where the daemon lets us choose them
	hasCgroups  bool             // containers are in some
	parent      string           // of them, for the daemon; "" when it does not
	cells       *stem.Pool[*box] // nil: none are made ahead
	binder      *stem.Binder     // nil without cells
	cellsMade   atomic.Int64
	limitations []string
	closing     sync.Once
	closeErr    error
}

// New finds out what the daemon can do. It changes nothing on the host but Options.Dir
// and, where the daemon uses cgroups as files, a cgroup for the containers.
func New(o Options) (_ *Isolation, err error) {
	if o.Socket == "" {
		o.Socket = DefaultSocket
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	i := &Isolation{options: o, name: strings.ToLower(rand.Text()[:8])}
	if i.client, err = client.New(client.WithHost("unix://" + o.Socket)); err != nil {
		return nil, err
	}
	if i.host, err = container.FindHost(); err != nil {
		return nil, errors.Join(err, i.client.Close())
	}
	i.images = images{client: i.client, store: o.Store, host: i.host, prefix: o.RunID + ".", name: i.name, loaded: map[string]*image{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Close())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	result, err := i.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, fmt.Errorf("docker does not answer on %s: %w: install and start it (apt install docker.io), or use isolation = \"process\", which needs nothing", o.Socket, err)
	}
	info := result.Info
	if r := o.Container.OCIRuntime; r != "" {
		if _, ok := info.Runtimes[r]; !ok {
			return nil, fmt.Errorf("docker has no OCI runtime %s: it has %s", r, strings.Join(slices.Sorted(maps.Keys(info.Runtimes)), ", "))
		}
	}
	i.cpus = info.NCPU
	for controller, ok := range map[string]bool{"memory": info.MemoryLimit, "cpu": info.CPUCfsQuota, "pids": info.PidsLimit, "swap": info.SwapLimit} {
		if !ok {
			i.limitations = append(i.limitations, controller+" is not limited: the docker daemon cannot on this host")
		}
	}
	slices.Sort(i.limitations)
	if i.network() == "host" {
		i.limitations = append(i.limitations, "sandboxes share the network of the host")
	}
	i.hasCgroups = info.CgroupDriver != "none"
	if info.CgroupDriver == "cgroupfs" {
		i.parent = path.Join("/ainur", o.RunID, i.name)
		i.cgroups, _ = resource.FindCgroups("/sys/fs/cgroup", strings.TrimPrefix(i.parent, "/")) // the daemon limits, or says that it does not
	} else {
		i.limitations = append(i.limitations, "memory and processor time in use are not measured: the docker daemon has cgroups made by "+info.CgroupDriver)
	}
	if err := os.MkdirAll(i.homes(), 0o755); err != nil {
		return nil, err
	}
	if i.masks, err = i.host.Masks(o.Dir); err != nil {
		return nil, err
	}
	return i, i.openCells()
}

const homePrefix = "docker-"

// homes is the folder of the sandboxes' own folders.
func (i *Isolation) homes() string { return filepath.Join(i.options.Dir, homePrefix+i.name) }

// Limitations says what could not be applied here.
func (i *Isolation) Limitations() []string { return i.limitations }

// Prepare loads the function's image.
func (i *Isolation) Prepare(ctx context.Context, c sandbox.Config) error {
	_, err := i.images.load(ctx, c.Image, c.Function.Image != "")
	if k, ok := i.cellsFor(c); ok && err == nil {
		i.cells.Keep(k)
	}
	return err
}

// Create starts a container and waits until it is ready.
func (i *Isolation) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	i.cells.Begin(c.Function.Memory)
	defer i.cells.Started()
	b := i.fromCell(c)
	var err error
	if b == nil {
		b = newBox(i, c)
		err = b.start(ctx)
	}
	b.counted = true
	if err == nil {
		err = b.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.Remove())
	}
	i.options.Log.Debug("sandbox is ready", slog.String("sandbox", c.ID), slog.String("container", b.id))
	return b, nil
}

// The daemon goes on with what a dead agent has asked of it, and shows a container
// only when that is made. So it is looked at until nothing has come up for a while.
const (
	comesUpWithin = time.Second
	lookEvery     = 100 * time.Millisecond
)

// Reclaim removes what other agents of the run have left on this host.
func (i *Isolation) Reclaim() (removed []string, err error) {
	homes, homesErr := i.removeOtherHomes() // first: what binds them is not made or started any more
	removed, err = i.reclaim()
	if len(homes) > 0 || len(removed) > 0 {
		began := time.Now()
		for last := began; time.Since(last) < comesUpWithin && time.Since(began) < within; {
			time.Sleep(lookEvery)
			var more []string
			if more, err = i.reclaim(); len(more) > 0 {
				removed, last = append(removed, more...), time.Now()
			}
		}
	}
	return removed, errors.Join(homesErr, err)
}

// reclaim removes what the daemon shows now, and cgroups.
func (i *Isolation) reclaim() (removed []string, err error) {
	containers, containerErr := i.removeContainers(func(labels map[string]string) bool { return labels[labelIsolation] != i.name }, labelRun+"="+i.options.RunID)
	for _, id := range containers {
		removed = append(removed, "container "+id)
	}
	images, imageErr := i.images.removeOthers()
	for _, tag := range images {
		removed = append(removed, "image "+tag)
	}
	cgroups, cgroupErr := i.removeOtherCgroups()
	for _, name := range cgroups {
		removed = append(removed, "cgroup "+name)
	}
	return removed, errors.Join(containerErr, imageErr, cgroupErr)
}

// removeOtherHomes removes the folders of other agents, and names them.
func (i *Isolation) removeOtherHomes() (homes []string, err error) {
	homes, err = filepath.Glob(filepath.Join(i.options.Dir, homePrefix+"*"))
	homes = slices.DeleteFunc(homes, func(dir string) bool { return dir == i.homes() })
	errs := []error{err}
	for _, dir := range homes {
		errs = append(errs, os.RemoveAll(dir))
	}
	return homes, errors.Join(errs...)
}

func (i *Isolation) removeOtherCgroups() ([]string, error) {
	if i.parent == "" {
		return nil, nil
	}
	return i.cgroups.RemoveOthers()
}

// removeContainers removes the containers that have all these labels and that which
// accepts, and returns their IDs.
func (i *Isolation) removeContainers(which func(map[string]string) bool, labels ...string) (ids []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	list, err := i.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", labels...)})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	for _, c := range list.Items {
		if !which(c.Labels) {
			continue
		}
		if err := i.removeContainer(c.ID); err != nil {
			errs = append(errs, err)
			continue
		}
		ids = append(ids, c.ID[:12])
	}
	return ids, errors.Join(errs...)
}

// removeContainer ends and removes a container and its volumes. One that is gone is no error.
func (i *Isolation) removeContainer(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	i.thaw(id)
	for {
		_, err := i.client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil || errdefs.IsNotFound(err):
			return nil
		case !errdefs.IsConflict(err): // another request is removing it
			return fmt.Errorf("remove container %s: %w", id, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove container %s: %w", id, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// thaw lets a container go on that was frozen behind the daemon's back, and which
// it could not end. There is no error that would tell anything but that it is gone.
func (i *Isolation) thaw(id string) {
	if !i.cgroups.Has("freezer") {
		return
	}
	_ = i.cgroups.Open(id).Thaw()
}

// Close removes the homes, the cgroups and the images that were loaded. All
// sandboxes must have been removed.
func (i *Isolation) Close() error {
	i.closing.Do(func() {
		errs := []error{i.cells.Close(), i.binder.Close(), i.images.close()}
		if i.parent != "" {
			errs = append(errs, i.cgroups.Remove())
		}
		i.closeErr = errors.Join(append(errs, os.RemoveAll(i.homes()), i.client.Close())...)
	})
	return i.closeErr
}
