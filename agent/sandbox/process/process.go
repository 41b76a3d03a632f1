// Package process isolates by child processes: each sandbox is one in its own
// process group, with namespaces, cgroup limits and no new privileges as far
// as the kernel and the user's rights allow. It needs nothing installed.
package process

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/network"
	"github.com/ainur-faas/ainur/agent/sandbox/stem"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Options of an Isolation. Dir, RunID and Log are required.
type Options struct {
	Dir       string // for the homes of sandboxes; made if missing
	RunID     string // labels cgroups and processes
	Log       *slog.Logger
	Container spec.Container
	Store     *oci.Store // has the images; nil: no function may have one
	Memory    spec.Bytes // for sandboxes; bounds what is made ahead, 0 does not
}

// pidsLimit is how many processes and threads a sandbox may have.
const pidsLimit = 512

// Isolation is the kind "process".
type Isolation struct {
	options     Options
	name        string // of the Isolation: agents of one run can share a host
	cgroups     resource.Cgroups
	spawner     *spawner
	native      *native   // nil: sandboxes have no root filesystem of their own
	confined    *confined // nil with native, and where the kernel cannot confine sandboxes
	roots       roots
	zygotes     zygotes
	cells       *stem.Pool[*box] // nil: none are made ahead
	binder      *stem.Binder     // nil without cells
	cellsMade   atomic.Int64
	networks    *network.Pool // nil: sandboxes have that of the host, or an empty one
	namespaces  bool          // sandboxes have their own
	limitations []string
	watch       *watch
	closing     sync.Once
	closeErr    error
}

