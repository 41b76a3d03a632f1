package multiplex

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// sayTime is how long who connects has to say its preface.
const sayTime = 10 * time.Second

// Handler begins a call, which ends with its Reply, at once or later from any goroutine.
// Requests of a connection come one after another: what takes long is left to a
// goroutine. The request is valid until the Handler returns.
type Handler func(call *Call, request []byte)

// Server answers calls. Make it with NewServer; Close ends it.
type Server struct {
	handle Handler

	mu     sync.Mutex
	conns  map[*session]struct{}
	closed bool
	under  int           // calls under way
	idle   chan struct{} // closed when there are none; nil when nobody waits for that
	served sync.WaitGroup
}

// NewServer returns a Server without connections: Credentials hands them to it.
func NewServer(h Handler) *Server { return &Server{handle: h, conns: map[*session]struct{}{}} }

// Credentials are those of a gRPC server which give connections that are not gRPC's, but say the
// preface of this package, to s.
func (s *Server) Credentials(of credentials.TransportCredentials) credentials.TransportCredentials {
	return &shared{of, s}
}

type shared struct {
	credentials.TransportCredentials
	server *Server
}

// ServerHandshake is that of the credentials below, and a look at what comes then.
func (c *shared) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	var first [len(preface)]byte
	_ = conn.SetReadDeadline(time.Now().Add(sayTime)) // what fails here fails in the next line
	n, err := io.ReadFull(conn, first[:])
	if err != nil && n == 0 {
		return nil, nil, errors.Join(err, conn.Close())
	}
	_ = conn.SetReadDeadline(time.Time{})
	if string(first[:n]) != preface {
		return &replayed{Conn: conn, first: first[:n]}, info, nil
	}
	if err := conn.SetDeadline(time.Time{}); err != nil { // which gRPC set
		return nil, nil, errors.Join(err, conn.Close())
	}
	if !c.server.serve(conn) {
		return nil, nil, errors.Join(ErrClosed, conn.Close())
	}
	return nil, nil, credentials.ErrConnDispatched
}

func (c *shared) Clone() credentials.TransportCredentials {
	return &shared{c.TransportCredentials.Clone(), c.server}
}

// replayed is a connection of which something was read already.
type replayed struct {
	net.Conn
	first []byte
}

func (r *replayed) Read(b []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(b, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.Conn.Read(b)
}

// session is a connection that is served.
type session struct {
	*frames
	server *Server

	mu    sync.Mutex
	calls map[uint64]*Call
}

// serve serves a connection, or returns false when s is closed.
func (s *Server) serve(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	c := &session{frames: newFrames(conn), server: s, calls: map[uint64]*Call{}}
	s.conns[c] = struct{}{}
	s.served.Go(c.run)
	return true
}

func (c *session) run() {
	err := c.serve()
	c.close(err)
	c.server.mu.Lock()
	delete(c.server.conns, c)
	c.server.mu.Unlock()
	c.mu.Lock()
	left := c.calls
	c.calls = nil
	c.mu.Unlock()
	for _, call := range left {
		call.cancel()
	}
}

func (c *session) serve() error {
	if _, err := c.conn.Write([]byte(preface)); err != nil {
		return err
	}
	for {
		k, id, payload, err := c.read()
		if err != nil {
			return err
		}
		switch k {
		case request:
			call := &Call{session: c, id: id}
			c.mu.Lock()
			_, twice := c.calls[id]
			c.calls[id] = call
			c.mu.Unlock()
			if twice {
				return errors.New("two calls have the same id")
			}
			c.server.began()
			c.server.handle(call, payload)
		case cancellation:
			c.mu.Lock()
			call := c.calls[id]
			c.mu.Unlock()
			if call != nil {
				call.cancel()
			}
		default:
			return errors.New("a reply to nothing")
		}
	}
}

func (s *Server) began() {
	s.mu.Lock()
	s.under++
	s.mu.Unlock()
}

func (s *Server) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under--
	if s.under == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Idle returns when no call is under way, or ctx ends.
func (s *Server) Idle(ctx context.Context) {
	s.mu.Lock()
	if s.under == 0 {
		s.mu.Unlock()
		return
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// Close ends every connection, which cancels what is under way, and returns when
// nothing comes from them any more. Calls may still reply, to nobody.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.close(ErrClosed)
	}
	s.mu.Unlock()
	s.served.Wait()
}

// Call is a call on the side that answers it.
type Call struct {
	session *session
	id      uint64

	mu        sync.Mutex
	cancelled bool
	onCancel  func()
}

// OnCancel has f called, once, when the caller cancels the call or has gone before the Reply;
// at once if it has already.
func (c *Call) OnCancel(f func()) {
	c.mu.Lock()
	c.onCancel = f
	now := c.cancelled
	c.mu.Unlock()
	if now {
		f()
	}
}

func (c *Call) cancel() {
	c.mu.Lock()
	f := c.onCancel
	first := !c.cancelled
	c.cancelled = true
	c.mu.Unlock()
	if first && f != nil {
		f()
	}
}

// Reply ends the call, once. The caller may have gone: then nobody gets the reply.
func (c *Call) Reply(payload []byte) error {
	s := c.session
	s.mu.Lock()
	delete(s.calls, c.id)
	s.mu.Unlock()
	err := s.write(reply, c.id, payload)
	s.server.ended()
	return err
}
