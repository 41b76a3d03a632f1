package node

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/atomicfile"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/internal/pid"
)

// daemon is a child process that lives at most as long as this one: it holds the
// other end of its standard input and cleans up when that closes. What it prints
// is in NAME.out and NAME.log, and what it is in NAME.daemon, in the folder of the run.
type daemon struct {
	record   record
	path     string // of these files, without the ending
	process  *os.Process
	lifeline io.Closer
	ended    chan struct{} // closed when exit is known

	mu       sync.Mutex
	lines    int
	changed  chan struct{} // closed and made anew with each line
	exit     *Exit
	stopping bool
	lease    *time.Timer // nil without a lease
	followed int
}

// record is the file NAME.daemon.
type record struct {
	Task    Task   `json:"task"` // without its files
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // start time of the process since boot, in clock ticks
	BootID  string `json:"boot_id"` // of the host then: numbers begin anew with each
	Exit    *Exit  `json:"exit,omitempty"`
}

// start starts the task in its folder dir/NAME, in a session of its own: Ctrl-C on a
// terminal reaches us alone, and nothing that it starts can type there.
func start(executable, dir string, t Task) (*daemon, error) {
	own := filepath.Join(dir, t.Name)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, err
	}
	for name, content := range t.Files {
		if err := os.WriteFile(filepath.Join(own, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	t.Files = nil
	d := &daemon{record: record{Task: t}, path: own, ended: make(chan struct{}), changed: make(chan struct{})}
	args := make([]string, len(t.Args))
	for i, arg := range t.Args {
		args[i] = strings.ReplaceAll(arg, "{dir}", own)
	}
	cmd := exec.Command(executable, args...)
	cmd.Env = append(os.Environ(), t.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := os.Create(d.path + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	spool, err := os.Create(d.path + ".out")
	if err != nil {
		return nil, err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	read, write, err := os.Pipe() // not StdoutPipe, which Wait would close under the reader
	if err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	cmd.Stdout = write
	err = cmd.Start()
	_ = write.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", t.Name, err), read.Close(), spool.Close())
	}
	d.process, d.lifeline, d.record.PID = cmd.Process, stdin, cmd.Process.Pid
	d.record.Started, d.record.BootID = pid.Started(d.record.PID), mono.BootID()
	err = d.save()
	if t.Lease > 0 {
		d.lease = time.AfterFunc(t.Lease, func() { go d.stop() })
	}
	go func() {
		spooled := make(chan error, 1)
		go func() { spooled <- d.spool(read, spool) }()
		err := cmd.Wait()
		late := time.AfterFunc(lastOutput, func() { _ = read.Close() }) // closed twice at worst
		defer late.Stop()
		d.end(err, <-spooled)
	}()
	if err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// lastOutput is how long after its end a daemon's output is waited for, which
// something that it left may hold open.
const lastOutput = time.Second

// spool keeps the lines of standard output until it closes.
func (d *daemon) spool(read, to *os.File) error {
	defer read.Close()
	lines := bufio.NewReader(read)
	var failed error
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && failed == nil {
			if line[len(line)-1] != '\n' {
				line = append(line, '\n')
			}
			_, failed = to.Write(line)
			d.mu.Lock()
			d.lines++
			close(d.changed)
			d.changed = make(chan struct{})
			d.mu.Unlock()
		}
		if err != nil {
			return errors.Join(failed, to.Close())
		}
	}
}

// end records how the process ended.
func (d *daemon) end(err, spooled error) {
	e := Exit{}
	var bad *exec.ExitError
	switch {
	case errors.As(err, &bad):
		e.Status = bad.ExitCode()
		if status, ok := bad.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			e.Signal = status.Signal().String()
		}
		e.LastWords = LastWords(d.path + ".log")
	case err != nil:
		e.Status, e.LastWords = -1, err.Error()
	case spooled != nil:
		e.Status, e.LastWords = -1, "keep its output: "+spooled.Error()
	}
	_ = d.lifeline.Close() // the process has ended
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lease != nil {
		d.lease.Stop()
	}
	e.Forced = e.Signal != "" && d.stopping && e.Signal == syscall.SIGKILL.String()
	d.exit, d.record.Exit = &e, &e
	if err := d.save(); err != nil {
		e.LastWords = strings.TrimSpace(e.LastWords + "\n" + err.Error())
	}
	close(d.ended)
}

func (d *daemon) save() error {
	b, err := json.Marshal(d.record)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.path+".daemon", 0o600, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// stop asks the process to end, and ends it after a while.
func (d *daemon) stop() Exit {
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	_ = d.process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-d.ended:
	case <-time.After(cmp.Or(d.record.Task.Grace, StopGrace)):
		_ = unix.Kill(-d.record.PID, unix.SIGKILL) // its group, which may have ended
		<-d.ended
	}
	return *d.exit
}

// follow is Host.Follow.
func (d *daemon) follow(ctx context.Context, from int, line func([]byte)) (Exit, error) {
	d.attach(1)
	defer d.attach(-1)
	f, err := os.Open(d.path + ".out")
	if err != nil {
		return Exit{}, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for n := 0; ; {
		d.mu.Lock()
		have, changed := d.lines, d.changed
		d.mu.Unlock()
		for ; n < have; n++ {
			text, err := lines.ReadBytes('\n')
			if err != nil {
				return Exit{}, fmt.Errorf("output of %s: %w", d.record.Task.Name, err)
			}
			if n >= from {
				line(bytes.TrimSuffix(text, []byte("\n")))
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Exit{}, context.Cause(ctx)
		case <-d.ended:
			d.mu.Lock()
			all := n == d.lines
			d.mu.Unlock()
			if all {
				return *d.exit, nil
			}
		}
	}
}

// attach counts who follows: the lease runs while nobody does.
func (d *daemon) attach(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.followed += n
	if d.lease == nil || d.exit != nil {
		return
	}
	if d.followed > 0 {
		d.lease.Stop()
	} else {
		d.lease.Reset(d.record.Task.Lease)
	}
}

func (d *daemon) status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Status{Name: d.record.Task.Name, PID: d.record.PID, Lines: d.lines, Exit: d.exit}
}

// recovered is a daemon that an earlier supervisor started: it has ended, or does
// now, because its lifeline is gone.
func recovered(path string) (*daemon, error) {
	d := &daemon{path: path, ended: make(chan struct{}), changed: make(chan struct{})}
	b, err := os.ReadFile(path + ".daemon")
	if err == nil {
		err = json.Unmarshal(b, &d.record)
	}
	if err != nil {
		return nil, err
	}
	out, err := os.ReadFile(path + ".out")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d.lines = bytes.Count(out, []byte("\n"))
	if d.record.Exit == nil {
		if d.record.BootID == mono.BootID() {
			await(d.record.PID, d.record.Started)
		}
		d.record.Exit = &Exit{Lost: true, LastWords: LastWords(path + ".log")}
		if err := d.save(); err != nil {
			return nil, err
		}
	}
	d.exit = d.record.Exit
	close(d.ended)
	return d, nil
}

// await waits until a process that is no child has ended, and ends it after StopGrace.
func await(id int, started uint64) {
	for deadline := time.Now().Add(StopGrace); pid.Started(id) == started; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = unix.Kill(-id, unix.SIGKILL) // its group; it may have ended
		}
	}
}

// LastWords is the end of a daemon's log, "" where there is none.
func LastWords(path string) string {
	const most = 2 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.NewSectionReader(f, max(0, size-most), most)) // as far as it can be read
	return strings.TrimSpace(string(text))
}