// New prepares this host, as far as this user may.
func New(o Options) (*Isolation, error) {
	if o.Container.Network == "host" { // which is what sandboxes have when nothing says otherwise
		o.Container.Network = ""
	}
	i := &Isolation{options: o, name: rand.Text()[:8], roots: roots{byCode: map[string]*plot{}}, zygotes: zygotes{byCode: map[string]*nursery{}}}
	if err := os.MkdirAll(i.rootAt(), 0o755); err != nil {
		return nil, err
	}
	var err error
	if i.spawner, err = newSpawner(); err != nil {
		return nil, err
	}
	i.cgroups, i.limitations = resource.FindCgroups("/sys/fs/cgroup", path.Join("ainur", o.RunID, i.name))
	i.watch = newWatch(!i.cgroups.Has("memory"))
	if i.watch.needed {
		i.limit("memory limits are kept by a look at each busy sandbox every %v, without the processes it starts", watchEvery)
	}
	if err := i.spawner.capabilities; err != nil {
		i.limit("sandboxes have the capabilities of root: %v", err)
	}
	if i.native, err = newNative(i.spawner); err == nil {
		err = i.probeNative()
	}
	i.namespaces = true
	if err != nil {
		err = errors.Join(err, i.native.close())
		i.native = nil
		if err := i.spawner.probe(); err != nil {
			i.namespaces = false
			i.limit("sandboxes share the process, mount, IPC and host name namespaces of the host: %v", err)
		}
		i.confine(err)
		if os.Getuid() == 0 {
			i.limit("limits hold for code that does not work against them: user 0 may write to the files of cgroups")
		}
	} else if o.Container.Network == bridge {
		i.networks, err = network.New(network.Options{RunID: o.RunID, Name: i.name, Size: o.Container.Namespaces, ReadOnlySettings: true, Log: o.Log})
		if err != nil {
			return nil, errors.Join(err, i.Close())
		}
		if o.Container.Zygote {
			i.limit("functions are started without a zygote: it has no right to the network namespaces of network = \"bridge\"")
		}
	} else if o.Container.Network == "" {
		i.limit("sandboxes share the network of the host: set network = \"none\" in the worker's container block for one of their own")
	}
	if err := i.openCells(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// confine has sandboxes confined that have no root filesystem of their own, for this reason.
func (i *Isolation) confine(reason error) {
	var err error
	if i.confined, err = newConfined(i.spawner, i.namespaces); err == nil {
		err = i.confined.probe(i.rootAt())
	}
	if err != nil {
		err = errors.Join(err, i.confined.close())
		i.confined = nil
		i.limit("sandboxes share the network and the files of the host, with no filter of system calls, and run as user %d, as the agent does: %v; %v", os.Getuid(), reason, err)
		return
	}
	i.limit("sandboxes share the network of the host, read its system's files and run as user %d, as the agent does: %v", os.Getuid(), reason)
	if i.confined.landlock.files&version3 == 0 {
		i.limit("sandboxes may truncate files that user %d may write to: Landlock has version %d here, and forbids it from 3 on", os.Getuid(), i.confined.landlock.version)
	}
}

func (i *Isolation) limit(format string, args ...any) {
	i.limitations = append(i.limitations, fmt.Sprintf(format, args...))
}

// network is that of sandboxes which have none of the pool: nil for one of their own.
func (i *Isolation) network() *os.File {
	if i.options.Container.Network == "" {
		return i.native.network
	}
	return nil
}

// bridge is the network of sandboxes that the host reaches.
const bridge = "bridge"

// homes is the folder of the sandboxes' own folders.
func (i *Isolation) homes() string { return filepath.Join(i.options.Dir, "sandboxes") }

// rootAt is an empty folder, on which roots are made.
func (i *Isolation) rootAt() string { return filepath.Join(i.homes(), "root") }

// probeNative starts something with a root filesystem of its own.
func (i *Isolation) probeNative() error {
	namespace, err := newRoot(i.rootAt(), rootSpec{})
	if err != nil {
		return err
	}
	defer namespace.Close()
	process, err := i.native.start(launch{root: &root{namespace: namespace, argv: []string{"/bin/true"}}, temporary: spec.MiB})
	if err != nil {
		return err
	}
	state, err := process.Wait()
	if err == nil && !state.Success() {
		err = fmt.Errorf("/bin/true: %v", state)
	}
	return err
}

// Limitations says what could not be applied here.
func (i *Isolation) Limitations() []string { return i.limitations }

// Prepare unpacks the function's image.
func (i *Isolation) Prepare(ctx context.Context, c sandbox.Config) error {
	if c.Image != "" && i.options.Store != nil {
		if _, err := i.options.Store.Unpack(ctx, c.Image); err != nil {
			return err
		}
	}
	if k, ok := i.cellsFor(c); ok && (c.Code != "" || !i.forks(c)) {
		i.cells.Keep(k)
	}
	return nil
}

// Create starts a sandbox and waits until it is ready.
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
	i.options.Log.Debug("sandbox is ready", slog.String("sandbox", c.ID), slog.Int("pid", b.process.Pid))
	return b, nil
}

// Reclaim removes what other agents of the run have left on this host.
func (i *Isolation) Reclaim() (removed []string, err error) {
	pids, err := killLabelled(i.label(), i.label(i.name))
	for _, pid := range pids {
		removed = append(removed, fmt.Sprintf("process %d", pid))
	}
	cgroups, cgroupErr := i.cgroups.RemoveOthers()
	for _, name := range cgroups {
		removed = append(removed, "cgroup "+name)
	}
	if os.Getuid() != 0 { // who has made no networks
		return removed, errors.Join(err, cgroupErr)
	}
	networks, networkErr := network.Reclaim("", i.options.RunID, i.name)
	return append(removed, networks...), errors.Join(err, cgroupErr, networkErr)
}

// Close removes the homes and the cgroups. All sandboxes must have been removed.
func (i *Isolation) Close() error {
	i.closing.Do(func() {
		cells := errors.Join(i.cells.Close(), i.binder.Close())
		zygotes := i.zygotes.close() // their parent is the thread of the spawner
		var networks error
		if i.networks != nil {
			networks = i.networks.Close()
		}
		i.spawner.close()
		i.watch.close()
		i.closeErr = errors.Join(cells, zygotes, networks, i.roots.close(), i.cgroups.Remove(), removeHome(i.homes()), i.native.close(), i.confined.close())
	})
	return i.closeErr
}
