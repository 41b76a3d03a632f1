// Package containerd isolates by containers of a containerd daemon: each sandbox
// is one, with a root filesystem from an image or from the files of the host, namespaces of
// its own, cgroup limits, no capabilities and the default filter of system calls.
package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"golang.org/x/sync/singleflight"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/network"
	"github.com/ainur-faas/ainur/agent/sandbox/stem"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Namespace is that of all that is ours in the daemon.
const Namespace = "ainur"

// DefaultSocket is where the daemon listens when nothing says otherwise.
const DefaultSocket = "/run/containerd/containerd.sock"

// Labels of what is ours in the daemon.
const (
	runLabel       = "ainur.run"       // id of the run
	isolationLabel = "ainur.isolation" // name of the Isolation in the run
	sandboxLabel   = "ainur.sandbox"   // id of the sandbox in the run
)

// Options of an Isolation. Dir, RunID and Log are required.
type Options struct {
	Socket    string // of the daemon; "" = DefaultSocket
	Dir       string // for the folders of sandboxes; made if missing
	RunID     string // labels all that is made
	Log       *slog.Logger
	Container spec.Container
	Store     *oci.Store // has the images; nil: no function may have one
	Memory    spec.Bytes // for sandboxes; bounds what is made ahead, 0 does not
}

// Isolation is the kind "containerd".
type Isolation struct {
	options     Options
	name        string // of the Isolation: agents of one run can share a host
	client      *containerd.Client
	cgroups     resource.Cgroups
	runtime     runtime
	lease       leases.Lease // of all that is made, which needs none of its own then
	host        string       // root filesystem of sandboxes without an image
	snapshotter string
	creations   *limiter
	removals    chan struct{} // holds what is being removed: more at a time only take longer
	roots       singleflight.Group
	opening     sync.Mutex       // of networks
	networks    *network.Pool    // nil: no sandbox has needed one
	cells       *stem.Pool[*box] // nil: none are made ahead
	binder      *stem.Binder
	limitations []string
	closing     sync.Once
	closeErr    error

	mu     sync.Mutex
	made   map[string]*root // by digest of the image, "" for the files of the host
	serial int              // of the last sandbox
}

// callTimeout bounds a call of the daemon that has no other deadline.
const callTimeout = 30 * time.Second

// removedAtATime is how many containers are removed at the same time.
const removedAtATime = 3

// New connects to the daemon, and finds out what it can do.
func New(ctx context.Context, o Options) (_ *Isolation, err error) {
	if o.Socket == "" {
		o.Socket = DefaultSocket
	}
	i := &Isolation{
		options: o, name: rand.Text()[:8], made: map[string]*root{}, creations: newLimiter(o.Container.Creations),
		removals: make(chan struct{}, removedAtATime), snapshotter: o.Container.Snapshotter,
	}
	if i.snapshotter == "" {
		i.snapshotter = "overlayfs"
	}
	if i.client, err = connect(ctx, o.Socket); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Close())
		}
	}()
	if err := i.hasSnapshotter(ctx); err != nil {
		return nil, err
	}
	i.lease, err = i.client.LeasesService().Create(ctx, leases.WithRandomID(), leases.WithLabels(i.labels("")))
	if err != nil {
		return nil, err
	}
	i.host = filepath.Join(i.homes(), "root")
	if err := os.MkdirAll(i.host, 0o755); err != nil {
		return nil, err
	}
	i.cgroups, i.limitations = resource.FindCgroups("/sys/fs/cgroup", path.Join("ainur", o.RunID, i.name))
	if i.runtime, err = i.findRuntime(ctx); err != nil {
		return nil, err
	}
	switch i.network() {
	case "host":
		i.limit("sandboxes share the network of the host")
	case "bridge":
		if _, err := i.pool(); err != nil {
			return nil, err
		}
	}
	if i.binder, err = stem.NewBinder(); err != nil {
		return nil, err
	}
	i.openCells()
	return i, nil
}

