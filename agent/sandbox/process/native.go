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
	program, err := filter()
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
	nobody    bool       // as a user without any rights, who may make user namespaces
	env       []string   // on top of the root's
	files     []*os.File // 1, 2, 3 ... of the process
	temporary spec.Bytes // size of /tmp and /dev/shm
}

// nobody is the user and the group of processes that make user namespaces.
const nobody = 65534

// start starts the program of a root.
func (n *native) start(l launch) (*os.Process, error) {
	c := &child{}
	c.begin(append([]*os.File{n.null}, l.files...))
	size, flags := tmpfsOptions(l.temporary), unix.MS_NOSUID|unix.MS_NODEV
	c.do("mount /tmp", unix.SYS_MOUNT, "tmpfs", "/tmp", "tmpfs", flags, size)
	c.do("mount /dev/shm", unix.SYS_MOUNT, "tmpfs", "/dev/shm", "tmpfs", flags|unix.MS_NOEXEC, size)
	if l.nobody {
		c.do("mount /proc", unix.SYS_MOUNT, "proc", "/proc", "proc", flags|unix.MS_NOEXEC)
		c.do("drop groups", unix.SYS_SETGROUPS, 0, 0)
		c.do("change group", unix.SYS_SETRESGID, nobody, nobody, nobody)
		c.do("change user", unix.SYS_SETRESUID, nobody, nobody, nobody)
	} else {
		c.do("mount /proc", unix.SYS_MOUNT, "proc", "/proc", "proc", flags|unix.MS_NOEXEC|unix.MS_RDONLY)
		c.do("drop a capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, unix.CAP_DAC_READ_SEARCH)
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
