package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// lastOutput is how long after its end a command's output is waited for, which
// something that it left may hold open.
const lastOutput = time.Second

// prepare is a command in a group of its own, so that all of it can be ended.
func prepare(ctx context.Context, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lastOutput
	return cmd
}

// command keeps what a command prints. It ends, as in a pipe, when no more may be kept.
func (k *keeper) command(ctx context.Context, what, name string, argv []string) {
	s := k.open(what, name)
	cmd := prepare(ctx, argv)
	cmd.Stdout, cmd.Stderr = s, s // one: the command's output is in order
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s.close(err)
}

// lasts is a command that goes on until it is ended.
type lasts struct {
	cmd  *exec.Cmd
	sink *sink
	said bytes.Buffer // its last complaint, where that is not in the sink
	done chan error   // gets one
	err  error        // of starting it
}

// begin starts a command whose output is kept. What it complains of is no part of that,
// where it is apart.
func (k *keeper) begin(what, name string, argv []string, apart bool) *lasts {
	l := &lasts{sink: k.open(what, name), cmd: prepare(context.Background(), argv), done: make(chan error, 1)}
	l.cmd.Stdout, l.cmd.Stderr = l.sink, l.sink
	if apart {
		l.cmd.Stderr = &end{&l.said}
	}
	if l.err = l.cmd.Start(); l.err == nil {
		go func() { l.done <- l.cmd.Wait() }()
	}
	return l
}

// endGrace is how long a command may take to end when it is asked to.
const endGrace = 5 * time.Second

// end ends the command. It is a problem where it had ended before.
func (l *lasts) end() {
	if l.err != nil {
		l.sink.close(l.err)
		return
	}
	select {
	case err := <-l.done:
		if said := strings.TrimSpace(l.said.String()); err != nil && said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		l.sink.close(err)
		return
	default:
	}
	_ = syscall.Kill(-l.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	select {
	case <-l.done:
	case <-time.After(endGrace):
		_ = l.cmd.Cancel() // as above
		<-l.done
	}
	l.sink.close(nil)
}

// end keeps the last that was written.
type end struct{ of *bytes.Buffer }

func (e *end) Write(b []byte) (int, error) {
	const most = 2 << 10
	e.of.Write(b)
	e.of.Next(max(0, e.of.Len()-most))
	return len(b), nil
}
