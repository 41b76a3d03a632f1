package link

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// The commands of Ilúvatar's protocol over a Unix socket.
const (
	commandCheck  = 0
	commandInvoke = 1
)

// NewUnix speaks Ilúvatar's protocol with the server whose Unix socket is, or will
// be, in the folder dir of this host, once seen is closed. A request is a command and
// the length of the arguments, 8 bytes each in this machine's order, and they; a reply
// is a length and a JSON object. done is closed when the sandbox has ended, which
// ended explains.
func NewUnix(dir string, seen, done <-chan struct{}, ended func() *sandbox.Error) Protocol {
	return &iluvatar{transport: &unixTransport{dir: dir}, seen: seen, done: done, ended: ended}
}

type unixTransport struct {
	dir  string
	conn net.Conn // nil until it is there
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
		folder, err := os.Open(t.dir) // a Unix address is too short for most paths
		if err != nil {
			return nil, err
		}
		t.conn, err = net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), iluvatarSocket))
		if err := errors.Join(err, folder.Close()); err != nil {
			return nil, err
		}
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
