package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/thread"
)

// spawner starts processes from threads that live as long as it: the kernel ends
// a process with Pdeathsig when the thread that made it ends, and a process inherits
// the privileges and the cgroup of the thread. A thread starts one at a time.
type spawner struct {
	requests     chan request // closed by close
	ended        sync.WaitGroup
	capabilities error // why root's could not be taken from what it starts
}

type request struct {
	start func() error
	done  chan error // of capacity 1
}

func newSpawner() (*spawner, error) {
	s := &spawner{requests: make(chan request)}
	threads := min(runtime.GOMAXPROCS(0), maxThreads)
	prepared := make(chan error, threads)
	capabilities := make([]error, threads)
	for n := range threads {
		s.ended.Go(func() {
			thread.Own(func() {
				capabilities[n] = dropCapabilities()
				prepared <- prepareThread()
				for r := range s.requests {
					r.done <- r.start()
				}
			})
		})
	}
	var errs []error
	for range threads {
		errs = append(errs, <-prepared)
	}
	s.capabilities = capabilities[0]
	if err := errors.Join(errs...); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// maxThreads is how many threads start processes at most: they wait for the kernel's
// locks before they wait for each other.
const maxThreads = 4

func prepareThread() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // a thread that shares its working directory with others cannot change its mounts
		return fmt.Errorf("unshare the working directory: %w", err)
	}
	return nil
}

// do runs start on one of the threads.
func (s *spawner) do(start func() error) error {
	r := request{start, make(chan error, 1)}
	s.requests <- r
	return <-r.done
}

func (s *spawner) close() {
	close(s.requests)
	s.ended.Wait()
}

// dropCapabilities sees to it that what root starts from this thread has none
// of root's rights but to read: code may be below a home that root itself may
// otherwise not enter. The thread keeps its own.
func dropCapabilities() error {
	for c := uintptr(0); os.Getuid() == 0; c++ {
		if c == unix.CAP_DAC_READ_SEARCH {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); errors.Is(err, unix.EINVAL) { // the kernel has no more
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// attributes of a process with namespaces of its own, or without.
func attributes(namespaces bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if !namespaces {
		return a
	}
	a.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	if os.Getuid() != 0 { // who has no rights may make them in a user namespace
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// probe tells whether a process can have namespaces.
func (s *spawner) probe() error {
	cmd := exec.Command("true")
	cmd.SysProcAttr = attributes(true)
	if err := s.do(cmd.Start); err != nil {
		return err
	}
	return cmd.Wait()
}
