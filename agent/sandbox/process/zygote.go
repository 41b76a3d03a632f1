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
	asked   chan question // one is answered after the other
	ended   chan struct{} // closed when it has
	life    sync.WaitGroup
	broken  error // why it was ended, when it did not do what it is for; read after close
}

// question is a packet to a zygote.
type question struct {
	packet string
	files  []*os.File
	answer chan answer // of capacity 1
}

// answer is what came back. It has an error when the zygote has ended.
type answer struct {
	text  []byte
	pidfd *os.File // that came with it, nil for none
	err   error
}

// errOthers is code of which no fork would have all.
var errOthers = errors.New("the code starts threads or processes when it is imported")

// zygotes are those of the functions, each made when the first sandbox needs it.
type zygotes struct {
	mu     sync.Mutex
	byCode map[string]*nursery // by zygoteKey
	made   atomic.Int64
}

// nursery is where the zygote of one function is or could not be.
type nursery struct {
	turn    chan struct{} // of capacity 1: who has put something in may use what follows
	zygote  *zygote       // nil before the first, and after it has ended
	refused error         // why there is none; the function's sandboxes are started without
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
		n = &nursery{turn: make(chan struct{}, 1)}
		z.byCode[key] = n
	}
	z.mu.Unlock()

	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return nil, link.StartFailed("its zygote is not ready yet: %w", context.Cause(ctx))
	}
	if n.zygote != nil {
		select {
		case <-n.zygote.ended:
			err := n.zygote.close()
			n.refuse(i, c, n.zygote.broken)
			n.zygote = nil
			if err != nil {
				return nil, err
			}
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
		n.refuse(i, c, err)
		return nil, nil
	}
	n.zygote = made
	return made, err
}

// refuse has the function do without a zygote from now on, for this reason, if there is one.
func (n *nursery) refuse(i *Isolation, c sandbox.Config, reason error) {
	if reason != nil {
		i.options.Log.Warn("no zygote: sandboxes are started one by one", slog.String("function", c.Function.Name), slog.Any("error", reason))
		n.refused = reason
	}
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
	z = &zygote{asked: make(chan question), ended: make(chan struct{})}
	z.words.To = c.Stderr
	z.cgroup, err = i.cgroups.Create(id, resource.Limits{Memory: int64(c.Function.Memory), MilliCPU: c.Function.MilliCPU, PIDs: pidsLimit})
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
	namespaces := unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if i.options.Container.Network == "none" {
		namespaces |= unix.CLONE_NEWNET
	}
	forks, err := forksInto(uint32(namespaces))
	if err != nil {
		return nil, errors.Join(err, theirs.Close(), printed.Close(), z.close())
	}
	l := launch{
		root:   &root{namespace: shared.namespace, argv: []string{python, "-u", shim.InsideZygote}, env: shared.env},
		cgroup: z.cgroup, network: i.network(), forks: forks, files: []*os.File{printed, printed, theirs}, temporary: c.Function.Memory,
		env: i.environment(c.Function, id),
	}
	for _, library := range []string{"OPENBLAS", "OMP", "MKL"} { // a thread of theirs would not be in a fork
		l.env = append(l.env, library+"_NUM_THREADS=1")
	}
	l.env = append(l.env, fmt.Sprintf("AINUR_NAMESPACES=%d", namespaces), "AINUR_FILTER="+base64.StdEncoding.EncodeToString(code.Bytes()),
		"AINUR_TMP="+tmpfsOptions(c.Function.Memory))
	z.process, err = i.native.start(l)
	err = errors.Join(err, printed.Close(), theirs.Close())
	if z.process != nil {
		z.life.Go(z.wait)
		err = errors.Join(err, mapNobody(z.process.Pid))
	}
	if err == nil {
		err = z.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, z.close())
	}
	z.life.Go(z.talk)
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
	awaitChild(z.process.Pid)
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
		return fmt.Errorf("%w: %s", errOthers, answer[1:])
	default:
		return link.StartFailed("%s", link.Text(answer[1:]))
	}
}

// maxRights is how many descriptors may come with a packet: the kernel closes those
// for which there is no room.
const maxRights = 2

