package ssh

import (
	"bytes"
	"crypto/rand"
	"io"
	"sync"
)

// start is the moment in which a command begins: a line with a mark that nobody else
// can have printed, and the process group.
type start struct {
	mark string
	seen chan struct{} // closed when it was printed, or never will be

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

// afterStart passes on what comes after the start: what is before it is a greeting
// of the host.
type afterStart struct {
	*start
	to     io.Writer
	before []byte
	begun  bool
	err    error // of writing to to
}

// greeting bounds what is kept of what comes before the start, in bytes.
const greeting = 1 << 16

// Write never fails: a command must not wait for one that does not read.
func (a *afterStart) Write(b []byte) (int, error) {
	n := len(b)
	if !a.begun {
		a.before = append(a.before, b...)
		_, after, found := bytes.Cut(a.before, []byte(a.mark+" "))
		line, rest, whole := bytes.Cut(after, []byte("\n"))
		if !found || !whole {
			if len(a.before) > 2*greeting {
				a.before = append(a.before[:0], a.before[len(a.before)-greeting:]...)
			}
			return n, nil
		}
		a.mu.Lock()
		a.pgid = string(bytes.TrimSpace(line))
		a.mu.Unlock()
		a.never()
		a.begun, a.before, b = true, nil, rest
	}
	if len(b) > 0 && a.err == nil {
		_, a.err = a.to.Write(b)
	}
	return n, nil
}
