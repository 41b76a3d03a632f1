package process

import (
	"strings"
	"sync"
)

// tailSize is how much of standard error is kept for messages, in bytes.
const tailSize = 2 << 10

// sink passes on what a stream says and keeps its end.
type sink struct {
	to   func([]byte) // nil drops it
	mu   sync.Mutex
	tail []byte
	cut  bool // more was said than tail holds
}

func (s *sink) Write(p []byte) (int, error) {
	if s.to != nil {
		s.to(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, p[max(0, len(p)-tailSize):]...)
	if over := len(s.tail) - tailSize; over > 0 || len(p) > tailSize {
		s.tail = append(s.tail[:0], s.tail[max(over, 0):]...)
		s.cut = true
	}
	return len(p), nil
}

// last is the last lines, whole ones where there is more than one.
func (s *sink) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(s.tail)
	if _, whole, ok := strings.Cut(text, "\n"); ok && s.cut && whole != "" {
		text = whole
	}
	return strings.TrimSpace(text)
}
