package ssh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/shell"
)

// session is a command on the other end. The library's own waits for what a command
// has left behind with its output, as daemons are, and for an answer to being closed.
type session struct {
	channel        ssh.Channel
	requests       <-chan *ssh.Request
	stdout, stderr *shell.Output
	leave          func() // when it has ended or was given up
	once           sync.Once
	given          chan struct{} // closed when it was given up
	done           chan struct{}
	err            error // once done is closed
}

// openSession opens a session, in which nothing is executed yet.
func openSession(client *ssh.Client) (*session, error) {
	channel, requests, err := client.OpenChannel("session", nil)
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: the connection is lost: %w", remote.ErrUnreachable, err)
	}
	return &session{channel: channel, requests: requests, given: make(chan struct{}), done: make(chan struct{})}, nil
}

// execute has a command executed, and reads until it has ended.
func (s *session) execute(command string) {
	defer s.Close()
	defer close(s.done)
	ended := make(chan error, 1)
	go s.listen(ended)
	ok, err := s.channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	switch {
	case err != nil:
		s.err = fmt.Errorf("%w (%w)", remote.ErrUnknown, err)
		return
	case !ok:
		s.err = fmt.Errorf("%w: its sshd executes no commands for this user", remote.ErrRefused)
		return
	}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(s.stdout, s.channel) }) // the end of the connection is seen below
	reading.Go(func() { _, _ = io.Copy(s.stderr, s.channel.Stderr()) })
	read := make(chan struct{})
	go func() {
		reading.Wait()
		close(read)
	}()
	s.err = <-ended
	shell.Linger(read, s.given, s.stdout, s.stderr)
}

// listen waits for what is said about the end of the command, and reads what is said after.
func (s *session) listen(ended chan<- error) {
	defer close(ended) // the first is read
	told := false
	for r := range s.requests {
		switch {
		case told:
		case r.Type == "exit-status" && len(r.Payload) >= 4:
			told = true
			if status := binary.BigEndian.Uint32(r.Payload); status != 0 {
				ended <- &remote.ExitError{Status: int(status)}
			} else {
				ended <- nil
			}
		case r.Type == "exit-signal":
			var signal struct {
				Name       string
				Core       bool
				Text, Lang string
			}
			told = ssh.Unmarshal(r.Payload, &signal) == nil
			if told {
				ended <- &remote.ExitError{Status: -1, Signal: signal.Name}
			}
		}
		if r.WantReply {
			_ = r.Reply(false, nil) // the connection may be gone
		}
	}
	if !told {
		ended <- fmt.Errorf("%w (the end of the command was not told)", remote.ErrUnknown)
	}
}

func (s *session) Stdin() io.WriteCloser { return input{s.channel} }
func (s *session) Done() <-chan struct{} { return s.done }
func (s *session) Err() error            { return s.err }

// Signal asks sshd, which may not, or not for the processes of another user.
func (s *session) Signal(name string) {
	_, _ = s.channel.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{name})) // nothing else is to be done
}

// Close gives the session up. The other end may take its time to agree.
func (s *session) Close() {
	s.once.Do(func() {
		close(s.given)
		s.stdout.Shut()
		s.stderr.Shut()
		_ = s.channel.Close() // the other end may have closed it
		s.leave()
	})
}

// input is the way to a command. To close it is to say that nothing more comes.
type input struct{ ssh.Channel }

func (i input) Close() error { return i.CloseWrite() }
