package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// sweepTimeout bounds the removal of all that is left of an Isolation.
const sweepTimeout = 2 * time.Minute

// List names all that is ours in the daemon: containers, shims without one, leases, and snapshots that
// are no part of an image.
func List(ctx context.Context, socket string) (found []sandbox.Thing, err error) {
	client, err := connect(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	groups, err := things(ctx, client, socket, func(map[string]string) bool { return true })
	for _, t := range slices.Concat(groups...) {
		found = append(found, sandbox.Thing{What: t.what + " " + t.id, Run: t.labels[runLabel]})
	}
	return found, err
}

// Version is that of the daemon.
func Version(ctx context.Context, socket string) (string, error) {
	client, err := connect(ctx, socket)
	if err != nil {
		return "", err
	}
	defer client.Close()
	v, err := client.Version(ctx)
	return v.Version + " on " + socket, err
}

// Sweep removes what is ours in the daemon of runs that are not to be kept, and
// names it. The agents of those runs must be dead.
func Sweep(ctx context.Context, socket string, keep func(run string) bool) (removed []string, err error) {
	client, err := connect(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return sweep(ctx, client, socket, func(labels map[string]string) bool { return !keep(labels[runLabel]) })
}

// thing is something of ours in the daemon.
type thing struct {
	what, id string
	labels   map[string]string
	remove   func() error
}

// things are what is ours and chosen, in groups in the order in which they can be removed.
func things(ctx context.Context, client *containerd.Client, socket string, chosen func(map[string]string) bool) (groups [][]thing, err error) {
	var errs []error
	filter := `labels."` + isolationLabel + `"`
	containers, err := client.ContainerService().List(ctx, filter)
	errs = append(errs, err)
	var group []thing
	known := map[string]bool{}
	for _, c := range containers {
		known[c.ID] = true
		if chosen(c.Labels) {
			group = append(group, thing{"container", c.ID, c.Labels, func() error { return removeContainer(ctx, client, socket, c.ID) }})
		}
	}
	for _, s := range findShims(socket) {
		if labels := labelsOf(s.id); !known[s.id] && err == nil && chosen(labels) {
			group = append(group, thing{"shim", s.id, labels, func() error { return s.end(socket) }})
		}
	}
	groups = append(groups, group)
	snapshotters, err := client.IntrospectionService().Plugins(ctx, "type==io.containerd.snapshotter.v1")
	errs = append(errs, err)
	group = nil
	for _, p := range snapshotters.GetPlugins() {
		if p.GetInitErr() != nil {
			continue
		}
		service := client.SnapshotService(p.GetID())
		err := service.Walk(ctx, func(_ context.Context, s snapshots.Info) error {
			if chosen(s.Labels) {
				group = append(group, thing{"snapshot", s.Name, s.Labels, func() error { return ignoreNotFound(service.Remove(ctx, s.Name)) }})
			}
			return nil
		}, filter)
		errs = append(errs, err)
	}
	held, err := client.LeasesService().List(ctx, filter)
	errs = append(errs, err)
	for _, l := range held {
		if chosen(l.Labels) {
			group = append(group, thing{"lease", l.ID, l.Labels, func() error { return ignoreNotFound(client.LeasesService().Delete(ctx, l)) }})
		}
	}
	return append(groups, group), errors.Join(errs...)
}

// removedTogether is how many containers of a dead agent are removed at the same time.
const removedTogether = 8

// sweep removes what is ours and chosen, and names it.
func sweep(ctx context.Context, client *containerd.Client, socket string, chosen func(labels map[string]string) bool) (removed []string, err error) {
	groups, err := things(ctx, client, socket, chosen)
	errs := []error{err}
	for _, group := range groups {
		failed := make([]error, len(group))
		var work errgroup.Group
		work.SetLimit(removedTogether)
		for n, t := range group {
			work.Go(func() error {
				failed[n] = t.remove()
				return nil
			})
		}
		_ = work.Wait() // errors are in failed, all of them
		for n, t := range group {
			if failed[n] != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", t.what, t.id, failed[n]))
			} else {
				removed = append(removed, t.what+" "+t.id)
			}
		}
	}
	return removed, errors.Join(errs...)
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// removeContainer ends a container, whatever state it is in, and removes it.
func removeContainer(ctx context.Context, client *containerd.Client, socket, id string) error {
	c, err := client.LoadContainer(ctx, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	task, err := c.Task(ctx, nil)
	if err == nil {
		_, err = task.Delete(ctx, containerd.WithProcessKill)
	}
	if errdefs.IsNotFound(err) { // the daemon knows no task, and may have forgotten that it has begun one
		err = endShims(socket, id)
	}
	if err != nil {
		return err
	}
	return errors.Join(ignoreNotFound(c.Delete(ctx)), unmountBundle(id))
}

// unmountBundle removes the root filesystem of a container whose making was cut
// off before it had a task: containerd 1.6 forgets that one.
func unmountBundle(id string) error {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasSuffix(m.Mountpoint, filepath.Join("/io.containerd.runtime.v2.task", Namespace, id, "rootfs")), false
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range mounts {
		errs = append(errs, mount.UnmountAll(m.Mountpoint, unix.MNT_DETACH), os.RemoveAll(filepath.Dir(m.Mountpoint)))
	}
	return errors.Join(errs...)
}
