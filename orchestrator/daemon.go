package orchestrator

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// BalancerConfig is the file that a balancer is started with.
type BalancerConfig struct {
	spec.Balancer
	Seed uint64 `json:"seed"` // of the repeat
}

// Ready is the line that a daemon prints on its standard output once it serves.
type Ready struct {
	Address string `json:"address"`        // host:port of its gRPC server
	HTTP    string `json:"http,omitempty"` // host:port of a balancer's HTTP front
}

// stopGrace is how long a daemon may take to clean up after SIGTERM.
const stopGrace = 10 * time.Second

// daemon is a child process that lives at most as long as this one: it holds
// the other end of its standard input and cleans up when that closes.
type daemon struct {
	name     string
	cmd      *exec.Cmd
	lifeline io.WriteCloser
	output   io.Closer
	lines    *bufio.Reader // its standard output, through output
	log      string        // path of its standard error
	exited   chan struct{} // closed when it has ended
	err      error         // of its end; read after exited
}

// startDaemon starts the program of this process with args, in a process group
// of its own, so that Ctrl-C on the terminal reaches us alone. Its standard error goes to the file log.
func startDaemon(executable, name, log string, env []string, args ...string) (*daemon, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	logFile, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	d := &daemon{name: name, cmd: exec.Command(executable, args...), log: log, exited: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stderr = logFile
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if d.lifeline, err = d.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe() // not StdoutPipe, which Wait would close under the reader
	if err != nil {
		return nil, err
	}
	d.cmd.Stdout = write
	err = d.cmd.Start()
	_ = write.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), read.Close())
	}
	d.output, d.lines = read, bufio.NewReader(read)
	go func() {
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	return d, nil
}

// ready waits for the daemon's Ready line.
func (d *daemon) ready(ctx context.Context) (Ready, error) {
	type result struct {
		ready Ready
		err   error
	}
	got := make(chan result, 1)
	go func() {
		line, err := d.lines.ReadBytes('\n')
		var r result
		if r.err = err; err == nil {
			r.err = json.Unmarshal(line, &r.ready)
		}
		got <- r
	}()
	select {
	case r := <-got:
		if r.err == nil {
			return r.ready, nil
		}
		<-d.exited
		return Ready{}, fmt.Errorf("%s did not start: %w%s", d.name, d.err, d.lastWords())
	case <-ctx.Done():
		return Ready{}, fmt.Errorf("%s is not ready: %w", d.name, context.Cause(ctx))
	}
}

// lastWords is the end of the daemon's log.
func (d *daemon) lastWords() string {
	const most = 2 << 10
	b, err := os.ReadFile(d.log)
	if err != nil || len(b) == 0 {
		return ""
	}
	return "\n" + strings.TrimSpace(string(b[max(0, len(b)-most):]))
}

// stop asks the daemon to end, and ends it after a while. It returns when the
// daemon is gone, with an error if it did not go well.
func (d *daemon) stop() error {
	select {
	case <-d.exited: // on its own, which its watcher has reported
		return d.release()
	default:
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", d.name, err)
	}
	select {
	case <-d.exited:
	case <-time.After(stopGrace):
		if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill %s: %w", d.name, err)
		}
		<-d.exited
		return errors.Join(fmt.Errorf("%s did not stop within %v and was killed", d.name, stopGrace), d.release())
	}
	if err := d.release(); err != nil {
		return err
	}
	if d.err != nil {
		return fmt.Errorf("%s ended badly: %w%s", d.name, d.err, d.lastWords())
	}
	return nil
}

// release closes our ends of the pipes of a daemon that has ended.
func (d *daemon) release() error {
	if err := d.lifeline.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return d.output.Close()
}
