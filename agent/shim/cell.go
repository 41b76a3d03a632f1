package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// The runtimes of stem cells: what they run waits for the function that it is to become.
const (
	PythonCell = "python3 cell"
	ExecCell   = "exec cell" // becomes a builtin, or an executable
)

// cellEnv is set in a stem cell.
const cellEnv = "AINUR_CELL"

// tooLate are the beginnings of variables that an interpreter or its libraries read
// when they start.
var tooLate = []string{"PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_"}

// CellOf is the runtime of stem cells that can become f, "" when none can.
func CellOf(f spec.Function) string {
	switch {
	case f.Builtin != "", f.Runtime == "go", f.Runtime == "exec":
		return ExecCell
	case f.Runtime != "python3":
		return ""
	}
	for name := range f.Env {
		if slices.ContainsFunc(tooLate, func(begin string) bool { return strings.HasPrefix(name, begin) }) {
			return ""
		}
	}
	return PythonCell
}

// Binding is what a stem cell is told in a frame Bind to become f, whose code is
// in the folder InsideCode.
func Binding(f spec.Function) []byte {
	_, env := paths{code: InsideCode}.command(f)
	all := maps.Clone(f.Env)
	if all == nil {
		all = map[string]string{}
	}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		all[name] = value
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic("shim: a map of strings is JSON: " + err.Error())
	}
	return b
}

// become waits for a function. It returns nil when that is a builtin, with the
// environment of one.
func become() error {
	socket, err := agentSocket()
	if err != nil {
		return err
	}
	conn := wire.NewConn(socket)
	if err := conn.Write(wire.Waiting, 0); err != nil {
		return err
	}
	frame, err := conn.Read()
	if errors.Is(err, io.EOF) { // no function has needed it
		os.Exit(0)
	}
	if err != nil {
		return err
	}
	var env map[string]string
	if err := json.Unmarshal(frame.Payload, &env); err != nil || frame.Type != wire.Bind {
		return fmt.Errorf("%w: type %d where a function should be: %w", wire.ErrMalformed, frame.Type, err)
	}
	for name, value := range env {
		err = errors.Join(err, os.Setenv(name, value))
	}
	if err = errors.Join(err, os.Unsetenv(cellEnv), os.Unsetenv(wire.Socket), os.Setenv(wire.FD, strconv.Itoa(int(socket)))); err != nil {
		return err
	}
	if _, ok := os.LookupEnv(builtinEnv); ok {
		return nil
	}
	if socket != launchFD { // which may be Go's: nothing of Go's runs from here on
		syscall.CloseOnExec(int(socket))
		if err := errors.Join(syscall.Dup3(int(socket), launchFD, 0), os.Setenv(wire.FD, strconv.Itoa(launchFD))); err != nil {
			return err
		}
	}
	path := filepath.Join(os.Getenv("AINUR_CODE"), Executable)
	err = ExecError(syscall.Exec(path, []string{path}, os.Environ()))
	return errors.Join(err, conn.Write(wire.StartError, 0, []byte(err.Error())))
}

// descriptor is an open file that nothing closes, and what this process executes inherits.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	n, err := syscall.Read(int(d), p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

func (d descriptor) Write(p []byte) (int, error) { return syscall.Write(int(d), p) }

// agentSocket is the connection with the agent.
func agentSocket() (descriptor, error) {
	path := os.Getenv(wire.Socket)
	if path == "" { // it is there
		fd, err := strconv.Atoi(os.Getenv(wire.FD))
		return descriptor(fd), err
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	return descriptor(fd), syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
}
