package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// daemonShim is a process of the daemon, which holds a container. When the client ends while
// the daemon makes a task, the daemon forgets the shim that it has started.
type daemonShim struct {
	pid int
	id  string // of the container
}

// findShims are the shims of our containers in the daemon with this socket.
func findShims(socket string) (found []daemonShim) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		panic("containerd: the pattern is ours: " + err.Error())
	}
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue // no process
		}
		if id := shimOf(pid, socket); id != "" {
			found = append(found, daemonShim{pid, id})
		}
	}
	return found
}

// shimOf is the id of the container of which pid is the shim, "" when it is none of ours.
func shimOf(pid int, socket string) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil { // it has ended
		return ""
	}
	args := strings.Split(string(bytes.TrimSuffix(line, []byte{0})), "\x00")
	if !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") {
		return ""
	}
	flags := map[string]string{}
	for n := 1; n+1 < len(args); n++ {
		flags[args[n]] = args[n+1]
	}
	if flags["-namespace"] != Namespace || flags["-address"] != socket {
		return ""
	}
	return flags["-id"]
}

// end ends the shim, if it is still there.
func (s daemonShim) end(socket string) error {
	fd, err := unix.PidfdOpen(s.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if shimOf(s.pid, socket) != s.id { // the number is another's by now
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// endShims ends those of the container id that the daemon has forgotten.
func endShims(socket, id string) error {
	var errs []error
	for _, s := range findShims(socket) {
		if s.id == id {
			errs = append(errs, s.end(socket))
		}
	}
	return errors.Join(errs...)
}

// labelsOf are the labels of the container with this id: RUN.ISOLATION.NUMBER.
func labelsOf(id string) map[string]string {
	rest, _, _ := cutLast(id)
	run, isolation, _ := cutLast(rest)
	return map[string]string{runLabel: run, isolationLabel: isolation}
}

func cutLast(s string) (before, after string, found bool) {
	n := strings.LastIndexByte(s, '.')
	if n < 0 {
		return s, "", false
	}
	return s[:n], s[n+1:], true
}
