package ssh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/orchestrator/remote"
)

// session is a command on the other end. The library's own waits for what a command
// has left behind with its output, as daemons are, and for an answer to being closed.
type session struct {
	channel        ssh.Channel
	requests       <-chan *ssh.Request
	stdout, stderr *output
	leave          func() // when it has ended or was given up
	once           sync.Once
	given          chan struct{} // closed when it was given up
	done           chan struct{}
	err            error // once done is closed
}

// openSession has a command executed.
func openSession(client *ssh.Client, command string, stdout, stderr io.Writer) (*session, error) {
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: the connection is lost: %w", remote.ErrUnreachable, err)
	}
	s := &session{
		channel: channel, requests: requests, stdout: newOutput(stdout), stderr: newOutput(stderr), leave: func() {},
		given: make(chan struct{}), done: make(chan struct{}),
	}
	ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err == nil && !ok {
		err = errors.New("its sshd executes no commands for this user")
	} else if err != nil {
		err = fmt.Errorf("%w (%w)", remote.ErrUnknown, err)
	}
	if err != nil {
		go ssh.DiscardRequests(requests)
		return nil, errors.Join(err, closed(channel.Close()))
	}
	return s, nil
}

// lingers is how long the output of a command that has ended may be silent before it
// is thought to be somebody else's.
const lingers = time.Second

// watch reads until the command has ended.
func (s *session) watch() {
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(s.stdout, s.channel) }) // the end of the connection is seen below
	reading.Go(func() { _, _ = io.Copy(s.stderr, s.channel.Stderr()) })
	read := make(chan struct{})
	go func() {
		reading.Wait()
		close(read)
	}()
	ended := make(chan error, 1)
	go s.listen(ended)
	s.err = <-ended
	for open := true; open; {
		select {
		case <-read:
			open = false
		case <-s.given:
			open = false
		case <-time.After(lingers):
			open = !s.stdout.silent() || !s.stderr.silent()
		}
	}
	s.stdout.shut()
	s.stderr.shut()
	close(s.done)
	s.Close()
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
		s.stdout.shut()
		s.stderr.shut()
		_ = s.channel.Close() // the other end may have closed it
		s.leave()
	})
}

// input is the way to a command. To close it is to say that nothing more comes.
type input struct{ ssh.Channel }

func (i input) Close() error { return i.CloseWrite() }

// output is where what a command prints goes, until it is shut.
type output struct {
	to     io.Writer
	turn   chan struct{} // holds a value while somebody writes
	shutUp atomic.Bool
	heard  atomic.Bool // something, since it was asked last
}

func newOutput(to io.Writer) *output { return &output{to: to, turn: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	o.heard.Store(true)
	if o.shutUp.Load() {
		return len(b), nil
	}
	return o.to.Write(b)
}

// silent reports whether nothing was written since it was asked last, and nobody does.
func (o *output) silent() bool { return !o.heard.Swap(false) && len(o.turn) == 0 }

// shut drops what comes. Whoever writes may finish, but is not waited for long.
func (o *output) shut() {
	o.shutUp.Store(true)
	select {
	case o.turn <- struct{}{}:
		<-o.turn
	case <-time.After(lingers):
	}
}
