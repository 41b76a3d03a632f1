// Package process isolates by child processes: each sandbox is one in its own
// process group, with namespaces, cgroup limits and no new privileges as far
// as the kernel and the user's rights allow. It needs nothing installed.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/shim/wire"
)

// Options of an Isolation. All are required.
type Options struct {
	Dir   string // for records and temporary files; made if missing
	RunID string // labels cgroups, records and processes
	Log   *slog.Logger
}

// pidsLimit is how many processes and threads a sandbox may have.
const pidsLimit = 512

// Isolation is the kind "process".
type Isolation struct {
	options     Options
	cgroups     resource.Cgroups
	namespaces  bool // children can have their own
	user        bool // ... and need a user namespace for that
	limitations []string
	watch       *watch
	spawn       chan spawn // to the thread that all sandboxes are children of
	spawned     sync.WaitGroup
	closing     sync.Once
}

// spawn asks for a child to be started.
type spawn struct {
	cmd *exec.Cmd
	err chan error
}

// New prepares this host, as far as this user may.
func New(o Options) (*Isolation, error) {
	if err := os.MkdirAll(filepath.Join(o.Dir, "sandboxes"), 0o755); err != nil {
		return nil, err
	}
	i := &Isolation{options: o, spawn: make(chan spawn), watch: newWatch()}
	i.cgroups, i.limitations = resource.FindCgroups("/sys/fs/cgroup", filepath.Join("ainur", o.RunID))
	if !i.cgroups.Has("memory") {
		i.limitations = append(i.limitations, fmt.Sprintf("memory limits are kept by looking at each busy sandbox every %v, not by the kernel", watchEvery))
	}
	i.user = os.Getuid() != 0
	i.spawned.Go(i.spawner)
	i.namespaces = true
	if err := i.probe(); err != nil {
		i.namespaces = false
		i.limitations = append(i.limitations, fmt.Sprintf("sandboxes share the process, mount, IPC and host name namespaces of the host: %v", err))
	}
	i.limitations = append(i.limitations, "sandboxes share the network and the files of the host")
	return i, nil
}

// Limitations says what could not be applied here.
func (i *Isolation) Limitations() []string { return i.limitations }

// Close removes the run's cgroups. All sandboxes must have been removed.
func (i *Isolation) Close() error {
	var err error
	i.closing.Do(func() {
		close(i.spawn)
		i.spawned.Wait()
		i.watch.close()
		_, err = i.cgroups.Reclaim()
		err = errors.Join(err, os.RemoveAll(filepath.Join(i.options.Dir, "sandboxes")))
	})
	return err
}

// spawner starts children from one thread that lives as long as the Isolation:
// the kernel ends a child with Pdeathsig when the thread that made it ends, and
// children inherit no_new_privs from the thread.
func (i *Isolation) spawner() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	for s := range i.spawn {
		if err != nil {
			s.err <- fmt.Errorf("no_new_privs: %w", err)
			continue
		}
		s.err <- s.cmd.Start()
	}
}

func (i *Isolation) start(cmd *exec.Cmd) error {
	s := spawn{cmd, make(chan error, 1)}
	i.spawn <- s
	return <-s.err
}

// attributes of a child.
func (i *Isolation) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if i.namespaces {
		a.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
		if i.user {
			a.Cloneflags |= syscall.CLONE_NEWUSER
			a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
			a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		}
	}
	return a
}

// probe tells whether a child can have namespaces.
func (i *Isolation) probe() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = i.attributes()
	if err := i.start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// record is what is on disk of a sandbox, for Reclaim.
type record struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // of the process, in clock ticks since boot: tells it from another of the same pid
	RunID     string `json:"run_id"`
}

// recordSuffix ends the names of records, wherever they are below a run's folder.
const recordSuffix = ".sandbox.json"

// Create starts a sandbox and waits until it is ready.
func (i *Isolation) Create(ctx context.Context, c sandbox.Config) (_ sandbox.Sandbox, err error) {
	b := &box{isolation: i, config: c, dir: filepath.Join(i.options.Dir, "sandboxes", c.ID), done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Remove())
		}
	}()
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		return nil, err
	}
	argv, env, err := shim.Command(c.Function, c.Code, i.options.Dir)
	if err != nil {
		return nil, err
	}
	b.cgroup, err = i.cgroups.Create(c.ID, resource.Limits{Memory: int64(c.Function.Memory), MilliCPU: c.Function.MilliCPU, PIDs: pidsLimit})
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	b.socket = ours
	b.conn = wire.NewConn(ours)
	b.cmd = exec.Command(argv[0], argv[1:]...)
	b.cmd.Env = append(env, wire.FD+"=3", "AINUR_RUN="+i.options.RunID, "PATH="+os.Getenv("PATH"), "HOME="+b.dir, "TMPDIR="+b.dir, "LANG=C.UTF-8")
	for name, value := range c.Function.Env {
		b.cmd.Env = append(b.cmd.Env, name+"="+value)
	}
	b.cmd.Dir = b.dir
	b.cmd.ExtraFiles = []*os.File{theirs}
	b.cmd.Stdout = &sink{to: c.Stdout}
	b.stderr = &sink{to: c.Stderr}
	b.cmd.Stderr = b.stderr
	b.cmd.SysProcAttr = i.attributes()
	b.cmd.WaitDelay = time.Second // for a grandchild that holds the pipes
	err = i.start(b.cmd)
	if err := errors.Join(err, theirs.Close()); err != nil {
		b.cmd.Process = nil
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	go b.wait()
	if err := b.cgroup.Join(b.cmd.Process.Pid); err != nil && !errors.Is(err, syscall.ESRCH) {
		return nil, fmt.Errorf("join cgroup: %w", err)
	}
	if err := b.record(); err != nil {
		return nil, err
	}
	return b, b.ready(ctx)
}

// socketPair returns our end, and the child's.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "sandbox"), os.NewFile(uintptr(fds[1]), "agent")
	conn, err := net.FileConn(ours)
	if err := errors.Join(err, ours.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn, theirs, nil
}

// Reclaim ends the processes and removes the cgroups that a killed agent of the
// run left. Processes are told by pid, start time and label: a stranger that has the pid now is left alone.
func (i *Isolation) Reclaim() (removed []string, err error) {
	var errs []error
	walk := func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, recordSuffix) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(b, &r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			return nil
		}
		if r.RunID == i.options.RunID && r.ours() {
			removed = append(removed, fmt.Sprintf("process %d", r.PID))
			if err := syscall.Kill(-r.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, err)
			}
		}
		return os.Remove(path)
	}
	errs = append(errs, filepath.WalkDir(i.options.Dir, walk))
	cgroups, err := i.cgroups.Reclaim()
	return append(removed, cgroups...), errors.Join(append(errs, err)...)
}
