package containerd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
)

// sweepTimeout bounds the removal of all that is left of an Isolation.
const sweepTimeout = 2 * time.Minute

// List names all that is ours in the daemon: containers, and snapshots that are
// no part of an image.
func List(ctx context.Context, socket string) (found []string, err error) {
	client, err := connect(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	_, err = each(ctx, client, func(map[string]string) bool { return true }, func(what, id string, labels map[string]string, _ func() error) error {
		found = append(found, fmt.Sprintf("%s %s of run %s", what, id, labels[runLabel]))
		return nil
	})
	return found, err
}

// Sweep removes what is ours in the daemon of runs that are not to be kept, and
// names it. The agents of those runs must be dead.
func Sweep(ctx context.Context, socket string, keep func(run string) bool) (removed []string, err error) {
	client, err := connect(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return sweep(ctx, client, func(labels map[string]string) bool { return !keep(labels[runLabel]) })
}

// sweep removes containers and then snapshots, as far as chosen by their labels.
func sweep(ctx context.Context, client *containerd.Client, chosen func(labels map[string]string) bool) (removed []string, err error) {
	return each(ctx, client, chosen, func(_, _ string, _ map[string]string, remove func() error) error { return remove() })
}

// each calls do for what is ours and chosen, in the order in which it can be removed.
func each(ctx context.Context, client *containerd.Client, chosen func(map[string]string) bool, do func(what, id string, labels map[string]string, remove func() error) error) (done []string, err error) {
	var errs []error
	call := func(what, id string, labels map[string]string, remove func() error) {
		if err := do(what, id, labels, remove); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", what, id, err))
			return
		}
		done = append(done, what+" "+id)
	}
	containers, err := client.Containers(ctx, `labels."`+isolationLabel+`"`)
	errs = append(errs, err)
	for _, c := range containers {
		labels, err := c.Labels(ctx)
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			errs = append(errs, err)
		case chosen(labels):
			call("container", c.ID(), labels, func() error { return removeContainer(ctx, c) })
		}
	}
	snapshotters, err := client.IntrospectionService().Plugins(ctx, "type==io.containerd.snapshotter.v1")
	errs = append(errs, err)
	for _, p := range snapshotters.GetPlugins() {
		if p.GetInitErr() != nil {
			continue
		}
		service := client.SnapshotService(p.GetID())
		var all []snapshots.Info
		err := service.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			all = append(all, info)
			return nil
		}, `labels."`+isolationLabel+`"`)
		errs = append(errs, err)
		for _, info := range all {
			if chosen(info.Labels) {
				call("snapshot", info.Name, info.Labels, func() error { return ignoreNotFound(service.Remove(ctx, info.Name)) })
			}
		}
	}
	return done, errors.Join(errs...)
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// removeContainer ends a container, whatever state it is in, and removes it.
func removeContainer(ctx context.Context, c containerd.Container) error {
	task, err := c.Task(ctx, nil)
	if err == nil {
		err = removeTask(ctx, task)
	}
	if err := ignoreNotFound(err); err != nil {
		return err
	}
	return ignoreNotFound(c.Delete(ctx))
}

// removeTask kills a task and removes it when it has ended.
func removeTask(ctx context.Context, task containerd.Task) error {
	ended, err := task.Wait(ctx)
	if err != nil {
		return ignoreNotFound(err)
	}
	if err := task.Kill(ctx, syscall.SIGKILL, containerd.WithKillAll); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsFailedPrecondition(err) {
		return err
	}
	status, err := task.Status(ctx)
	if err == nil && status.Status != containerd.Created { // which has no process that ends
		select {
		case <-ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err = task.Delete(ctx, containerd.WithProcessKill)
	return ignoreNotFound(err)
}
