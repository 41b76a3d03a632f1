package lab

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// plain are the folders of a host that are folders of the lab, empty at first: what
// is the machine's there is not the host's. They are no overlays because others lay
// overlays upon them, as containerd and ainur do.
var plain = []string{"/run", "/tmp", "/var/tmp", "/var/log", "/var/lib", "/root", "/home"}

// sticky are those of plain that everybody may write to.
var sticky = []string{"/tmp", "/var/tmp"}

// missing is what a host does not have of the machine's.
var missing = []string{"/opt/ainur", "/opt/containerd", "/var/lib/ainur", "/var/lib/containerd", "/var/lib/docker"}

// daemons are folders of a host that Changes does not look at: containerd's own.
var daemons = []string{"/var/lib/containerd", "/run/containerd"}

// The folders in that of a host: of what it has written, of what overlays need beside
// it, and the one that becomes its root.
const (
	upper  = "upper"
	work   = "work"
	merged = "root"
)

// folder of a path that is plain or a layer, below upper or work in the folder of a host.
func folder(host, path, which string) string {
	return filepath.Join(host, which, strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "+")+"-")
}

// layers are where the machine's file systems are mounted that a host sees, below what
// it has written: those on a disk or behind a network, and not in a plain folder.
func layers() ([]string, error) {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return choose(mounts), nil
}

func choose(mounts []*mountinfo.Info) []string {
	all := []string{"/"}
	for _, m := range mounts {
		data := strings.HasPrefix(m.Source, "/dev/") || slices.Contains([]string{"btrfs", "zfs", "9p", "virtiofs", "nfs", "nfs4"}, m.FSType)
		hidden := slices.ContainsFunc(append([]string{"/proc", "/sys", "/dev"}, plain...), func(p string) bool { return within(m.Mountpoint, p) })
		seen := slices.Contains(all, m.Mountpoint)
		if data && !hidden && !seen {
			if info, err := os.Stat(m.Mountpoint); err == nil && info.IsDir() {
				all = append(all, m.Mountpoint)
			}
		}
	}
	slices.Sort(all)
	return all
}

// within reports whether path is dir or in it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// layersFile has what layers returned when the host was made, in its folder.
const layersFile = "layers"

// prepare makes the folder of a host: what is to be mounted, with the files in it
// that the host has from the beginning.
func (l *Lab) prepare(h *Host, hostKey []byte) ([]string, error) {
	all, err := layers()
	if err != nil {
		return nil, err
	}
	host := l.path(h.Name)
	dirs := []string{filepath.Join(host, merged)}
	for _, layer := range all {
		dirs = append(dirs, folder(host, layer, upper), folder(host, layer, work))
	}
	for _, p := range plain {
		dirs = append(dirs, folder(host, p, upper))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, layer := range all { // a root of an overlay is as it is above
		if err := likewise(folder(host, layer, upper), layer); err != nil {
			return nil, err
		}
	}
	for _, p := range sticky {
		if err := os.Chmod(folder(host, p, upper), 0o777|fs.ModeSticky); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(host, layersFile), text, 0o600); err != nil {
		return nil, err
	}
	return all, l.furnish(h, hostKey)
}

// likewise gives a folder the owner and the mode of another.
func likewise(dir, other string) error {
	var s unix.Stat_t
	if err := unix.Stat(other, &s); err != nil {
		return fmt.Errorf("look at %s: %w", other, err)
	}
	if err := unix.Chown(dir, int(s.Uid), int(s.Gid)); err != nil {
		return fmt.Errorf("change the owner of %s: %w", dir, err)
	}
	return unix.Chmod(dir, s.Mode&0o7777)
}

// furnish writes the files of a host. The host's root is not mounted yet.
func (l *Lab) furnish(h *Host, hostKey []byte) error {
	host := l.path(h.Name)
	root := folder(host, "/", upper)
	files, err := l.etc(h, hostKey)
	if err != nil {
		return err
	}
	for path, text := range files {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(path, "_key") || path == "/etc/shadow" || within(path, "/etc/sudoers.d") {
			mode = 0o400
		}
		if err := write(filepath.Join(root, path), text, mode); err != nil {
			return err
		}
	}
	if err := hide(root); err != nil {
		return err
	}
	for _, path := range append([]string{"/run/sshd", "/run/lock", "/run/mount"}, daemons...) {
		if err := os.MkdirAll(folder(host, filepath.Dir(path), upper)+path[len(filepath.Dir(path)):], 0o755); err != nil {
			return err
		}
	}
	if err := l.letIn(folder(host, "/root", upper), 0); err != nil {
		return err
	}
	if l.user == "" {
		return nil
	}
	home := filepath.Join(folder(host, "/home", upper), l.user)
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	return l.letIn(home, userID)
}

// hide keeps what is the machine's own out of a root that has only the host's files yet.
func hide(root string) error {
	if err := unix.Setxattr(filepath.Join(root, "etc/ssh"), opaque, []byte("y"), 0); err != nil {
		return fmt.Errorf("hide /etc/ssh: %w", err)
	}
	for _, path := range missing {
		if _, err := os.Lstat(path); err != nil || within(path, "/var/lib") { // it is not mounted there, see mountPlain
			continue
		}
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			return err
		}
		if err := unix.Mknod(filepath.Join(root, path), unix.S_IFCHR, 0); err != nil { // which overlays take as removed
			return fmt.Errorf("hide %s: %w", path, err)
		}
	}
	return nil
}

