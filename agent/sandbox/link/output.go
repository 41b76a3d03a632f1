package link

import (
	"strings"
	"sync"
)

// tailSize is how much of standard error is kept for messages, in bytes.
const tailSize = 2 << 10

// Output passes on what a stream of a sandbox says and keeps its end.
type Output struct {
	To   func([]byte) // nil drops it
	mu   sync.Mutex   // of all of it, once something writes to it
	tail []byte
	cut  bool // more was said than tail holds
}

// Direct changes where it goes.
func (o *Output) Direct(to func([]byte)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.To = to
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	to := o.To
	o.mu.Unlock()
	if to != nil {
		to(p)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, p[max(0, len(p)-tailSize):]...)
	if over := len(o.tail) - tailSize; over > 0 || len(p) > tailSize {
		o.tail = append(o.tail[:0], o.tail[max(over, 0):]...)
		o.cut = true
	}
	return len(p), nil
}

// LastWords is the last lines, whole ones where there is more than one, after a
// line break; "" when nothing was said.
func (o *Output) LastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := string(o.tail)
	if _, whole, ok := strings.Cut(text, "\n"); ok && o.cut && whole != "" {
		text = whole
	}
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return "\n" + Text([]byte(text))
}
