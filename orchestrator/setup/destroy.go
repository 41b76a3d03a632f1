package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/orchestrator/facts"
)

// destroy goes backwards through the manifest, and lists what is left.
func (machine Machine) destroy(ctx context.Context, r Request, report *Report) error {
	m, err := load(r.Desired.Layout)
	if err != nil {
		return err
	}
	h, err := facts.Read(ctx, here{}, m.Query())
	if err != nil {
		return err
	}
	report.Changes = Removal(m, h)
	if err := stop(ctx, m.Layout, h.Processes, true); err != nil {
		return err
	}
	if report.Reclaimed, err = machine.reclaim(m); err != nil {
		return err
	}
	if err := machine.Vacate(ctx, m.Node()); err != nil {
		return fmt.Errorf("remove what runs have left with daemons: %w", err)
	}
	if m.Systemd {
		if err := remove(m.Unit()); err != nil {
			return err
		}
		if err := systemctl(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	kept, err := m.unset(ctx, func(Saved) bool { return true })
	if err != nil {
		return err
	}
	report.Left = append(report.Left, kept...)
	if err := m.uninstall(ctx); err != nil {
		return err
	}
	m.Supervisor, m.Systemd = nil, false
	if err := errors.Join(m.save(), removeTree(m.Run()), removeTree(m.Root())); err != nil {
		return err
	}
	left, err := m.left(ctx)
	report.Left = append(report.Left, left...)
	if err != nil {
		return err
	}
	if r.KeepResults && exists(filepath.Join(m.Node(), "runs")) {
		return m.keep()
	}
	return m.vanish()
}

// reclaim removes what runs have left beside their folders: sandboxes, containers, cgroups.
func (machine Machine) reclaim(m *Manifest) (removed []string, err error) {
	runs, err := os.ReadDir(filepath.Join(m.Node(), "runs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, run := range runs {
		names, err := machine.Reclaim(run.Name(), filepath.Join(m.Node(), "runs", run.Name()))
		removed = append(removed, names...)
		if err != nil {
			return removed, fmt.Errorf("remove what run %s left: %w", run.Name(), err)
		}
	}
	return removed, nil
}

// restore gives back the settings that were for the time of a run.
func (Machine) restore(ctx context.Context, r Request, report *Report) error {
	m, err := load(r.Desired.Layout)
	if err != nil {
		return err
	}
	report.Changes = Restoring(m)
	report.Left, err = m.unset(ctx, func(s Saved) bool { return s.Tune })
	return err
}

// Restoring is the settings that restore gives back.
func Restoring(m *Manifest) (all []Change) {
	for _, s := range m.Saved {
		if s.Tune {
			all = append(all, s.back(Update))
		}
	}
	return all
}

// back is the change that undoes it.
func (s Saved) back(kind Kind) Change {
	return Change{Kernel, kind, fmt.Sprintf("%s %s -> %s", s.Name, s.Set, s.Was), "as it was"}
}

// unset gives the host back what it had, the last change first. What somebody else
// has changed since stays as it is, and is told.
func (m *Manifest) unset(ctx context.Context, which func(Saved) bool) (others []string, err error) {
	for _, s := range slices.Backward(slices.Clone(m.Saved)) {
		if !which(s) {
			continue
		}
		is, err := current(ctx, s.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && is == s.Was:
		case err != nil:
			return nil, err
		case is != s.Set:
			others = append(others, fmt.Sprintf("%s is %s: somebody changed it from the %s that it was set to; it had been %s", s.Name, is, s.Set, s.Was))
		default:
			if err := assign(ctx, s.Path, s.Was); err != nil {
				return nil, fmt.Errorf("restore %s: %w", s.Name, err)
			}
		}
	}
	m.Saved = slices.DeleteFunc(m.Saved, which)
	return others, m.save()
}

// left is what is there of what the manifest says is ours, beside the state.
func (m *Manifest) left(ctx context.Context) (all []string, err error) {
	h, err := facts.Read(ctx, here{}, m.Query())
	if err != nil {
		return nil, err
	}
	for _, p := range h.Processes {
		if p.PID != os.Getpid() {
			all = append(all, fmt.Sprintf("process %d", p.PID))
		}
	}
	for _, path := range []string{m.Root(), m.Run(), m.Unit()} {
		if exists(path) {
			all = append(all, path)
		}
	}
	mounts, err := mountsBelow(m.Home())
	return append(all, mounts...), err
}

// keep leaves the results of runs, and a manifest that says so.
func (m *Manifest) keep() error {
	m.Kept = true
	if err := m.save(); err != nil {
		return err
	}
	entries, err := os.ReadDir(m.Home())
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(m.Home(), e.Name())
		if path != m.Manifest() && path != m.Node() {
			if err := removeTree(path); err != nil {
				return err
			}
		}
	}
	return m.removeFolders([]string{m.StateDir})
}

// vanish removes the state, with the manifest. What is on the way out has a name by
// which the next that comes knows it.
func (m *Manifest) vanish() error {
	if err := m.handOver(); err != nil {
		return err
	}
	if err := m.removeFolders([]string{m.StateDir}); err != nil {
		return err
	}
	mounts, err := mountsBelow(m.Home())
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mount, err)
		}
	}
	top := m.Home()
	for slices.Contains(m.Folders, filepath.Dir(top)) && alone(top) {
		top = filepath.Dir(top)
	}
	away := m.temporaryBeside(top)
	if err := removeTree(away); err != nil {
		return err
	}
	if err := os.Rename(top, away); err != nil {
		return err
	}
	return removeTree(away)
}

// removeFolders removes the folders that were made to have ours in them and are
// empty, but those that have others in them and those that except is in.
func (m *Manifest) removeFolders(except []string) error {
	for _, folder := range slices.Backward(m.Folders) {
		if slices.ContainsFunc(except, func(e string) bool { return e == folder || strings.HasPrefix(e, folder+"/") }) {
			continue
		}
		if err := removeEmpty(folder); err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty removes a folder with those in it, as far as they are empty: agents
// make some.
func removeEmpty(folder string) error {
	var all []string
	if err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, path)
		}
		return err
	}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, path := range slices.Backward(all) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}

// handOver lets another deployment whose things are in folders that we made remove
// them when it goes.
func (m *Manifest) handOver() error {
	others, err := filepath.Glob(filepath.Join(m.StateDir, "*", "manifest.json"))
	if err != nil {
		return fmt.Errorf("look for other deployments in %s: %w", m.StateDir, err)
	}
	for _, path := range others {
		l := Layout{filepath.Base(filepath.Dir(path)), m.Prefix, m.StateDir}
		if l == m.Layout {
			continue
		}
		if other, err := load(l); err == nil {
			for _, f := range m.Folders {
				if !slices.Contains(other.Folders, f) {
					other.Folders = append(other.Folders, f)
				}
			}
			slices.Sort(other.Folders)
			return other.save()
		}
	}
	return nil
}

// alone reports whether nothing else is in the folder of path.
func alone(path string) bool {
	entries, err := os.ReadDir(filepath.Dir(path))
	return err == nil && len(entries) == 1
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeTree removes a folder with all in it. What is mounted below it is unmounted
// first: it is not ours to remove.
func removeTree(path string) error {
	mounts, err := mountsBelow(path)
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mount, err)
		}
	}
	return os.RemoveAll(path)
}

// mountsBelow are the mount points in a folder, the innermost first.
func mountsBelow(path string) (all []string, err error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint != path && !strings.HasPrefix(m.Mountpoint, path+"/"), false
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	for _, m := range slices.Backward(mounts) {
		all = append(all, m.Mountpoint)
	}
	return all, nil
}
