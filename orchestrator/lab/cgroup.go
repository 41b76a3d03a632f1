package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Hosts have cgroups of their own in every hierarchy, as the roots of what they see.
const (
	cgroupRoot   = "/sys/fs/cgroup"
	cgroupFolder = "ainur-lab" // in a hierarchy
	cgroupLeaf   = "init"      // in a host's, for its processes: in v2 a cgroup with others in it has none
)

// hierarchies are the mounted ones: a single one in v2.
func hierarchies() (dirs []string, err error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != "cgroup" && m.FSType != "cgroup2" || !within(m.Mountpoint, cgroupRoot), false
	})
	if err != nil {
		return nil, fmt.Errorf("list hierarchies of cgroups: %w", err)
	}
	for _, m := range mounts {
		dirs = append(dirs, m.Mountpoint)
	}
	return dirs, nil
}

// makeCgroups makes the cgroups of a host. They are found again by their name.
func (l *Lab) makeCgroups(h *Host) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range dirs {
		dir := hierarchy
		for _, name := range []string{cgroupFolder, l.id(), h.Name} {
			if hierarchy == cgroupRoot && dir != hierarchy { // the machine's own settings stay
				if err := handDown(dir); err != nil {
					return fmt.Errorf("make cgroups in %s: %w", dir, err)
				}
			}
			parent := dir
			dir = filepath.Join(dir, name)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("make cgroup: %w", err)
			}
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // in v1 they are empty at first, and nothing may run
				if err := inherit(parent, dir, file); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// handDown lets the cgroups in dir have all controllers that dir has, which is for
// v2 alone: in v1 they have, and beside v1 crun wants v2 to have none.
func handDown(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return err
	}
	all := "+" + strings.Join(strings.Fields(string(text)), " +")
	return os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(all), 0)
}

// inherit gives dir the setting that its parent has in v1.
func inherit(parent, dir, file string) error {
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err == nil {
		return nil
	}
	value, err := os.ReadFile(filepath.Join(parent, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), value, 0)
}

// join puts the first process of a host into the host's cgroups.
func (l *Lab) join(h *Host) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range dirs {
		dir := filepath.Join(hierarchy, cgroupFolder, l.id(), h.Name)
		if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil { // v2
			dir = filepath.Join(dir, cgroupLeaf)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(h.PID)), 0); err != nil {
			return fmt.Errorf("enter cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// cgroups are the folders of a host's cgroups, by where the host is to see them.
func (l *Lab) cgroups(h *Host) (byPath map[string]string, err error) {
	dirs, err := hierarchies()
	if err != nil {
		return nil, err
	}
	byPath = map[string]string{}
	for _, hierarchy := range dirs {
		byPath[hierarchy] = filepath.Join(hierarchy, cgroupFolder, l.id(), h.Name)
	}
	return byPath, nil
}

// mountCgroups lets the thread's root have cgroups of the machine, where the
// machine has its own.
func mountCgroups(root string, byPath map[string]string) error {
	if from, ok := byPath[cgroupRoot]; ok { // v2
		return mount(from, root+cgroupRoot, "", unix.MS_BIND, "")
	}
	if len(byPath) == 0 {
		return nil
	}
	if err := mount("tmpfs", root+cgroupRoot, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755"); err != nil {
		return err
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(cgroupRoot, e.Name())
		if e.Type()&fs.ModeSymlink != 0 { // from the name of a controller to its hierarchy
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if err := os.Symlink(to, root+path); err != nil {
				return err
			}
		}
		from, ok := byPath[path]
		if !ok {
			continue
		}
		if err := os.Mkdir(root+path, 0o755); err != nil {
			return err
		}
		if err := mount(from, root+path, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// thaw lets what is frozen in the lab's cgroups of v1 end: it does not by a signal.
func (l *Lab) thaw() error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range dirs {
		err := filepath.WalkDir(filepath.Join(hierarchy, cgroupFolder, l.id()), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "freezer.state" {
				err = os.WriteFile(path, []byte("THAWED"), 0)
			}
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) { // it was removed meanwhile
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("thaw cgroups: %w", err)
		}
	}
	return nil
}

// removeCgroups removes those of the lab. Its processes have ended.
func (l *Lab) removeCgroups() error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, hierarchy := range dirs {
		errs = append(errs, removeTree(filepath.Join(hierarchy, cgroupFolder, l.id())))
		_ = unix.Rmdir(filepath.Join(hierarchy, cgroupFolder)) // it stays when another lab has some
	}
	return errors.Join(errs...)
}

// removeTree removes a cgroup and those in it. The kernel may take a moment to see
// that nothing runs in them.
func removeTree(dir string) error {
	deadline := time.Now().Add(2 * time.Second)
	for wait := time.Millisecond; ; wait *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		for _, e := range entries {
			if e.IsDir() {
				if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
		time.Sleep(wait)
	}
}
