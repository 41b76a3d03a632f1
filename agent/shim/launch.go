package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ainur-faas/ainur/agent/shim/wire"
)

// launchEnv is the path of an executable that Builtin starts.
const launchEnv = "AINUR_LAUNCH"

// launchFD is the descriptor of the socket in what launch starts.
const launchFD = 3

// launch connects to the agent, and becomes the executable, which inherits the
// connection. It returns when that fails, and has told the agent.
func launch(path string) error {
	socket, err := net.Dial("unix", os.Getenv(wire.Socket))
	if err != nil {
		return err
	}
	file, err := socket.(*net.UnixConn).File()
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(file.Fd()), launchFD, 0); err != nil && file.Fd() != launchFD {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, launchEnv+"=") || strings.HasPrefix(v, wire.Socket+"=")
	})
	err = ExecError(syscall.Exec(path, []string{path}, append(env, wire.FD+"="+strconv.Itoa(launchFD))))
	return errors.Join(err, wire.NewConn(socket).Write(wire.StartError, 0, []byte(err.Error())))
}

// ExecError says what is wrong with an executable of a function that the kernel
// does not start.
func ExecError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return errors.New("it is neither an executable for this kind of machine nor a script that begins with \"#!\"")
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("the interpreter or loader that it names is not there")
	default:
		return fmt.Errorf("it cannot be started: %w", err)
	}
}
