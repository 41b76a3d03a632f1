package lab

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// opaque is the attribute of a folder that hides what is below it.
const opaque = "trusted.overlay.opaque"

// Change is a file, folder or link that a host has otherwise than it had when the
// lab was up.
type Change struct {
	Kind string `json:"kind"` // added, changed or removed
	Path string `json:"path"` // as the host sees it
}

func (c Change) String() string { return c.Kind + " " + c.Path }

// mark is what tells a file from one that was changed.
type mark struct {
	Mode     uint32 // with the type
	UID, GID uint32
	Size     int64
	Modified int64 // ns
	Opaque   bool  // a folder in place of the machine's
	Plain    bool  // in a plain folder, where nothing is the machine's
}

// whiteout is of what was removed from a file system below.
const whiteout = unix.S_IFCHR

func markOf(info fs.FileInfo) mark {
	s := info.Sys().(*syscall.Stat_t)
	m := mark{Mode: s.Mode, UID: s.Uid, GID: s.Gid, Size: s.Size, Modified: s.Mtim.Nano()}
	switch {
	case info.IsDir():
		m.Size, m.Modified = 0, 0 // they change with what is in it
	case s.Mode&unix.S_IFMT == unix.S_IFCHR && s.Rdev == 0:
		m = mark{Mode: whiteout}
	}
	return m
}

// baselineFile has what written returned when the host was made, in its folder.
const baselineFile = "baseline"

// remember writes down what a host has written until now, which is no change.
func (l *Lab) remember(h *Host) error {
	all, err := l.written(h)
	if err != nil {
		return err
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(l.path(h.Name, baselineFile), text, 0o600)
}

// written is all that is above the machine's own files.
func (l *Lab) written(h *Host) (map[string]mark, error) {
	host := l.path(h.Name)
	text, err := os.ReadFile(filepath.Join(host, layersFile))
	if err != nil {
		return nil, err
	}
	var paths []string
	if err := json.Unmarshal(text, &paths); err != nil {
		return nil, err
	}
	all := map[string]mark{}
	for _, p := range append(paths, plain...) {
		root := folder(host, p, upper)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
				return nil
			}
			if err != nil || path == root {
				return err
			}
			at := filepath.Join(p, strings.TrimPrefix(path, root))
			if slices.Contains(daemons, at) {
				return fs.SkipDir
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			m := markOf(info)
			m.Plain = slices.Contains(plain, p)
			if info.IsDir() {
				n, err := unix.Lgetxattr(path, opaque, nil)
				m.Opaque = err == nil && n > 0
			}
			all[at] = m
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list what %s has written: %w", h.Name, err)
		}
	}
	return all, nil
}

// Changes is what a host has written since the lab was up, in the order of the
// paths. What it has written to /proc, /sys and /dev is not seen, nor containerd's data.
func (l *Lab) Changes(host string) (changes []Change, err error) {
	h, err := l.find(host)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(l.path(h.Name, baselineFile))
	if err != nil {
		return nil, err
	}
	var before map[string]mark
	if err := json.Unmarshal(text, &before); err != nil {
		return nil, err
	}
	now, err := l.written(h)
	if err != nil {
		return nil, err
	}
	for path, m := range now {
		if kind := change(path, m, before); kind != "" {
			changes = append(changes, Change{kind, path})
		}
	}
	for path := range before {
		if _, there := now[path]; !there {
			changes = append(changes, Change{"removed", path})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return changes, nil
}

// change says what has become of a path: "" is nothing.
func change(path string, now mark, before map[string]mark) string {
	was, known := before[path]
	if !known && !now.Plain {
		if info, err := os.Lstat(path); err == nil {
			was, known = markOf(info), true
		}
	}
	switch {
	case was == now && known:
		return ""
	case now.Mode == whiteout:
		return "removed"
	case !known || was.Mode == whiteout:
		return "added"
	default:
		return "changed"
	}
}

// Process is one of a host.
type Process struct {
	PID  int      `json:"pid"` // as the host sees it
	Args []string `json:"args"`
}

// Processes are those of a host, also in its containers, in the order of their numbers.
func (l *Lab) Processes(host string) (all []Process, err error) {
	h, err := l.find(host)
	if err != nil {
		return nil, err
	}
	init := kept(l.path(h.Name))
	if init == 0 {
		return nil, nil // it has been shut down
	}
	proc := fmt.Sprintf("/proc/%d/root/proc", init)
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", host, err)
	}
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, err := os.ReadFile(filepath.Join(proc, e.Name(), "cmdline"))
		if err != nil || len(args) == 0 { // it has ended
			continue
		}
		all = append(all, Process{number, strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")})
	}
	slices.SortFunc(all, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	return all, nil
}
