package ssh

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// commandConn is the standard input and output of a command.
type commandConn struct {
	net.Conn
	cmd  *exec.Cmd
	once sync.Once
	said *said
}

// dialCommand starts a proxy command. It has a process group of its own: an interrupt
// at the terminal is for us, who have yet to clean up through it.
func dialCommand(command string) (*commandConn, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "proxy command"), os.NewFile(uintptr(ends[1]), "proxy command")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err := ours.Close(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	c := &commandConn{Conn: conn, cmd: exec.Command("/bin/sh", "-c", "exec "+command), said: &said{}}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs, theirs, c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.WaitDelay = time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("proxy command %s: %w", command, err)
	}
	return c, nil
}

// Close ends the command.
func (c *commandConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = c.cmd.Wait()                                      // it was killed
	})
	return err
}

// said is the end of what a command complains of.
type said struct {
	mu sync.Mutex
	b  []byte
}

const saidSize = 1 << 10

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = append(s.b, b...)
	s.b = s.b[max(0, len(s.b)-saidSize):]
	return len(b), nil
}

// blame adds what a proxy command says to why a handshake over it failed.
func blame(raw io.Closer, err error) error {
	c, ok := raw.(*commandConn)
	if !ok || err == nil {
		return err
	}
	c.said.mu.Lock()
	defer c.said.mu.Unlock()
	if text := strings.TrimSpace(string(c.said.b)); text != "" {
		return fmt.Errorf("%w; the proxy command says: %s", err, text)
	}
	return err
}
