package process

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/shim"
)

// zygote is an interpreter that has imported the code of a function, of which
// sandboxes are forks: they share its memory until they write to it.
type zygote struct {
	process *os.Process
	control *net.UnixConn
	cgroup  resource.Cgroup
	output  *os.File // our end of what it prints
	words   link.Output
	ended   chan struct{} // closed when it has
	mu      sync.Mutex    // a request and its answer
}

// errThreads is code that no fork would have all of.
var errThreads = errors.New("the code starts threads when it is imported")

// zygotes are those of the functions, each made when the first sandbox needs it.
type zygotes struct {
	mu     sync.Mutex
	byCode map[string]*nursery // by zygoteKey
	made   atomic.Int64
}

// nursery is where the zygote of one function is or could not be.
type nursery struct {
	mu      sync.Mutex
	zygote  *zygote // nil before the first, and after it has ended
	refused error   // why there is none; the function's sandboxes are started without
}

// zygoteKey is what a zygote depends on.
func zygoteKey(c sandbox.Config) string {
	return rootKey(c) + "\x00" + fmt.Sprint(c.Function.Env, c.Function.Memory)
}

// forks reports whether sandboxes of c are forks of a zygote, where it can have one.
func (i *Isolation) forks(c sandbox.Config) bool {
	return i.native != nil && i.options.Container.Zygote && i.networks == nil && c.Function.Runtime == "python3"
}

// of is the zygote for sandboxes of c, nil when the function cannot have one.
func (z *zygotes) of(ctx context.Context, i *Isolation, c sandbox.Config) (*zygote, error) {
	z.mu.Lock()
	key := zygoteKey(c)
	n := z.byCode[key]
	if n == nil {
		n = &nursery{}
		z.byCode[key] = n
	}
	z.mu.Unlock()

	n.mu.Lock()
	defer n.mu.Unlock()
	if n.zygote != nil {
		select {
		case <-n.zygote.ended:
			if err := n.zygote.close(); err != nil {
				return nil, err
			}
			n.zygote = nil
		default:
			return n.zygote, nil
		}
	}
	if n.refused != nil {
		return nil, nil
	}
	made, err := newZygote(ctx, i, c, fmt.Sprintf("zygote-%d", z.made.Add(1)))
	var e *sandbox.Error
	if err != nil && ctx.Err() == nil && !errors.As(err, &e) {
		i.options.Log.Warn("no zygote: sandboxes are started one by one", slog.String("function", c.Function.Name), slog.Any("error", err))
		n.refused = err
		return nil, nil
	}
	n.zygote = made
	return made, err
}

func (z *zygotes) close() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	var errs []error
	for _, n := range z.byCode {
		if n.zygote != nil {
			errs = append(errs, n.zygote.close())
		}
	}
	clear(z.byCode)
	return errors.Join(errs...)
}

// newZygote starts the zygote of c's function, which ends at close.
func newZygote(ctx context.Context, i *Isolation, c sandbox.Config, id string) (z *zygote, err error) {
	shared, err := i.roots.of(ctx, i, c)
	if err != nil {
		return nil, err
	}
	python, err := sharedPython(shared.argv[0], c.Image)
	if err != nil {
		return nil, err
	}
	z = &zygote{ended: make(chan struct{})}
	z.words.To = c.Stderr
	z.cgroup, err = i.cgroups.Create(id, resource.Limits{Memory: int64(c.Function.Memory), MilliCPU: c.Function.MilliCPU, PIDs: pidsLimit * pidsLimit})
	if err != nil {
		return nil, err
	}
	control, theirs, err := socketPair(syscall.SOCK_SEQPACKET)
	if err != nil {
		return nil, errors.Join(err, z.cgroup.Remove())
	}
	z.control = control
	output, printed, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirs.Close(), z.close())
	}
	z.output = output
	var code bytes.Buffer
	if err := binary.Write(&code, binary.NativeEndian, i.native.program); err != nil {
		panic("process: the filter is of a fixed size: " + err.Error())
	}
	l := launch{
		root:   &root{namespace: shared.namespace, argv: []string{python, "-u", shim.InsideZygote}, env: shared.env},
		cgroup: z.cgroup, network: i.network(), nobody: true, files: []*os.File{printed, printed, theirs}, temporary: c.Function.Memory,
		env: i.environment(c.Function, id),
	}
	for _, library := range []string{"OPENBLAS", "OMP", "MKL"} { // a thread of theirs would not be in a fork
		l.env = append(l.env, library+"_NUM_THREADS=1")
	}
	l.env = append(l.env, "AINUR_NETWORK="+i.options.Container.Network, "AINUR_FILTER="+base64.StdEncoding.EncodeToString(code.Bytes()),
		"AINUR_TMP="+tmpfsOptions(c.Function.Memory))
	z.process, err = i.native.start(l)
	err = errors.Join(err, printed.Close(), theirs.Close())
	if z.process != nil {
		go z.wait() // until close
	}
	if err == nil {
		err = z.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, z.close())
	}
	return z, nil
}

