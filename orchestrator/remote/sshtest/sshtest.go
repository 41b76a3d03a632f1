// Package sshtest is an SSH server in the process of a test, which executes
// commands and can do what servers and networks do wrong.
package sshtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"
)

// Faults are what goes wrong. The zero value is a server that does all right.
type Faults struct {
	SlowBanner   time.Duration // before it says who it is
	Silent       bool          // it never does
	StallAfter   int           // bytes sent, after which nothing comes any more; 0 is never
	Partial      bool          // a key is not enough, it wants a code too
	MaxSessions  int           // at a time; 0 is any number, -1 none
	DropAfter    int           // bytes received, after which the connection is cut; 0 is never
	Corrupt      bool          // the 1000th byte of the standard input of a command is another
	SlowInput    time.Duration // before each piece of standard input
	NoExitStatus bool          // a command ends without a word about how
	HangOnClose  bool          // a command that has ended is never said to have
	Motd         string        // before what a command prints
	Path         string        // PATH of the commands; "" is that of the test
	Tries        int           // of keys, after which the connection is cut; 0 is six
	Force        string        // is executed instead of what the client wants; "" is not
	Freeze       time.Duration // after which it neither reads nor writes; 0 is never
	NoForwarding bool          // of connections
	TwoKeys      bool          // an RSA host key too
	TCP          func(address string) (net.Conn, error)
}

// Server is one, until its test ends.
type Server struct {
	Host, Key, KnownHosts string // address, and files to get in with
	Port                  int
	Keys                  []ssh.PublicKey // of the host
	faults                Faults
	config                *ssh.ServerConfig
	sessions              atomic.Int64
	Connections           atomic.Int64 // accepted until now

	ending context.Context //nolint:containedctx // of the server itself
	mu     sync.Mutex
	conns  map[net.Conn]bool
	done   sync.WaitGroup
}

// Start starts a server on a loopback address.
func Start(t testing.TB, faults Faults) *Server {
	t.Helper()
	dir := t.TempDir()
	ending, end := context.WithCancel(context.Background())
	s := &Server{ending: ending, faults: faults, Key: filepath.Join(dir, "key"), KnownHosts: filepath.Join(dir, "known_hosts"), conns: map[net.Conn]bool{}}
	host, _ := newKey(t)
	user, text := newKey(t)
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, errors.New("another key")
		}
		if faults.Partial {
			return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				return nil, errors.New("no code")
			}}}
		}
		return nil, nil
	}}
	s.config.MaxAuthTries = faults.Tries
	s.config.AddHostKey(host)
	s.Keys = append(s.Keys, host.PublicKey())
	if faults.TwoKeys {
		second := newRSA(t)
		s.config.AddHostKey(second)
		s.Keys = append(s.Keys, second.PublicKey())
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	s.Host, s.Port = address.IP.String(), address.Port
	line := knownhosts.Line([]string{knownhosts.Normalize(address.String())}, host.PublicKey()) + "\n"
	if err := errors.Join(os.WriteFile(s.Key, text, 0o600), os.WriteFile(s.KnownHosts, []byte(line), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.done.Go(func() { s.accept(listener) })
	t.Cleanup(func() {
		end()
		_ = listener.Close() // it is open
		s.mu.Lock()
		for conn := range s.conns {
			_ = conn.Close() // its client may have closed it
		}
		s.mu.Unlock()
		s.done.Wait()
	})
	return s
}

func newKey(t testing.TB) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func newRSA(t testing.TB) ssh.Signer {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (s *Server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // it was closed
		}
		s.Connections.Add(1)
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.done.Go(func() {
			s.serve(&faulty{Conn: conn, faults: &s.faults, since: time.Now()})
			_ = conn.Close() // its client may have closed it
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// faulty is a connection of which the network does something wrong.
type faulty struct {
	net.Conn
	faults         *Faults
	sent, received int
	since          time.Time
}

func (f *faulty) frozen() bool { return f.faults.Freeze > 0 && time.Since(f.since) > f.faults.Freeze }

func (f *faulty) Write(b []byte) (int, error) {
	if f.frozen() || f.faults.StallAfter > 0 && f.sent+len(b) > f.faults.StallAfter {
		return len(b), nil // it never arrives
	}
	f.sent += len(b)
	return f.Conn.Write(b)
}

func (f *faulty) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	for err == nil && f.frozen() {
		n, err = f.Conn.Read(b) // it never arrives
	}
	f.received += n
	if f.faults.DropAfter > 0 && f.received > f.faults.DropAfter {
		return 0, errors.Join(io.ErrUnexpectedEOF, f.Close())
	}
	return n, err
}

func (s *Server) serve(raw *faulty) {
	if s.faults.Silent {
		_, _ = io.Copy(io.Discard, raw) // until the client has enough
		return
	}
	time.Sleep(s.faults.SlowBanner)
	conn, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return // the client is told
	}
	defer conn.Close()
	s.done.Go(func() { ssh.DiscardRequests(requests) })
	var open sync.WaitGroup
	for c := range channels {
		switch c.ChannelType() {
		case "session":
			open.Go(func() { s.session(c) })
		case "direct-tcpip":
			open.Go(func() { s.forwardTCP(c) })
		case "direct-streamlocal@openssh.com":
			open.Go(func() { s.forwardUnix(c) })
		default:
			_ = c.Reject(ssh.UnknownChannelType, c.ChannelType()) // the client may be gone
		}
	}
	open.Wait()
}

// forwardTCP carries a connection to another host.
func (s *Server) forwardTCP(c ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error()) // the client may be gone, as below
		return
	}
	dial := s.faults.TCP
	if dial == nil {
		dial = func(address string) (net.Conn, error) { return net.Dial("tcp", address) }
	}
	s.forward(c, func() (net.Conn, error) {
		return dial(net.JoinHostPort(to.Host, strconv.FormatUint(uint64(to.Port), 10)))
	})
}

// forwardUnix carries a connection to a socket.
func (s *Server) forwardUnix(c ssh.NewChannel) {
	var to struct {
		Path, Reserved string
		Reserved2      uint32
	}
	if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	s.forward(c, func() (net.Conn, error) { return net.Dial("unix", to.Path) })
}

func (s *Server) forward(c ssh.NewChannel, dial func() (net.Conn, error)) {
	if s.faults.NoForwarding {
		_ = c.Reject(ssh.Prohibited, "open failed")
		return
	}
	there, err := dial()
	if err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	here, requests, err := c.Accept()
	if err != nil {
		_ = there.Close() // it is open
		return
	}
	defer context.AfterFunc(s.ending, func() { _ = there.Close() })()
	var both sync.WaitGroup
	both.Go(func() { ssh.DiscardRequests(requests) })
	both.Go(func() { _, _ = io.Copy(there, here); _ = there.Close() }) // either may end first
	both.Go(func() { _, _ = io.Copy(here, there); _ = here.Close() })
	both.Wait()
}

func (s *Server) session(c ssh.NewChannel) {
	if n := s.sessions.Add(1); s.faults.MaxSessions != 0 && n > int64(s.faults.MaxSessions) {
		s.sessions.Add(-1)
		_ = c.Reject(ssh.Prohibited, "open failed")
		return
	}
	defer s.sessions.Add(-1)
	channel, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		s.exec(channel, string(r.Payload[4:4+binary.BigEndian.Uint32(r.Payload)]))
		return
	}
}

