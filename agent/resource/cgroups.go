// Package resource reads and limits what a host has: cgroups, and the facts of
// its hardware and kernel.
package resource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cgroups makes cgroups in a folder of ours in each of the host's hierarchies.
type Cgroups struct {
	root    string            // /sys/fs/cgroup on a host
	version string            // see CgroupVersion
	name    string            // of the folder, below a hierarchy
	parents map[string]string // controller that can be used -> the folder in its hierarchy
}

// controllers that limit, measure and freeze a sandbox. In v2 the last two are
// of every cgroup.
var controllers = []string{"memory", "cpu", "pids", "cpuacct", "freezer"}

// lacks says what a host does without when it lacks a controller.
var lacks = map[string]string{
	"memory": "memory is not limited by a cgroup", "cpu": "cpu is not limited by a cgroup", "pids": "pids is not limited by a cgroup",
	"cpuacct": "processor time is not measured by a cgroup", "freezer": "sandboxes are frozen by signals, not by a cgroup",
}

// FindCgroups prepares the folder called name, one or more path elements, in
// each hierarchy below root. What cannot be used is in problems, one sentence each.
func FindCgroups(root, name string) (c Cgroups, problems []string) {
	c = Cgroups{root: root, version: CgroupVersion(root), name: name, parents: map[string]string{}}
	for _, controller := range controllers {
		if err := c.prepare(controller); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", lacks[controller], err))
			continue
		}
		c.parents[controller] = filepath.Join(c.hierarchy(controller), name)
	}
	return c, problems
}

// CgroupVersion is that of the hierarchies mounted below root: "v1", "v2",
// "hybrid" (the controllers in v1, an empty v2 beside them) or "none".
func CgroupVersion(root string) string { return cgroupVersion(root, exists) }

// CgroupRoot is where the hierarchies are mounted on a host.
const CgroupRoot = "/sys/fs/cgroup"

// CgroupPaths are what says which version it is.
var CgroupPaths = []string{CgroupRoot + "/cgroup.controllers", CgroupRoot + "/unified/cgroup.controllers", CgroupRoot + "/memory"}

func cgroupVersion(root string, exists func(path string) bool) string {
	unified, v1 := exists(filepath.Join(root, "unified", "cgroup.controllers")), exists(filepath.Join(root, "memory"))
	switch {
	case exists(filepath.Join(root, "cgroup.controllers")):
		return "v2"
	case v1 && unified:
		return "hybrid"
	case v1:
		return "v1"
	default:
		return "none"
	}
}

// hierarchy is where the cgroups of a controller are: in v2 all are in one.
func (c Cgroups) hierarchy(controller string) string {
	if c.version == "v2" {
		return c.root
	}
	return filepath.Join(c.root, controller)
}

// hierarchies is where cgroups of ours can be: an OCI runtime makes them in every one.
func (c Cgroups) hierarchies() []string {
	if c.version == "v2" {
		return []string{c.root}
	}
	return children(c.root)
}

// prepare makes the folder and sees to it that cgroups in it have the controller.
func (c Cgroups) prepare(controller string) error {
	if c.version == "none" {
		return errors.New("no cgroup hierarchy is mounted")
	}
	dir := c.hierarchy(controller)
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if err := makeAll(filepath.Join(dir, c.name)); err != nil {
		return err
	}
	if c.version == "v2" && (controller == "cpuacct" || controller == "freezer") {
		return nil
	}
	if c.version != "v2" {
		return unix.Access(filepath.Join(dir, c.name, "cgroup.procs"), unix.W_OK)
	}
	// A cgroup has a controller when each one above hands it down.
	for _, element := range append(strings.Split(c.name, "/"), "") {
		control := filepath.Join(dir, "cgroup.subtree_control")
		enabled, err := os.ReadFile(control)
		if err != nil {
			return err
		}
		if !slices.Contains(strings.Fields(string(enabled)), controller) {
			if err := write(control, "+"+controller); err != nil {
				return err
			}
		}
		dir = filepath.Join(dir, element)
	}
	return nil
}

// makeAll is os.MkdirAll where others may remove the upper folders, empty as
// they are, at the same time.
func makeAll(dir string) (err error) {
	for range 10 {
		if err = os.MkdirAll(dir, 0o755); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// Has reports whether a controller limits the cgroups that Create makes.
func (c Cgroups) Has(controller string) bool { return c.parents[controller] != "" }

// Remove removes the folder, with every cgroup in it and what runs there, and
// the folders above it that are empty then.
func (c Cgroups) Remove() error {
	var errs []error
	for _, root := range c.hierarchies() {
		dir := filepath.Join(root, c.name)
		errs = append(errs, removeTree(dir))
		for dir = filepath.Dir(dir); dir != root && syscall.Rmdir(dir) == nil; dir = filepath.Dir(dir) {
		}
	}
	return errors.Join(errs...)
}

// RemoveOthers removes all that is beside the folder, and names the cgroups in
// which nothing else is.
func (c Cgroups) RemoveOthers() (removed []string, err error) {
	var errs []error
	for _, root := range c.hierarchies() {
		parent := filepath.Dir(filepath.Join(root, c.name))
		for _, child := range children(parent) {
			if child == filepath.Join(root, c.name) {
				continue
			}
			for _, leaf := range leaves(child) {
				if name, err := filepath.Rel(root, leaf); err == nil && !slices.Contains(removed, name) {
					removed = append(removed, name)
				}
			}
			errs = append(errs, removeTree(child))
		}
	}
	return removed, errors.Join(errs...)
}

// children is the folders in dir, none when it is not there.
func children(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	return dirs
}

// leaves is the folders in dir that have no folder in them, dir itself if it has none.
func leaves(dir string) []string {
	below := children(dir)
	if len(below) == 0 {
		return []string{dir}
	}
	var all []string
	for _, child := range below {
		all = append(all, leaves(child)...)
	}
	return all
}

// folder of all that is ours in a hierarchy.
const ours = "ainur"

// Runs are those that have cgroups below root, each with the path from there on.
func Runs(root string) (byPath map[string]string) {
	byPath = map[string]string{}
	for _, hierarchy := range (Cgroups{root: root, version: CgroupVersion(root)}).hierarchies() {
		for _, dir := range children(filepath.Join(hierarchy, ours)) {
			byPath[dir] = filepath.Base(dir)
		}
	}
	return byPath
}

// Sweep removes the cgroups below root of runs that are not to be kept, with what
// runs in them, and names them.
func Sweep(root string, keep func(run string) bool) (removed []string, err error) {
	var errs []error
	for dir, run := range Runs(root) {
		if keep(run) {
			continue
		}
		err := removeTree(dir)
		if err == nil {
			removed = append(removed, "cgroup "+dir)
		}
		errs = append(errs, err)
		_ = syscall.Rmdir(filepath.Dir(dir)) // it stays when something else is in it
	}
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}
