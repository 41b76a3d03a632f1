package shell

import (
	"io"
	"sync/atomic"
	"time"
)

// lingers is how long the output of a command that has ended may be silent before it
// is thought to be somebody else's: daemons keep what they were started with.
const lingers = time.Second

// Output is where what a command prints goes, until it is shut.
type Output struct {
	to    io.Writer
	turn  chan struct{} // holds a value while somebody writes
	ended atomic.Bool
	heard atomic.Bool // something, since it was asked last
}

// NewOutput returns one that passes on to a writer.
func NewOutput(to io.Writer) *Output { return &Output{to: to, turn: make(chan struct{}, 1)} }

func (o *Output) Write(b []byte) (int, error) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	o.heard.Store(true)
	if o.ended.Load() {
		return len(b), nil
	}
	return o.to.Write(b)
}

// silent reports whether nothing was written since it was asked last, and nobody does.
func (o *Output) silent() bool { return !o.heard.Swap(false) && len(o.turn) == 0 }

// Shut drops what comes. Whoever writes may finish, but is not waited for long.
func (o *Output) Shut() {
	o.ended.Store(true)
	select {
	case o.turn <- struct{}{}:
		<-o.turn
	case <-time.After(lingers):
	}
}

// Linger waits for the output of a command that has ended: until it was read, or it
// is silent, or nobody wants it. Then it is shut.
func Linger(read, given <-chan struct{}, outputs ...*Output) {
	for open := true; open; {
		select {
		case <-read:
			open = false
		case <-given:
			open = false
		case <-time.After(lingers):
			open = false
			for _, o := range outputs {
				open = !o.silent() || open
			}
		}
	}
	for _, o := range outputs {
		o.Shut()
	}
}
