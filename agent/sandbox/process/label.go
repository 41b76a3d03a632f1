package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// labelEnv is the environment variable with which a sandbox and all it starts
// say whose they are: RUN/ISOLATION/SANDBOX/.
const labelEnv = "AINUR_SANDBOX"

// label is the beginning of the label of the run's processes, of those of one
// of its isolations, or of one sandbox.
func (i *Isolation) label(parts ...string) string {
	return labelEnv + "=" + strings.Join(append([]string{i.options.RunID}, parts...), "/") + "/"
}

// killLabelled ends the processes whose label begins with one text and not with
// another ("" is no text), and returns when they are gone. A process is held by
// its pidfd before its label is read, so that no other is ended that has its pid.
func killLabelled(label, except string) (ended []int, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		panic("process: the pattern is ours: " + err.Error())
	}
	var errs []error
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue // no process
		}
		switch killed, err := killIf(pid, label, except); {
		case err != nil:
			errs = append(errs, fmt.Errorf("end process %d: %w", pid, err))
		case killed:
			ended = append(ended, pid)
		}
	}
	return ended, errors.Join(errs...)
}

// goneWithin is how long a killed process may take to be gone.
const goneWithin = 2 * time.Second

func killIf(pid int, label, except string) (killed bool, err error) {
	environ := filepath.Join("/proc", strconv.Itoa(pid), "environ")
	if !labelled(environ, label, except) { // most are not, at a third of the cost
		return false, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if !labelled(environ, label, except) {
		return false, nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return false, err
	}
	return true, awaitExit(fd)
}

// awaitExit returns when the process has ended, reaped or not.
func awaitExit(fd int) error {
	deadline := time.Now().Add(goneWithin)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(deadline), 0)/time.Millisecond))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("it is still there after %v", goneWithin)
		default:
			return nil
		}
	}
}

// labelled reads the environment that a process was started with. That of
// another user's, and of one that has ended, is none of ours.
func labelled(environ, label, except string) bool {
	b, err := os.ReadFile(environ)
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(b, []byte{0}) {
		if bytes.HasPrefix(entry, []byte(label)) {
			return except == "" || !bytes.HasPrefix(entry, []byte(except))
		}
	}
	return false
}
