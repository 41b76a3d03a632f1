package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/shim/wire"
)

// Exec is the floor of a new process: the same program started with nothing
// around it, until its first answer. What it needs on disk is written to dir.
func Exec(c sandbox.Config, args []byte, dir string) (Floor, error) {
	argv, env, err := shim.Command(c.Function, c.Code, dir)
	if err != nil {
		return Floor{}, err
	}
	return Floor{Name: "exec", Start: func(ctx context.Context) (one Start, err error) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return one, err
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
		defer theirs.Close()
		socket, err := net.FileConn(ours)
		if err := errors.Join(err, ours.Close()); err != nil {
			return one, err
		}
		frames := link.NewFrames(socket, func() *sandbox.Error { return &sandbox.Error{Kind: sandbox.Crashed, Message: "it ended"} })
		defer func() { err = errors.Join(err, frames.Close()) }()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), wire.FD + "=3"}, env...)
		cmd.ExtraFiles = []*os.File{theirs}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return one, err
		}
		defer func() {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		}()
		if err := frames.Ready(ctx); err != nil {
			return one, err
		}
		one.Ready = time.Since(began)
		_, err = frames.Invoke(ctx, args)
		one.Answered = time.Since(began)
		return one, err
	}}, nil
}

// forks is a Python program that forks itself for each line it reads, and prints
// how long it took until the child has written a byte, in ns.
const forks = `import gc, os, sys, time
%s
gc.collect(); gc.freeze(); gc.disable()
r, w = os.pipe()
for line in sys.stdin:
    began = time.monotonic_ns()
    pid = os.fork()
    if pid == 0:
        os.write(w, b"x")
        os._exit(0)
    os.read(r, 1)
    took = time.monotonic_ns() - began
    os.waitpid(pid, 0)
    print(took, flush=True)
`

// Fork is the floor of a zygote: a bare fork of a ready interpreter, which command
// starts, that has run imports, until the child says a byte. Close ends it.
func Fork(imports string, command ...string) (floor Floor, closer io.Closer, err error) {
	command = append(command, "-c", fmt.Sprintf(forks, imports))
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return Floor{}, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Floor{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return Floor{}, nil, err
	}
	lines := bufio.NewReader(out)
	start := func(context.Context) (Start, error) {
		if _, err := io.WriteString(in, "\n"); err != nil {
			return Start{}, err
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return Start{}, err
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		return Start{Ready: time.Duration(ns), Answered: time.Duration(ns)}, err
	}
	return Floor{Name: "fork", Start: start}, closing(func() error { return errors.Join(in.Close(), cmd.Wait()) }), nil
}

type closing func() error

func (c closing) Close() error { return c() }
