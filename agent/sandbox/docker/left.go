package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// List names all that is ours in the daemon: containers, and tags of images.
func List(ctx context.Context, socket string) (found []sandbox.Thing, err error) {
	i, err := open(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer i.client.Close()
	err = i.each(ctx, func(t sandbox.Thing, _ func() error) error {
		found = append(found, t)
		return nil
	})
	return found, err
}

// Version is that of the daemon.
func Version(ctx context.Context, socket string) (string, error) {
	i, err := open(ctx, socket)
	if err != nil {
		return "", err
	}
	defer i.client.Close()
	v, err := i.client.ServerVersion(ctx, client.ServerVersionOptions{})
	return v.Version + " on " + socket, err
}

// Sweep removes what is ours in the daemon of runs that are not to be kept, and
// names it. The agents of those runs must be dead.
func Sweep(ctx context.Context, socket string, keep func(run string) bool) (removed []string, err error) {
	i, err := open(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer i.client.Close()
	err = i.each(ctx, func(t sandbox.Thing, remove func() error) error {
		if keep(t.Run) {
			return nil
		}
		err := remove()
		if err == nil {
			removed = append(removed, t.What)
		}
		return err
	})
	return removed, err
}

// open connects to the daemon, to look after what others have left.
func open(ctx context.Context, socket string) (*Isolation, error) {
	api, err := client.New(client.WithHost("unix://" + socket))
	if err != nil {
		return nil, err
	}
	if _, err := api.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, errors.Join(fmt.Errorf("docker does not answer on %s: %w", socket, err), api.Close())
	}
	return &Isolation{client: api, images: images{client: api}}, nil
}

// each calls do for what is ours, in the order in which it can be removed.
func (i *Isolation) each(ctx context.Context, do func(sandbox.Thing, func() error) error) error {
	containers, err := i.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", labelRun)})
	errs := []error{err}
	for _, c := range containers.Items {
		errs = append(errs, do(sandbox.Thing{What: "container " + c.ID[:12], Run: c.Labels[labelRun]}, func() error { return i.removeContainer(c.ID) }))
	}
	list, err := i.client.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", repository)})
	errs = append(errs, err)
	for _, image := range list.Items {
		for _, tag := range image.RepoTags {
			if run, _, ok := strings.Cut(strings.TrimPrefix(tag, repository+":"), "."); ok {
				errs = append(errs, do(sandbox.Thing{What: "image " + tag, Run: run}, func() error { return i.images.remove(ctx, tag) }))
			}
		}
	}
	return errors.Join(errs...)
}
