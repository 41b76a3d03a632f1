package containerd

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/containerd/v2/core/leases"
)

// Vacate removes from the daemon, and from the host, what stays for later agents: images, the
// namespace, and scripts. It does nothing where an agent is or has left something.
func Vacate(ctx context.Context, socket string) error {
	if _, err := os.Stat(socket); os.IsNotExist(err) {
		return nil
	}
	client, err := connect(ctx, socket)
	if err != nil {
		return err
	}
	defer client.Close()
	spaces, err := client.NamespaceService().List(ctx)
	if err != nil || !slices.Contains(spaces, Namespace) {
		return err
	}
	groups, err := things(ctx, client, socket, func(map[string]string) bool { return true })
	if err != nil || len(slices.Concat(groups...)) > 0 {
		return err
	}
	all, err := client.ImageService().List(ctx)
	if err != nil {
		return err
	}
	for _, image := range all {
		if err := ignoreNotFound(client.ImageService().Delete(ctx, image.Name)); err != nil {
			return fmt.Errorf("remove image %s: %w", image.Name, err)
		}
	}
	last, err := client.LeasesService().Create(ctx, leases.WithRandomID())
	if err != nil {
		return err
	}
	if err := client.LeasesService().Delete(ctx, last, leases.SynchronousDelete); err != nil { // and with it what no image has any more
		return err
	}
	if err := ignoreNotFound(client.NamespaceService().Delete(ctx, Namespace)); err != nil {
		return fmt.Errorf("remove the namespace %s: %w", Namespace, err)
	}
	return os.RemoveAll(scriptsDir)
}