// receive reads a packet, which is not empty, and the descriptor that came with it, if any.
func (z *zygote) receive() ([]byte, *os.File, error) {
	packet, rights := make([]byte, 16<<10), make([]byte, unix.CmsgSpace(4*maxRights))
	n, nr, _, _, err := z.control.ReadMsgUnix(packet, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	var fds []int
	messages, parseErr := unix.ParseSocketControlMessage(rights[:nr])
	for _, m := range messages {
		if some, err := unix.ParseUnixRights(&m); err == nil { // else it is no message of descriptors
			fds = append(fds, some...)
		}
	}
	if err = errors.Join(err, parseErr); err == nil && len(fds) > 1 {
		err = errRights
	}
	if err == nil && len(fds) == 1 {
		err = unix.SetNonblock(fds[0], true) // so that os.NewFile gives it to the poller
	}
	if err != nil {
		for _, fd := range fds {
			err = errors.Join(err, unix.Close(fd))
		}
		return nil, nil, err
	}
	if len(fds) == 0 {
		return packet[:n], nil, nil
	}
	return packet[:n], os.NewFile(uintptr(fds[0]), "pidfd"), nil
}

// A zygote must answer within answerWithin, and one that computes, or waits for a
// processor, within busyWithin.
const (
	answerWithin = time.Second
	busyWithin   = 20 * time.Second
)

// Why a zygote is ended.
var (
	errSilent = errors.New("its zygote does not answer")
	errRights = errors.New("its zygote sent descriptors that nobody asked for")
)

// talk answers questions until the zygote has ended, and ends one that gives no answer.
func (z *zygote) talk() {
	for {
		select {
		case q := <-z.asked:
			a := z.exchange(q)
			if a.err != nil {
				_ = z.process.Kill() // it fails when it has ended
				<-z.ended            // so that nobody else asks it
			}
			q.answer <- a
		case <-z.ended:
			return
		}
	}
}

func (z *zygote) exchange(q question) (a answer) {
	fds := make([]int, len(q.files))
	for n, f := range q.files {
		fds[n] = int(f.Fd())
	}
	_ = z.control.SetDeadline(time.Now().Add(answerWithin)) // it fails only when it is closed, as what follows does
	_, _, a.err = z.control.WriteMsgUnix([]byte(q.packet), unix.UnixRights(fds...), nil)
	began := time.Now()
	for a.err == nil {
		a.text, a.pidfd, a.err = z.receive()
		if !errors.Is(a.err, os.ErrDeadlineExceeded) || time.Since(began) > busyWithin || !computes(z.process.Pid) {
			break
		}
		a.err = z.control.SetDeadline(time.Now().Add(answerWithin))
	}
	switch {
	case errors.Is(a.err, os.ErrDeadlineExceeded):
		a.err, z.broken = errSilent, errSilent
	case errors.Is(a.err, errRights):
		z.broken = errRights
	case a.err != nil:
		a.err = fmt.Errorf("its zygote has ended: %w", a.err)
	}
	return a
}

// computes reports whether a process runs, or would if it had a processor or a page.
func computes(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, ok := strings.Cut(string(b[max(0, bytes.LastIndexByte(b, ')')):]), ") ")
	return err == nil && ok && strings.ContainsAny(state[:1], "RD")
}

// ask returns the answer to a packet with these files. It is there soon: talk sees to it.
func (z *zygote) ask(packet string, files ...*os.File) answer {
	q := question{packet, files, make(chan answer, 1)}
	select {
	case z.asked <- q:
		return <-q.answer
	case <-z.ended:
		return answer{err: errors.New("its zygote has ended")}
	}
}

// fork makes a process in the cgroup with these files: standard output and error, and the socket.
// One that waits begins to serve when it is told to.
func (z *zygote) fork(g resource.Cgroup, files []*os.File, waits bool) (process *os.Process, pidfd *os.File, err error) {
	joins, err := g.Files()
	defer func() {
		for _, f := range joins {
			err = errors.Join(err, f.Close())
		}
	}()
	if err != nil {
		return nil, nil, err
	}
	request := "F"
	if waits {
		request = "P"
	}
	a := z.ask(request, append(files, joins...)...)
	switch {
	case a.err != nil:
		return nil, nil, link.StartFailed("%w%s", a.err, z.words.LastWords())
	case a.pidfd == nil:
		return nil, nil, errors.New(link.Text(a.text))
	}
	if process, err = processOf(a.pidfd); err != nil {
		_ = z.process.Kill() // with what it has forked; it fails when it has ended
	}
	return process, a.pidfd, err
}

// reap waits for a process that fork has made and says how it ended.
func (z *zygote) reap(pidfd *os.File) string {
	_ = awaitEnd(pidfd) // it fails only on a closed descriptor
	a := z.ask("W", pidfd)
	if a.pidfd != nil {
		_ = a.pidfd.Close() // nobody asked for it
	}
	var code, status int
	if a.err != nil {
		return "it ended with its zygote"
	}
	if _, err := fmt.Sscan(string(a.text), &code, &status); err != nil {
		return link.Text(a.text)
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
		z.life.Wait()
	}
	if z.output != nil {
		errs = append(errs, z.output.Close())
	}
	return errors.Join(append(errs, z.cgroup.Remove())...)
}

// processOf is the process of a pidfd, which is no child of this one and comes from a
// zygote. It is an error when that has been reaped: another may have its number.
func processOf(pidfd *os.File) (*os.Process, error) {
	pid, err := pidOf(pidfd)
	if err != nil {
		return nil, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	if again, err := pidOf(pidfd); err != nil || again != pid {
		return nil, errors.Join(fmt.Errorf("process %d is gone", pid), err, process.Release())
	}
	return process, nil
}

// pidOf is the number of the process of a pidfd.
func pidOf(pidfd *os.File) (pid int, err error) {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info []byte
	var readErr error
	if err := conn.Control(func(fd uintptr) { info, readErr = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd)) }); err != nil || readErr != nil {
		return 0, errors.Join(err, readErr)
	}
	_, rest, _ := strings.Cut(string(info), "\nPid:")
	if _, err := fmt.Sscan(rest, &pid); err != nil || pid <= 0 {
		return 0, fmt.Errorf("it is no pidfd of a process: %w", err)
	}
	return pid, nil
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
