package process

import (
	"errors"

	"github.com/ainur-faas/ainur/agent/resource"
)

// Degrade leaves of i what a user without any rights has, on a kernel without
// user namespaces.
func (i *Isolation) Degrade() error {
	i.watch.close()
	err := i.cgroups.Remove()
	i.cgroups, _ = resource.FindCgroups("/nonexistent", "")
	i.watch = newWatch(true)
	i.namespaces = false
	err = errors.Join(err, i.native.close())
	i.native = nil
	return err
}
