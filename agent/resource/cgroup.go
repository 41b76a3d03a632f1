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
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroups is where this host's cgroup hierarchies are and which of the
// controllers memory, cpu and pids can be used below a folder of ours.
type Cgroups struct {
	Version string            // "v1", "v2", "hybrid" (controllers in v1, an empty v2 beside them) or "none"
	parents map[string]string // controller -> folder to make cgroups in
}

// controllers that limit a sandbox.
var controllers = []string{"memory", "cpu", "pids"}

// FindCgroups looks below root, which is /sys/fs/cgroup on a host. Cgroups are
// made in a folder called name of each hierarchy. What cannot be used is in problems, one sentence each.
func FindCgroups(root, name string) (c Cgroups, problems []string) {
	c = Cgroups{Version: version(root), parents: map[string]string{}}
	for _, controller := range controllers {
		parent := filepath.Join(root, controller, name)
		if c.Version == "v2" {
			parent = filepath.Join(root, name)
		}
		err := errors.New("no cgroup hierarchy is mounted")
		if c.Version != "none" {
			err = c.prepare(root, parent, controller)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s is not limited by a cgroup: %v", controller, err))
			continue
		}
		c.parents[controller] = parent
	}
	return c, problems
}

func version(root string) string {
	_, v2 := os.Stat(filepath.Join(root, "cgroup.controllers"))
	_, unified := os.Stat(filepath.Join(root, "unified", "cgroup.controllers"))
	_, v1 := os.Stat(filepath.Join(root, "memory"))
	switch {
	case v2 == nil:
		return "v2"
	case v1 == nil && unified == nil:
		return "hybrid"
	case v1 == nil:
		return "v1"
	default:
		return "none"
	}
}

// prepare makes the parent and sees to it that its children have the controller.
func (c Cgroups) prepare(root, parent, controller string) (err error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if c.Version == "v2" { // a cgroup has a controller when each above it hands it down
		for dir := parent; ; dir = filepath.Dir(dir) {
			if !slices.Contains(strings.Fields(readString(filepath.Join(dir, "cgroup.subtree_control"))), controller) {
				defer func() {
					if write := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0); err == nil {
						err = write
					}
				}()
			}
			if dir == root {
				return nil
			}
		}
	}
	return unix.Access(filepath.Join(parent, "cgroup.procs"), unix.W_OK)
}

// Has reports whether a controller limits the cgroups that Create makes.
func (c Cgroups) Has(controller string) bool { return c.parents[controller] != "" }

// Limits of a Cgroup.
type Limits struct {
	Memory   int64 // bytes
	MilliCPU int64 // 1000 = one core
	PIDs     int64
}

// Cgroup is the cgroups of one sandbox, one or more folders. The zero value
// limits and measures nothing.
type Cgroup struct {
	version string
	folders map[string]string // controller -> folder
}

// Create makes the cgroup called id with these limits. On error nothing is left of it.
func (c Cgroups) Create(id string, l Limits) (Cgroup, error) {
	g := Cgroup{version: c.Version, folders: map[string]string{}}
	for controller, parent := range c.parents {
		g.folders[controller] = filepath.Join(parent, id)
	}
	for _, dir := range g.unique() {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return Cgroup{}, errors.Join(err, g.Remove())
		}
	}
	files := map[string]map[string]string{
		"memory": {"memory.limit_in_bytes": strconv.FormatInt(l.Memory, 10)},
		"cpu":    {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": strconv.FormatInt(max(l.MilliCPU*100, 1000), 10)},
		"pids":   {"pids.max": strconv.FormatInt(l.PIDs, 10)},
	}
	if c.Version == "v2" {
		files["memory"] = map[string]string{"memory.max": strconv.FormatInt(l.Memory, 10), "memory.oom.group": "1"}
		files["cpu"] = map[string]string{"cpu.max": fmt.Sprintf("%d 100000", max(l.MilliCPU*100, 1000))}
	}
	for controller, dir := range g.folders {
		for name, value := range files[controller] {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0); err != nil {
				return Cgroup{}, errors.Join(err, g.Remove())
			}
		}
	}
	return g, nil
}

// unique is the folders, each once: in v2 they are one.
func (g Cgroup) unique() []string {
	dirs := make([]string, 0, len(g.folders))
	for _, controller := range controllers {
		if dir := g.folders[controller]; dir != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Join moves a process into the cgroup, which takes 6 to 19 ms after any pause
// of the host's cgroups (docs/performance.md).
func (g Cgroup) Join(pid int) error {
	for _, dir := range g.unique() {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return err
		}
	}
	return nil
}

// Memory is the bytes in use, -1 when unknown.
func (g Cgroup) Memory() int64 {
	name := "memory.usage_in_bytes"
	if g.version == "v2" {
		name = "memory.current"
	}
	n, err := readInt(filepath.Join(g.folders["memory"], name))
	if err != nil {
		return -1
	}
	return n
}

// OOMKills is how many processes the kernel has ended because of the memory limit.
func (g Cgroup) OOMKills() int64 {
	name := "memory.oom_control"
	if g.version == "v2" {
		name = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(g.folders["memory"], name))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64) // 0 when it is no number
			return n
		}
	}
	return 0
}

// removeWithin is how long Remove waits for killed processes to be gone.
const removeWithin = 2 * time.Second

// Remove kills what is in the cgroup and removes it. It may be called twice.
func (g Cgroup) Remove() error {
	var errs []error
	for _, dir := range g.unique() {
		errs = append(errs, removeCgroup(dir))
	}
	return errors.Join(errs...)
}

// Reclaim removes every cgroup that is left below the parents, and the parents,
// and names what it removed.
func (c Cgroups) Reclaim() (removed []string, err error) {
	dirs := Cgroup{folders: c.parents}.unique()
	var errs []error
	for _, parent := range dirs {
		children, err := os.ReadDir(parent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, child := range children {
			if child.IsDir() {
				dir := filepath.Join(parent, child.Name())
				removed = append(removed, "cgroup "+dir)
				errs = append(errs, removeCgroup(dir))
			}
		}
		errs = append(errs, removeCgroup(parent))
		_ = syscall.Rmdir(filepath.Dir(parent)) // which it shares with other runs: the last one removes it
	}
	return removed, errors.Join(errs...)
}

func removeCgroup(dir string) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := syscall.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || wait > removeWithin {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		if err := killCgroup(dir); err != nil {
			return err
		}
		time.Sleep(wait)
	}
}

func killCgroup(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	for field := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

func readString(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func readInt(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