// systemPython is where Debian and its like have an interpreter that any user may execute.
const systemPython = "/usr/bin/python3"

// sharedPython is an interpreter that any user may execute: path, or that of the system.
func sharedPython(path, image string) (string, error) {
	if image != "" || forAll(path) {
		return path, nil
	}
	if !forAll(systemPython) {
		return "", fmt.Errorf("a zygote runs as a user without rights, who may not execute %s: install %s", path, systemPython)
	}
	return systemPython, nil
}

// forAll reports whether any user may execute a file of this host.
func forAll(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	for ; err == nil; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if path == "/" {
			return true
		}
	}
	return false
}

func (z *zygote) wait() {
	defer close(z.ended)
	_, _ = io.Copy(&z.words, z.output) // until it and all its forks have ended, or close
	_, _ = z.process.Wait()
}

// ready waits until the code is imported.
func (z *zygote) ready(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = z.control.SetDeadline(time.Unix(1, 0)) })
	answer, _, err := z.receive()
	switch {
	case !stop():
		return link.StartFailed("%w%s", context.Cause(ctx), z.words.LastWords())
	case err != nil:
		return link.StartFailed("its zygote ended before it was ready: %w%s", err, z.words.LastWords())
	case answer[0] == 'R':
		return nil
	case answer[0] == 'T':
		return fmt.Errorf("%w: %s", errThreads, answer[1:])
	default:
		return link.StartFailed("%s", link.Text(answer[1:]))
	}
}

// receive reads a packet, which is not empty, and the descriptor that came with it, if any.
func (z *zygote) receive() ([]byte, *os.File, error) {
	packet, rights := make([]byte, 16<<10), make([]byte, unix.CmsgSpace(4))
	n, nr, _, _, err := z.control.ReadMsgUnix(packet, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, nil, err
	}
	if nr == 0 {
		return packet[:n], nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights[:nr])
	if err != nil {
		return nil, nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // so that os.NewFile gives it to the poller
		return nil, nil, errors.Join(err, unix.Close(fds[0]))
	}
	return packet[:n], os.NewFile(uintptr(fds[0]), "pidfd"), nil
}

// fork makes a process in the cgroup with these files: standard output and error, and the socket.
// One that waits begins to serve when it is told to.
func (z *zygote) fork(g resource.Cgroup, files []*os.File, waits bool) (pidfd *os.File, err error) {
	joins, err := g.Files()
	defer func() {
		for _, f := range joins {
			err = errors.Join(err, f.Close())
		}
	}()
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, f := range append(files, joins...) {
		fds = append(fds, int(f.Fd()))
	}
	request := "F"
	if waits {
		request = "P"
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if _, _, err := z.control.WriteMsgUnix([]byte(request), unix.UnixRights(fds...), nil); err != nil {
		return nil, err
	}
	answer, pidfd, err := z.receive()
	if err == nil && pidfd == nil {
		err = errors.New(link.Text(answer))
	}
	return pidfd, err
}

// reap waits for a process that fork has made and says how it ended.
func (z *zygote) reap(pidfd *os.File) string {
	_ = awaitEnd(pidfd) // it fails only on a closed descriptor
	z.mu.Lock()
	defer z.mu.Unlock()
	_, _, err := z.control.WriteMsgUnix([]byte("W"), unix.UnixRights(int(pidfd.Fd())), nil)
	if err != nil {
		return "it ended with its zygote"
	}
	answer, _, err := z.receive()
	if err != nil {
		return "it ended with its zygote"
	}
	var code, status int
	if _, err := fmt.Sscan(string(answer), &code, &status); err != nil {
		return link.Text(answer)
	}
	if code == cldExited {
		return fmt.Sprintf("exit status %d", status)
	}
	return "signal: " + syscall.Signal(status).String()
}

// cldExited is the si_code of a process that ended by itself.
const cldExited = 1

// close ends the zygote and with it all that it has forked.
func (z *zygote) close() error {
	errs := []error{z.control.Close()}
	if z.process != nil {
		if err := z.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		_ = z.output.SetReadDeadline(time.Now().Add(pipesWithin))
		<-z.ended
	}
	if z.output != nil {
		errs = append(errs, z.output.Close())
	}
	return errors.Join(append(errs, z.cgroup.Remove())...)
}

// processOf is the process of a pidfd, which is no child of this one.
func processOf(pidfd *os.File) (*os.Process, error) {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return nil, err
	}
	var info []byte
	var readErr error
	if err := conn.Control(func(fd uintptr) { info, readErr = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd)) }); err != nil || readErr != nil {
		return nil, errors.Join(err, readErr)
	}
	var pid int
	_, rest, _ := strings.Cut(string(info), "\nPid:")
	if _, err := fmt.Sscan(rest, &pid); err != nil {
		return nil, fmt.Errorf("pid of a pidfd: %w", err)
	}
	return os.FindProcess(pid)
}

// awaitEnd returns when the process of a pidfd has ended.
func awaitEnd(pidfd *os.File) error {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}
