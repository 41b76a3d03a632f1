package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a process under Landlock may do with files, by the version of its interface
// that has the right (kernel.org, "Landlock: unprivileged access control").
const (
	mayRead  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	ofFiles  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	mayAll   = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // of the first version
	version2 = unix.LANDLOCK_ACCESS_FS_REFER
	version3 = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	version6 = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
)

// systemFiles are what every process may read: programs, libraries, settings, and what the
// kernel tells.
var systemFiles = []string{
	"/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/run/systemd/resolve", "/sbin", "/sys", "/usr",
}

// landlock is what this kernel's Landlock can forbid.
type landlock struct {
	version int
	files   uint64 // rights on files
	scoped  uint64
}

func findLandlock() (l landlock, err error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return l, fmt.Errorf("landlock: %w", errno)
	}
	l = landlock{version: int(version), files: mayAll}
	if l.version >= 2 {
		l.files |= version2
	}
	if l.version >= 3 {
		l.files |= version3
	}
	if l.version >= 6 {
		l.scoped = version6
	}
	return l, nil
}

// ruleset is what a process may do: read the system's files and these, use devices, and
// do anything in the folder own. What is not there is left out.
func (l landlock) ruleset(reads []string, own string) (_ *os.File, err error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: l.files, Scoped: l.scoped}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return nil, fmt.Errorf("make a Landlock ruleset: %w", errno)
	}
	ruleset := os.NewFile(fd, "landlock")
	allow := func(path string, rights uint64) {
		if addErr := l.allow(int(fd), path, rights); addErr != nil && !errors.Is(addErr, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("allow %s: %w", path, addErr))
		}
	}
	for _, path := range systemFiles {
		allow(path, mayRead)
	}
	for _, path := range reads {
		allow(path, mayRead)
	}
	for _, name := range devices {
		allow("/dev/"+name, ofFiles|version3)
	}
	allow(own, l.files)
	if err != nil {
		return nil, errors.Join(err, ruleset.Close())
	}
	return ruleset, nil
}

func (l landlock) allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles | version3
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights & l.files, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
