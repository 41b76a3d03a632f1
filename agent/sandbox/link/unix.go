package link

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// The commands of Ilúvatar's protocol over a Unix socket.
const (
	commandCheck  = 0
	commandInvoke = 1
)

// NewUnix speaks Ilúvatar's protocol with the server whose Unix socket is, or will be, in
// IluvatarSockets below root, the root folder of a sandbox, once seen is closed. A request is
// a command and the length of the arguments, 8 bytes each in this machine's order, and they; a
// reply is a length and a JSON object. done is closed when the sandbox has ended, which ended
// explains; cgroup is that of Accept.
func NewUnix(root, cgroup string, seen, done <-chan struct{}, ended func() *sandbox.Error) Protocol {
	return &iluvatar{transport: &unixTransport{root: root, cgroup: cgroup}, seen: seen, done: done, ended: ended}
}

type unixTransport struct {
	root, cgroup string
	conn         net.Conn // nil until it is there
}

// connect connects to the socket. All below the root is the sandbox's to make: no link is
// followed, and what is no socket is not connected to.
func (t *unixTransport) connect(ctx context.Context) (_ net.Conn, err error) {
	root, err := unix.Open(t.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", t.root, err)
	}
	defer unix.Close(root)
	path := strings.TrimPrefix(IluvatarSockets, "/") + "/" + iluvatarSocket
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	socket, err := unix.Openat2(root, path, &how)
	if err != nil {
		return nil, fmt.Errorf("open %s of the sandbox: %w", path, err)
	}
	defer unix.Close(socket)
	var stat unix.Stat_t
	if err := unix.Fstat(socket, &stat); err != nil {
		return nil, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("%s of the sandbox is no socket", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", socket))
	if err != nil {
		return nil, err
	}
	if err := checkPeer(conn.(*net.UnixConn), t.cgroup); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (t *unixTransport) check(ctx context.Context) (answer []byte, failed bool, err error) {
	if answer, err = t.do(ctx, commandCheck, nil); err != nil {
		err = errors.Join(err, t.close())
		t.conn = nil // the next one connects again
		return nil, false, err
	}
	var says struct {
		Error    any `json:"user_error"`
		Platform any `json:"platform_error"`
	}
	failed = json.Unmarshal(answer, &says) == nil && (says.Error != nil || says.Platform != nil)
	return answer, failed, nil
}

func (t *unixTransport) invoke(ctx context.Context, args []byte) (answer []byte, failed bool, err error) {
	answer, err = t.do(ctx, commandInvoke, args)
	return answer, false, err
}

func (t *unixTransport) do(ctx context.Context, command uint64, args []byte) ([]byte, error) {
	if t.conn == nil {
		conn, err := t.connect(ctx)
		if err != nil {
			return nil, err
		}
		t.conn = conn
	}
	stop := context.AfterFunc(ctx, func() { _ = t.conn.SetDeadline(time.Unix(1, 0)) }) // it fails only when it is closed
	defer stop()
	request := make([]byte, 16, 16+len(args))
	binary.NativeEndian.PutUint64(request, command)
	binary.NativeEndian.PutUint64(request[8:], uint64(len(args)))
	if _, err := t.conn.Write(append(request, args...)); err != nil {
		return nil, err
	}
	var length [8]byte
	if _, err := io.ReadFull(t.conn, length[:]); err != nil {
		return nil, err
	}
	size := binary.NativeEndian.Uint64(length[:])
	if size > 2*sandbox.MaxPayload { // a result is a text in an object, and grows by that
		return nil, errLarge
	}
	answer := make([]byte, size)
	_, err := io.ReadFull(t.conn, answer)
	return answer, err
}

func (t *unixTransport) close() error {
	if t.conn == nil {
		return nil
	}
	if err := t.conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