// connect is an error that says what to do when no daemon answers.
func connect(ctx context.Context, socket string) (*containerd.Client, error) {
	client, err := containerd.New(socket, containerd.WithDefaultNamespace(Namespace), containerd.WithTimeout(5*time.Second))
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if _, err = client.Version(ctx); err != nil {
			err = errors.Join(err, client.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("containerd does not answer on %s: %w: install and start it (apt install containerd crun), or use isolation = \"process\", which needs nothing", socket, err)
	}
	return client, nil
}

func (i *Isolation) limit(format string, args ...any) {
	i.limitations = append(i.limitations, fmt.Sprintf(format, args...))
}

// network is that of sandboxes: "none", "host" or "bridge".
func (i *Isolation) network() string {
	if i.options.Container.Network == "" {
		return "none"
	}
	return i.options.Container.Network
}

// pool is that of networks, made when it is first needed. Only who needs it waits for it.
func (i *Isolation) pool() (*network.Pool, error) {
	i.opening.Lock()
	defer i.opening.Unlock()
	var err error
	if i.networks == nil {
		o := i.options
		i.networks, err = network.New(network.Options{RunID: o.RunID, Name: i.name, Size: o.Container.Namespaces, ReadOnlySettings: true, Log: o.Log})
	}
	return i.networks, err
}

const homePrefix = "containers-"

// homes is the folder of the sandboxes' own folders.
func (i *Isolation) homes() string { return filepath.Join(i.options.Dir, homePrefix+i.name) }

// cgroupPath is the path of a sandbox's cgroup in each hierarchy.
func (i *Isolation) cgroupPath(number string) string {
	return path.Join("/ainur", i.options.RunID, i.name, number)
}

// labels of what is made for the sandbox called id, "" for what sandboxes share.
func (i *Isolation) labels(id string) map[string]string {
	return map[string]string{runLabel: i.options.RunID, isolationLabel: i.name, sandboxLabel: id}
}

// Limitations says what could not be applied here.
func (i *Isolation) Limitations() []string { return i.limitations }

// Prepare imports the function's image.
func (i *Isolation) Prepare(ctx context.Context, c sandbox.Config) error {
	_, err := i.root(ctx, c)
	if k, ok := i.cellsFor(c); ok && err == nil {
		i.cells.Keep(k)
	}
	return err
}

// newBox is a sandbox of c that has nothing yet.
func (i *Isolation) newBox(c sandbox.Config) *box {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.serial++
	return &box{isolation: i, config: c, number: strconv.Itoa(i.serial), done: make(chan struct{})}
}

// Create starts a sandbox and waits until it is ready.
func (i *Isolation) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	i.cells.Begin(c.Function.Memory)
	defer i.cells.Started()
	b := i.fromCell(c)
	var err error
	if b == nil {
		b = i.newBox(c)
		err = b.start(leases.WithLease(ctx, i.lease.ID))
	}
	b.counted = true
	if err == nil {
		err = b.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.Remove())
	}
	i.options.Log.Debug("sandbox is ready", slog.String("sandbox", c.ID), slog.String("container", b.key()))
	return b, nil
}

// Reclaim removes what other agents of the run have left on this host.
func (i *Isolation) Reclaim() (removed []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), sweepTimeout)
	defer cancel()
	cgroups, cgroupErr := i.cgroups.RemoveOthers() // with what runs there: the daemon only finds it gone
	removed, err = sweep(ctx, i.client, i.options.Socket, func(labels map[string]string) bool {
		return labels[runLabel] == i.options.RunID && labels[isolationLabel] != i.name
	})
	for _, name := range cgroups {
		removed = append(removed, "cgroup "+name)
	}
	networks, networkErr := network.Reclaim("", i.options.RunID, i.name)
	errs := []error{err, cgroupErr, networkErr}
	homes, err := filepath.Glob(filepath.Join(i.options.Dir, homePrefix+"*"))
	for _, dir := range homes {
		if dir != i.homes() {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return append(removed, networks...), errors.Join(append(errs, err)...)
}

// Close removes what sandboxes shared. The images stay in the daemon. All
// sandboxes must have been removed.
func (i *Isolation) Close() error {
	i.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sweepTimeout)
		defer cancel()
		cells := errors.Join(i.cells.Close(), i.binder.Close())
		_, err := sweep(ctx, i.client, i.options.Socket, func(labels map[string]string) bool { return labels[isolationLabel] == i.name })
		if i.networks != nil {
			err = errors.Join(err, i.networks.Close())
		}
		i.closeErr = errors.Join(cells, err, i.cgroups.Remove(), os.RemoveAll(i.homes()), i.client.Close())
	})
	return i.closeErr
}
