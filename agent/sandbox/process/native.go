package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// native starts processes with a root filesystem, namespaces, no rights and a
// filter of system calls: what an OCI runtime does, without executing one.
type native struct {
	spawner *spawner
	mounts  *os.File // the mount namespace of the host
	network *os.File // the network namespace of the host
	null    *os.File
	program []unix.SockFilter // the filter of system calls
	filter  unix.SockFprog    // which points to it
}

// errNoRoot is why sandboxes have no root filesystem of their own.
var errNoRoot = errors.New("it takes user 0")

func newNative(s *spawner) (*native, error) {
	if os.Getuid() != 0 {
		return nil, errNoRoot
	}
	program, err := filter(nil)
	if err != nil {
		return nil, err
	}
	n := &native{spawner: s, program: program, filter: unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}}
	for into, name := range map[**os.File]string{&n.mounts: "/proc/thread-self/ns/mnt", &n.network: "/proc/thread-self/ns/net", &n.null: os.DevNull} {
		if *into, err = os.Open(name); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

func (n *native) close() error {
	if n == nil {
		return nil
	}
	var errs []error
	for _, f := range []*os.File{n.mounts, n.network, n.null} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// tmpfsOptions are those of a sandbox's own folders.
func tmpfsOptions(size spec.Bytes) string { return fmt.Sprintf("size=%d,mode=1777", size) }

// launch is what to start.
type launch struct {
	root      *root
	cgroup    resource.Cgroup
	network   *os.File   // its network namespace; nil is a new, empty one
	forks     *forks     // for a zygote; nil for a sandbox
	env       []string   // on top of the root's
	files     []*os.File // 1, 2, 3 ... of the process
	temporary spec.Bytes // size of /tmp and /dev/shm
}

// nobody is the user and the group of zygotes and what they fork.
const nobody = 65534

// forks is what a zygote may do beyond a sandbox.
type forks struct{ filter unix.SockFprog }

// forksInto is what a zygote needs, whose forks have these namespaces of their own, and
// mount what a sandbox does.
func forksInto(namespaces uint32) (*forks, error) {
	program, err := filter(map[string][]condition{
		"clone": {equals(0, namespaces|uint32(unix.SIGCHLD))},
		"mount": {equals(3, tmpFlags), equals(3, shmFlags), equals(3, procFlags)},
	})
	if err != nil {
		return nil, err
	}
	return &forks{unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}}, nil
}

// The flags of the filesystems that are a sandbox's own.
const (
	tmpFlags  = unix.MS_NOSUID | unix.MS_NODEV
	shmFlags  = tmpFlags | unix.MS_NOEXEC
	procFlags = shmFlags | unix.MS_RDONLY
)

// become adds the steps by which a process is nobody, with one capability that holds in a
// user namespace of its own: to make namespaces, and mount in them.
func (f *forks) become(c *child) {
	c.do("drop groups", unix.SYS_SETGROUPS, 0, 0)
	c.do("change group", unix.SYS_SETRESGID, nobody, nobody, nobody)
	c.do("change user", unix.SYS_SETRESUID, nobody, nobody, nobody)
	c.do("make a user namespace", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	one := uint32(1 << unix.CAP_SYS_ADMIN)
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	c.do("drop capabilities", unix.SYS_CAPSET, unsafe.Pointer(header), unsafe.Pointer(&[2]unix.CapUserData{{Effective: one, Permitted: one, Inheritable: one}}))
	c.do("keep a capability", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN)
	c.do("filter system calls", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, unsafe.Pointer(&f.filter))
}

// mapNobody gives nobody a number in the user namespace of a zygote, without which its forks
// could not make files.
func mapNobody(pid int) error {
	var errs []error
	for _, file := range []string{"uid_map", "gid_map"} {
		errs = append(errs, os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, file), fmt.Appendf(nil, "%d %d 1", nobody, nobody), 0))
	}
	return errors.Join(errs...)
}

// start starts the program of a root.
func (n *native) start(l launch) (*os.Process, error) {
	c := &child{}
	c.begin(append([]*os.File{n.null}, l.files...))
	size := tmpfsOptions(l.temporary)
	c.do("mount /tmp", unix.SYS_MOUNT, "tmpfs", "/tmp", "tmpfs", tmpFlags, size)
	c.do("mount /dev/shm", unix.SYS_MOUNT, "tmpfs", "/dev/shm", "tmpfs", shmFlags, size)
	c.do("mount /proc", unix.SYS_MOUNT, "proc", "/proc", "proc", procFlags)
	c.do("drop a capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, unix.CAP_DAC_READ_SEARCH)
	if l.forks != nil {
		l.forks.become(c)
	} else {
		c.do("filter system calls", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, unsafe.Pointer(&n.filter))
	}
	c.do("end with the agent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	c.do("go to /tmp", unix.SYS_CHDIR, "/tmp")
	if err := c.exec(l.root.argv, container.Merge(l.root.env, l.env)); err != nil {
		return nil, err
	}
	var process *os.Process
	err := n.spawner.do(func() error {
		var attributes syscall.SysProcAttr
		return l.cgroup.Start(&attributes, func() (err error) {
			process, err = n.within(l, c, &attributes)
			return err
		})
	})
	return process, err
}

// within starts the process from inside the mounts of the root and the network.
func (n *native) within(l launch, c *child, attributes *syscall.SysProcAttr) (process *os.Process, err error) {
	flags := uint64(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
	switch l.network {
	case nil:
		flags |= unix.CLONE_NEWNET
	case n.network:
	default:
		if err := unix.Setns(int(l.network.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("enter the network namespace: %w", err)
		}
		defer n.back(n.network, unix.CLONE_NEWNET)
	}
	if err := unix.Setns(int(l.root.namespace.Fd()), unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("enter the mount namespace: %w", err)
	}
	defer n.back(n.mounts, unix.CLONE_NEWNS)
	return c.start(flags, attributes)
}

// back brings the thread back to a namespace of the host. There is no going on without.
func (n *native) back(namespace *os.File, kind int) {
	if err := unix.Setns(int(namespace.Fd()), kind); err != nil {
		panic(fmt.Sprintf("process: the thread cannot go back to the host's namespace: %v", err))
	}
}
