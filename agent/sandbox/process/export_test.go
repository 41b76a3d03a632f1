package process

import (
	"errors"

	"github.com/ainur-faas/ainur/agent/resource"
)

// Degrade leaves of i what a user without any rights has, on a kernel without
// user namespaces and Landlock.
func (i *Isolation) Degrade() error {
	i.watch.close()
	err := i.cgroups.Remove()
	i.cgroups, _ = resource.FindCgroups("/nonexistent", "")
	i.watch = newWatch(true)
	i.namespaces = false
	err = errors.Join(err, i.native.close(), i.confined.close())
	i.native, i.confined = nil, nil
	return err
}

// Confine leaves of i what a user without rights has on a kernel with Landlock.
func (i *Isolation) Confine(namespaces bool) (err error) {
	if err := i.Degrade(); err != nil {
		return err
	}
	i.namespaces = namespaces
	i.confined, err = newConfined(i.spawner, namespaces)
	return err
}