// letIn makes the home of a user whom the lab's key lets in.
func (l *Lab) letIn(home string, user int) error {
	key, err := os.ReadFile(l.Key + ".pub")
	if err != nil {
		return err
	}
	file := filepath.Join(home, ".ssh", "authorized_keys")
	if err := write(file, string(key), 0o600); err != nil {
		return err
	}
	for _, path := range []string{home, filepath.Dir(file), file} {
		if err := os.Chown(path, user, user); err != nil {
			return err
		}
	}
	return os.Chmod(home, 0o700)
}

func write(path, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}

// mountRoot gives the thread, in a mount namespace of its own, the root of a host.
// Its /proc is still missing: that takes a process in the PID namespace.
func mountRoot(host string, all []string, cgroups map[string]string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the machine's mounts: %w", err)
	}
	root := filepath.Join(host, merged)
	for _, layer := range all {
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", layer, folder(host, layer, upper), folder(host, layer, work))
		if err := mount("overlay", root+layer, "overlay", 0, options); err != nil {
			return err
		}
	}
	for _, p := range plain {
		if err := mountPlain(host, root, p); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		source, path, kind string
		flags              uintptr
		options            string
	}{
		{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"/dev", "/dev", "", unix.MS_BIND, ""},
		{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	} {
		if err := mount(m.source, root+m.path, m.kind, m.flags, m.options); err != nil {
			return err
		}
	}
	if err := mountCgroups(root, cgroups); err != nil {
		return err
	}
	return pivot(root)
}

// mountPlain puts a plain folder in its place. Of the machine's /var/lib all is
// seen that is not missing, each thing by a mount of its own.
func mountPlain(host, root, path string) error {
	from := folder(host, path, upper)
	if path == "/var/lib" {
		entries, err := os.ReadDir(root + path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if slices.Contains(missing, filepath.Join(path, e.Name())) || !e.IsDir() {
				continue
			}
			stub := filepath.Join(from, e.Name())
			if err := os.MkdirAll(stub, 0o755); err != nil {
				return err
			}
			if err := mount(filepath.Join(root, path, e.Name()), stub, "", unix.MS_BIND, ""); err != nil {
				return err
			}
		}
	}
	return mount(from, root+path, "", unix.MS_BIND|unix.MS_REC, "")
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// pivot makes root the thread's root, and lets go of the old one.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("enter %s: %w", root, err)
	}
	if err := unix.PivotRoot(".", "."); err != nil { // the old root is mounted upon the new one
		return fmt.Errorf("change the root to %s: %w", root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the machine's root: %w", err)
	}
	return unix.Chdir("/")
}

// userID is the number of Options.User, and of its group.
const userID = 7777
