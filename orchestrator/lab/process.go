package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/pid"
)

// own are the namespaces of the thread that opens them.
const own = "/proc/thread-self/ns/"

// onThread runs f on a thread that is not used afterwards, so that f may leave it in
// other namespaces.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		done <- onThread(f) // the first thread of a program never ends; while it is here, another is taken
		runtime.UnlockOSThread()
	}()
	return <-done
}

// process is one that keeps something of a lab alive. It waits until it is
// released, and ends if whoever started it ends before: so none is ever unknown.
type process struct {
	cmd     *exec.Cmd
	release *os.File
}

// start starts a shell in the namespaces and the root of the thread. The script
// waits first, see blocked.
func start(script string, flags uintptr, logs ...*os.File) (process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return process{}, err
	}
	defer r.Close()
	cmd := &exec.Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Dir: "/", Stdin: r,
		Env:         []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Cloneflags: flags},
	}
	if len(logs) > 0 {
		cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = logs[0], logs[0], logs[1:]
	}
	if err := cmd.Start(); err != nil {
		return process{}, errors.Join(err, w.Close())
	}
	return process{cmd, w}, nil
}

// blocked is how a script waits to be released.
const blocked = "read -r go && exec </dev/null && "

// pidFile says which process keeps something of a lab alive, in its folder.
const pidFile = "pid"

// keep writes down in dir that the process is the lab's, and has it go on after
// ready. What ended tells, when it has ended.
func (l *Lab) keep(p process, dir string, ready func() error) (ended <-chan struct{}, err error) {
	done := make(chan struct{})
	l.running.Go(func() {
		_ = p.cmd.Wait() // it ends when it is killed
		close(done)
	})
	defer p.release.Close()
	number := p.cmd.Process.Pid
	if err := os.WriteFile(filepath.Join(dir, pidFile), fmt.Appendf(nil, "%d %d\n", number, pid.Started(number)), 0o600); err != nil {
		return nil, err
	}
	if err := ready(); err != nil {
		return nil, err
	}
	if _, err := p.release.WriteString("go\n"); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	return done, nil
}

// kept is the number of the process that keep wrote down in dir; 0 if there is none any more.
func kept(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return 0
	}
	var number int
	var started uint64
	if _, err := fmt.Sscan(string(text), &number, &started); err != nil || started == 0 || pid.Started(number) != started {
		return 0
	}
	return number
}

// endWithin is how long killed processes may take to be gone.
const endWithin = 10 * time.Second

// victim is a process that was killed, by a file descriptor of it.
type victim struct {
	dir string
	fd  int
}

// kill kills the process that keep wrote down in dir; nil if there is none any more.
func kill(dir string) (*victim, error) {
	number := kept(dir)
	if number == 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(number, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("end the process of %s: %w", dir, err)
	}
	if kept(dir) != number { // it ended meanwhile, and the number may be another's
		return nil, unix.Close(fd)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return nil, errors.Join(fmt.Errorf("end the process of %s: %w", dir, err), unix.Close(fd))
	}
	return &victim{dir, fd}, nil
}

// awaitEnd returns when all victims have ended: with the first process of a PID
// namespace all others end before it.
func awaitEnd(all []victim) error {
	var errs []error
	deadline := time.Now().Add(endWithin)
	for _, v := range all {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}, max(0, int(time.Until(deadline).Milliseconds())))
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err == nil && n == 0 {
				err = errors.New("it takes too long")
			}
			if err != nil {
				err = fmt.Errorf("await the end of the process of %s: %w", v.dir, err)
			}
			errs = append(errs, err, unix.Close(v.fd))
			break
		}
	}
	return errors.Join(errs...)
}

// await returns when a line with text is in the file, or says what is there instead.
func await(ctx context.Context, path, text string, ended <-chan struct{}) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errors.New("it takes too long"))
	defer cancel()
	var stopped error
	stop := make(chan struct{})
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		select {
		case <-stop:
		case <-ctx.Done():
			stopped = context.Cause(ctx)
		case <-ended:
			stopped = errors.New("it has ended")
		}
		_ = events.SetReadDeadline(time.Now()) // the read below returns
	}()
	var said []byte
	buffer := make([]byte, 4096)
	for err == nil {
		if said, err = os.ReadFile(path); err != nil || bytes.Contains(said, []byte(text)) {
			break
		}
		_, err = events.Read(buffer)
	}
	close(stop)
	<-waited
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("await %q: %w:\n%s", text, stopped, strings.TrimSpace(string(said)))
	}
	return err
}

// startWithin is how long a daemon may take to start.
const startWithin = 30 * time.Second

// lock keeps other processes from making or removing labs. It is on a folder that is
// there anyway, so that none is left behind.
func lock() (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(Root))
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { _ = dir.Close() }, nil // only read from
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir.Name(), err), dir.Close())
		}
	}
}
