package shell

import (
	"bytes"
	"crypto/rand"
	"io"
	"strconv"
	"sync"
)

// start is the moment in which a command begins: a line with a mark that nobody else
// can have printed, and the process group.
type start struct {
	mark string
	seen chan struct{} // closed when it was printed, or never will be
	then func()        // called when it was printed

	once sync.Once
	mu   sync.Mutex
	pgid string
}

func newStart() *start { return &start{mark: "ainur-" + rand.Text(), seen: make(chan struct{})} }

// never says that it will not be printed any more.
func (s *start) never() { s.once.Do(func() { close(s.seen) }) }

// group is the process group, "" until it is known.
func (s *start) group() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pgid
}

// found is the start, with a process group that may be signalled: 1 is everybody's.
func (s *start) found(group string) {
	if n, err := strconv.Atoi(group); err == nil && n > 1 {
		s.mu.Lock()
		s.pgid = group
		s.mu.Unlock()
		s.then()
	}
	s.never()
}

// afterStart passes on what comes after the start: what is before it is a greeting
// of the host.
type afterStart struct {
	*start
	to     io.Writer
	before []byte
	begun  bool
}

// greeting bounds what is kept of what comes before the start, in bytes.
const greeting = 1 << 16

func (a *afterStart) Write(b []byte) (int, error) {
	if a.begun {
		return a.to.Write(b)
	}
	a.before = append(a.before, b...)
	_, after, found := bytes.Cut(a.before, []byte(a.mark+" "))
	line, rest, whole := bytes.Cut(after, []byte("\n"))
	if !found || !whole {
		if len(a.before) > 2*greeting {
			a.before = append(a.before[:0], a.before[len(a.before)-greeting:]...)
		}
		return len(b), nil
	}
	a.begun, a.before = true, nil
	a.found(string(bytes.TrimSpace(line)))
	if len(rest) > 0 {
		if _, err := a.to.Write(rest); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// sink passes on until that fails, and then drops: a command must not wait for one
// who does not read.
type sink struct {
	to  io.Writer // nil drops it all
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	if s.to != nil && s.err == nil {
		_, s.err = s.to.Write(b)
	}
	return len(b), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}

// held is what is not passed on before a command has begun: complaints of what comes
// before it are told in the error.
type held struct {
	to    io.Writer
	mu    sync.Mutex
	begun bool
	b     []byte
}

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.begun {
		return h.to.Write(b)
	}
	h.b = append(h.b, b...)
	h.b = h.b[max(0, len(h.b)-greeting):]
	return len(b), nil
}

// release passes on what is held, and what is to come.
func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun = true
	_, _ = h.to.Write(h.b) // into a sink
	h.b = nil
}
