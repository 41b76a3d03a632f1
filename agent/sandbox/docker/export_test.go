package docker

import "github.com/ainur-faas/ainur/agent/resource"

// ForgetCgroups makes i one whose daemon has cgroups made by another.
func ForgetCgroups(i *Isolation) error {
	cgroups := i.cgroups
	i.cgroups, i.parent = resource.Cgroups{}, ""
	return cgroups.Remove()
}