// exec executes a command as sshd does: by the user's shell, in a session of its
// own. The end is told when it comes; the channel closes when nobody has the output.
func (s *Server) exec(channel ssh.Channel, command string) {
	if s.faults.Force != "" {
		command = s.faults.Force
	}
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if s.faults.Path != "" {
		cmd.Env = append(os.Environ(), "PATH="+s.faults.Path)
	}
	_, _ = io.WriteString(channel, s.faults.Motd) // the client may be gone, here and below
	var printed sync.WaitGroup
	for _, stream := range []struct {
		of *io.Writer
		to io.Writer
	}{{&cmd.Stdout, channel}, {&cmd.Stderr, channel.Stderr()}} {
		from, to, err := os.Pipe()
		if err != nil {
			return
		}
		defer to.Close()
		*stream.of = to
		printed.Go(func() {
			_, _ = io.Copy(stream.to, from)
			_ = from.Close() // it is open
		})
	}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = cmd.Stdout.(*os.File).Close() // the command's are others
	_ = cmd.Stderr.(*os.File).Close()
	if err != nil {
		return
	}
	go func() { // until the client goes
		_, _ = io.Copy(stdin, &input{Reader: channel, faults: &s.faults})
		_ = stdin.Close() // the command may have ended
		_, _ = io.Copy(io.Discard, channel)
	}()
	defer context.AfterFunc(s.ending, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })() // it may have ended
	err = cmd.Wait()
	switch {
	case s.faults.HangOnClose:
		s.hang(channel)
	case !s.faults.NoExitStatus:
		tell(channel, err)
	}
	printed.Wait()
}

// hang does nothing until the server ends.
func (s *Server) hang(channel ssh.Channel) {
	for s.ending.Err() == nil {
		if _, err := channel.SendRequest("nothing", true, nil); err != nil {
			return // the client is gone
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tell says how a command has ended.
func tell(channel ssh.Channel, err error) {
	var bad *exec.ExitError
	status := uint32(0)
	if errors.As(err, &bad) {
		status = uint32(bad.ExitCode())
		if w, ok := bad.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name       string
				Core       bool
				Text, Lang string
			}{Name: strings.TrimPrefix(unix.SignalName(w.Signal()), "SIG")}))
			return
		}
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}

// input is what a client sends to a command.
type input struct {
	io.Reader
	faults *Faults
	n      int
}

func (i *input) Read(b []byte) (int, error) {
	time.Sleep(i.faults.SlowInput)
	n, err := i.Reader.Read(b)
	if at := 1000 - i.n; i.faults.Corrupt && at >= 0 && at < n {
		b[at] ^= 1
	}
	i.n += n
	return n, err
}
