package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/resource"
)

// confined starts processes as the agent's own user, who need not be root: what
// they may do with files is what Landlock allows, and their system calls are filtered.
type confined struct {
	spawner    *spawner
	namespaces bool // of their own, by a user namespace where the user is not root
	landlock   landlock
	null       *os.File
	filter     unix.SockFprog
}

func newConfined(s *spawner, namespaces bool) (*confined, error) {
	l, err := findLandlock()
	if err != nil {
		return nil, err
	}
	program, err := filter(nil)
	if err != nil {
		return nil, err
	}
	c := &confined{spawner: s, namespaces: namespaces, landlock: l, filter: unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}}
	if c.null, err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *confined) close() error {
	if c == nil {
		return nil
	}
	return c.null.Close()
}

// command is what confined starts.
type command struct {
	argv, env []string
	reads     []string // files and folders beside the system's
	own       string   // a folder that it begins in, and may write to
	files     []*os.File
	cgroup    resource.Cgroup
}

// start starts a process.
func (c *confined) start(what command) (process *os.Process, err error) {
	rules, err := c.landlock.ruleset(what.reads, what.own)
	if err != nil {
		return nil, err
	}
	defer rules.Close()
	steps := &child{}
	files := append([]*os.File{c.null}, what.files...)
	held := len(files) // descriptor of the rules
	steps.begin(append(files, rules))
	var flags uint64
	if c.namespaces {
		flags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if os.Getuid() != 0 {
			flags |= unix.CLONE_NEWUSER
			steps.mapUser(held + 1)
		}
	}
	steps.do("end with the agent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	steps.do("go to "+what.own, unix.SYS_CHDIR, what.own)
	steps.do("restrict access to files", unix.SYS_LANDLOCK_RESTRICT_SELF, held, 0)
	steps.do("close the rules", unix.SYS_CLOSE, held)
	steps.do("filter system calls", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, unsafe.Pointer(&c.filter))
	if err := steps.exec(what.argv, what.env); err != nil {
		return nil, err
	}
	err = c.spawner.do(func() error {
		var attributes syscall.SysProcAttr
		return what.cgroup.Start(&attributes, func() (err error) {
			process, err = steps.start(flags, &attributes)
			return err
		})
	})
	return process, err
}

// mapUser adds steps that make the user of a new user namespace the same as outside;
// free is the lowest descriptor that is.
func (c *child) mapUser(free int) {
	for _, file := range []struct{ name, text string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("%d %d 1", os.Getuid(), os.Getuid())},
		{"gid_map", fmt.Sprintf("%d %d 1", os.Getgid(), os.Getgid())},
	} {
		c.do("open "+file.name, unix.SYS_OPENAT, unix.AT_FDCWD, "/proc/self/"+file.name, unix.O_WRONLY)
		c.do("write "+file.name, unix.SYS_WRITE, free, file.text, len(file.text))
		c.do("close "+file.name, unix.SYS_CLOSE, free)
	}
}

// probe starts something, in the folder dir.
func (c *confined) probe(dir string) error {
	process, err := c.start(command{argv: []string{"/bin/true"}, own: dir})
	if err != nil {
		return err
	}
	state, err := process.Wait()
	if err == nil && !state.Success() {
		err = errors.New("/bin/true: " + state.String())
	}
	return err
}
