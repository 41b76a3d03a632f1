package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/internal/pid"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

// How long a supervisor may take.
const (
	answerWithin = 5 * time.Second
	startWithin  = 30 * time.Second
	stopWithin   = 60 * time.Second // it ends the daemons of runs first
)

// describe asks the supervisor of this host what it is.
func describe(ctx context.Context, l Layout) (node.Description, error) {
	probe, err := net.Dial("unix", l.Socket()) // a client would try for long
	if err != nil {
		return node.Description{}, err
	}
	_ = probe.Close() // only to see that it listens
	conn, err := grpc.NewClient("passthrough:///supervisor", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", l.Socket())
		}))
	if err != nil {
		return node.Description{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return node.NewClient("here", conn).Describe(ctx)
}

// supervise starts a supervisor in place of whatever runs, and returns when it answers.
func (m *Manifest) supervise(ctx context.Context, d Desired, h *facts.Host) error {
	if err := stop(ctx, d.Layout, h.Processes, false); err != nil {
		return err
	}
	events, err := watch(d.Run())
	if err != nil {
		return err
	}
	defer events.Close()
	died := make(chan error, 1)
	if m.Systemd {
		err = systemctl(ctx, "daemon-reload")
		if err == nil {
			err = systemctl(ctx, "start", d.unit())
		}
	} else {
		err = launch(d, died)
	}
	if err != nil {
		return err
	}
	if err := await(ctx, d.Socket(), events, died); err != nil {
		return fmt.Errorf("%w\n%s", err, node.LastWords(d.Log()))
	}
	is, err := describe(ctx, d.Layout)
	if err != nil {
		return err
	}
	if is.ExecutableSHA256 != d.SHA256 || is.ConfigSHA256 != sum(d.configText()) {
		return errors.New("what answers is not what was started")
	}
	m.Supervisor = &Supervisor{PID: is.PID, Started: pid.Started(is.PID), BootID: mono.BootID(), SHA256: is.ExecutableSHA256, Config: is.ConfigSHA256, Address: is.Address}
	return m.save()
}

// launch starts a supervisor that outlives this process and its connection. When
// that ends, died gets the reason.
func launch(d Desired, died chan<- error) error {
	log, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(d.Binary(), "supervise", d.Config())
	cmd.Dir, cmd.Stderr = "/", log
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	files := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_NOFILE, &files, nil) // it does with what it has
	go func() { died <- cmd.Wait() }()
	return nil
}

// watch tells of what changes in a folder.
func watch(folder string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", folder, err)
	}
	events := os.NewFile(uintptr(fd), folder)
	if _, err := unix.InotifyAddWatch(fd, folder, unix.IN_CREATE|unix.IN_ATTRIB); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", folder, err), events.Close())
	}
	return events, nil
}

// await returns when something listens on a socket in the folder that is watched.
func await(ctx context.Context, socket string, events *os.File, died <-chan error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("it does not answer after %v", startWithin))
	defer cancel()
	over, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var why error
		select {
		case why = <-died:
			why = fmt.Errorf("it has ended at once: %w", cmp.Or(why, errors.New("exit status 0")))
		case <-ctx.Done():
			why = context.Cause(ctx)
		case <-over:
		}
		_ = events.SetReadDeadline(time.Now()) // the read below returns
		ended <- why
	}()
	buffer := make([]byte, 4096)
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			close(over)
			<-ended
			return conn.Close()
		}
		if _, err := events.Read(buffer); err != nil {
			close(over)
			return cmp.Or(<-ended, err)
		}
	}
}

// stop ends the supervisor, which ends the daemons of runs, and all else that runs a
// program of the deployment. Without force it does not while a run is under way.
func stop(ctx context.Context, l Layout, processes []facts.Process, force bool) error {
	var ends []*os.File
	defer func() {
		for _, f := range ends {
			_ = f.Close() // only waited for
		}
	}()
	for _, p := range processes {
		f, err := open(l, p)
		if err != nil {
			return err
		}
		if f != nil {
			ends = append(ends, f)
		}
	}
	if len(ends) == 0 {
		return nil
	}
	if !force {
		if err := idle(ctx, l); err != nil {
			return err
		}
	}
	if _, err := os.Stat(l.Unit()); err == nil {
		if err := systemctl(ctx, "stop", l.unit()); err != nil {
			return err
		}
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		for _, f := range ends {
			if err := unix.PidfdSendSignal(int(f.Fd()), signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("end process: %w", err)
			}
		}
		left, err := gone(ctx, ends, stopWithin)
		if err != nil {
			return err
		}
		if ends = left; len(ends) == 0 {
			return nil
		}
	}
	return errors.New("processes of the deployment do not end")
}

// idle is ErrBusy while a run is under way.
func idle(ctx context.Context, l Layout) error {
	is, err := describe(ctx, l)
	if err != nil {
		return nil //nolint:nilerr // what does not answer is to be replaced
	}
	for _, run := range is.Runs {
		for _, daemon := range run.Daemons {
			if daemon.Exit == nil {
				return fmt.Errorf("%w: run %s, whose %s runs", ErrBusy, run.ID, daemon.Name)
			}
		}
	}
	return nil
}

// open is a file that stands for a process of the deployment, nil where it has
// ended, or is this one or one above it.
func open(l Layout, p facts.Process) (*os.File, error) {
	for above := os.Getpid(); above > 1; above = parent(above) {
		if p.PID == above {
			return nil, nil
		}
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	f := os.NewFile(uintptr(fd), strconv.Itoa(p.PID))
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID))
	if err != nil || pid.Started(p.PID) != p.Started || !strings.HasPrefix(program, l.Root()+"/") {
		return nil, f.Close() // another has its number
	}
	return f, nil
}

func parent(id int) int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	above, _ := strconv.Atoi(fields[1]) // 0 where it is no number
	return above
}

// gone waits for processes to end and returns those that have not.
func gone(ctx context.Context, processes []*os.File, within time.Duration) (left []*os.File, err error) {
	deadline := time.Now().Add(within)
	for _, f := range processes {
		for {
			wait := min(time.Until(deadline), 100*time.Millisecond)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, int(max(0, wait.Milliseconds())))
			if n > 0 {
				break
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return nil, fmt.Errorf("await the end of process %s: %w", f.Name(), err)
			}
			if time.Now().After(deadline) {
				left = append(left, f)
				break
			}
		}
	}
	return left, nil
}

func systemctl(ctx context.Context, args ...string) error {
	_, err := quietly(ctx, append([]string{"systemctl"}, args...))
	return err
}
