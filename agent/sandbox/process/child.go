package process

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// step is one system call of a process between its start and its program. It is
// prepared before: there the process shares the memory of the agent, of which
// one thread sleeps meanwhile, and may neither allocate nor block.
type step struct {
	call uintptr
	args [5]uintptr
	what string
}

// child is the steps of a process, and what they point to.
type child struct {
	steps  []step
	keep   []any // what the arguments point to
	failed int   // index of the step that failed, with errno
	errno  syscall.Errno
}

// do adds a step whose arguments are numbers, strings, *os.File, or unsafe.Pointer.
func (c *child) do(what string, call uintptr, args ...any) {
	s := step{call: call, what: what}
	for i, arg := range args {
		switch v := arg.(type) {
		case int:
			s.args[i] = uintptr(v)
		case string:
			p, err := unix.BytePtrFromString(v)
			if err != nil {
				panic("process: a path with a zero byte: " + v)
			}
			c.keep = append(c.keep, p)
			s.args[i] = uintptr(unsafe.Pointer(p))
		case *os.File:
			c.keep = append(c.keep, v)
			s.args[i] = v.Fd()
		case unsafe.Pointer:
			c.keep = append(c.keep, v)
			s.args[i] = uintptr(v)
		default:
			panic(fmt.Sprintf("process: an argument of type %T", arg))
		}
	}
	c.steps = append(c.steps, s)
}

// begin adds the first steps: a session without a terminal, into which a function
// could type, and these files as the only descriptors,
// from 0 on.
func (c *child) begin(files []*os.File) {
	c.do("make a session", unix.SYS_SETSID)
	for i, f := range files {
		if int(f.Fd()) == i {
			c.do("keep a descriptor", unix.SYS_FCNTL, f, unix.F_SETFD, 0)
		} else {
			c.do("hand down a descriptor", unix.SYS_DUP3, f, i, 0)
		}
	}
	c.do("close other descriptors", unix.SYS_CLOSE_RANGE, len(files), math.MaxInt32, 0) // that the agent has inherited
}

// exec adds the last step, the program.
func (c *child) exec(argv, env []string) error {
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	vars, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	c.keep = append(c.keep, args, vars)
	c.do("execute "+argv[0], unix.SYS_EXECVE, argv[0], unsafe.Pointer(&args[0]), unsafe.Pointer(&vars[0]))
	return nil
}

// cloneArgs are those of clone3, up to the cgroup.
type cloneArgs struct {
	flags      uint64
	_          [3]uint64 // where to write a pidfd and thread ids
	exitSignal uint64
	_          [5]uint64 // the stack, thread-local storage and chosen ids
	cgroup     uint64
}

// start makes a process with the namespaces of the calling thread, which must be
// locked, and new ones by flags, in the cgroup of the thread or, in v2, of the
// attributes, and has it take the steps.
func (c *child) start(flags uint64, attributes *syscall.SysProcAttr) (*os.Process, error) {
	args := cloneArgs{flags: flags | unix.CLONE_VM | unix.CLONE_VFORK, exitSignal: uint64(unix.SIGCHLD)}
	if attributes.UseCgroupFD {
		args.flags, args.cgroup = args.flags|unix.CLONE_INTO_CGROUP, uint64(attributes.CgroupFD)
	}
	c.failed = -1
	syscall.ForkLock.Lock()
	pid, errno := c.vfork(&args)
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(c)
	if errno != 0 {
		return nil, fmt.Errorf("clone3: %w", syscall.Errno(errno))
	}
	process, err := os.FindProcess(int(pid))
	if err != nil {
		return nil, err
	}
	if c.failed >= 0 {
		_, _ = process.Wait() // it has ended
		return nil, fmt.Errorf("%s: %w", c.steps[c.failed].what, c.errno)
	}
	return process, nil
}

// vfork starts the child and, in it, takes the steps. No signal may be handled
// in the child: a handler would run on the stack of the parent.
//
//go:norace
//go:nosplit
func (c *child) vfork(args *cloneArgs) (pid, errno uintptr) {
	all, old := ^uint64(0), uint64(0)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, errno = vfork(args, unsafe.Sizeof(*args))
	if pid == 0 && errno == 0 {
		for i := range c.steps {
			s := &c.steps[i]
			if i == len(c.steps)-1 {
				none := uint64(0)
				syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&none)), 0, 8, 0, 0)
			}
			_, _, e := syscall.RawSyscall6(s.call, s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], 0)
			if e != 0 {
				c.failed, c.errno = i, e
				break
			}
		}
		for {
			syscall.RawSyscall(unix.SYS_EXIT, 127, 0, 0)
		}
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	return pid, errno
}

// vfork is clone3 with flags that hold VFORK and VM; see the assembly.
//
//go:noescape
func vfork(args *cloneArgs, size uintptr) (pid, errno uintptr)
