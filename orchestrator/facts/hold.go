package facts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrLocked reports that another holds the lock of the deployment on a host.
var ErrLocked = errors.New("the lock is held")

// Held is the lock of a deployment on a host. It lives in a process there that ends
// with the connection.
type Held struct {
	stdin  *io.PipeWriter
	lines  *bufio.Reader
	marker string
	cancel context.CancelFunc
	ended  chan struct{} // closed when err is there
	err    error
	given  chan struct{} // closed when it is given back
	once   sync.Once
}

// A holder says every beat that it is there. A host from which the holder is cut off
// frees the lock when it has heard nothing for as long as patience.
const (
	beat     = 30 * time.Second
	patience = 4 * beat
)

// Hold takes the lock of a deployment on a host and then asks it. The owner is a line for
// those who want it meanwhile; "" takes no lock. It waits for as long as wait when
// another has it.
func Hold(ctx context.Context, conn Runner, q Query, owner string, wait time.Duration) (*Host, *Held, error) {
	ctx, cancel := context.WithCancel(ctx)
	in, stdin := io.Pipe()
	out, stdout := io.Pipe()
	held := &Held{stdin: stdin, lines: bufio.NewReader(out), marker: newMarker(), cancel: cancel, ended: make(chan struct{}), given: make(chan struct{})}
	context.AfterFunc(ctx, func() { _ = stdin.Close() }) // it returns nil
	c := q.command(held.marker, owner)
	c.Stdin, c.Stdout, c.Lasts = io.MultiReader(strings.NewReader(gather), in), &atMost{stdout, mostSaid, func(err error) { _ = stdout.CloseWithError(err) }}, true // which returns nil
	go func() {
		defer close(held.ended)
		held.err = conn.Run(ctx, c)
		_ = stdout.CloseWithError(io.EOF) // it returns nil
		_ = in.CloseWithError(io.ErrClosedPipe)
	}()
	h := &Host{}
	holder := ""
	var late *time.Timer
	ended, err := h.read(held.lines, held.marker, func(by string) {
		if holder == "" {
			late = time.AfterFunc(wait, cancel)
		}
		holder = by
	})
	if late != nil && !late.Stop() {
		err = fmt.Errorf("%w: by %s", ErrLocked, holder)
	}
	if err == nil && ended {
		if owner != "" {
			go held.beats()
		}
		return h, held, nil
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, held.lines) }() // as in Release
	<-held.ended
	switch {
	case err != nil:
	case held.err != nil:
		err = fmt.Errorf("read facts: %w", held.err)
	default:
		err = errors.New("read facts: the host said nothing")
	}
	return nil, nil, err
}

// Clock asks a host for its time so often and returns how far its clock is ahead of
// this one's, and within what: half of the shortest round trip.
func (l *Held) Clock(samples int) (offset, within time.Duration, err error) {
	for i := range samples {
		asked := time.Now()
		if _, err := io.WriteString(l.stdin, "?\n"); err != nil {
			return 0, 0, fmt.Errorf("ask for the time: %w", err)
		}
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return 0, 0, fmt.Errorf("ask for the time: %w", err)
		}
		took := time.Since(asked)
		then, grain, err := date(strings.TrimPrefix(strings.TrimSpace(line), l.marker+" clock "))
		if err != nil {
			return 0, 0, fmt.Errorf("ask for the time: %w", err)
		}
		if give := took/2 + grain; i == 0 || give < within {
			offset, within = then.Sub(asked.Add(took/2)), give
		}
	}
	return offset, within, nil
}

// date is a time that a host says, and half of what it counts in: some have seconds only.
func date(text string) (then time.Time, grain time.Duration, err error) {
	seconds, coarse := strings.CutSuffix(text, "%N")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if coarse {
		return time.Unix(n, int64(time.Second/2)), time.Second / 2, err
	}
	return time.Unix(0, n), 0, err
}

// beats says every beat that the holder is there, until the lock is no longer held.
func (l *Held) beats() {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if l.Beat(patience) != nil {
				return // it has ended
			}
		case <-l.ended:
			return
		case <-l.given:
			return
		}
	}
}

// Beat says that the holder is there. From then on the host waits for the next beat, or
// a question, for as long as patience, in whole seconds.
func (l *Held) Beat(patience time.Duration) error {
	_, err := fmt.Fprintf(l.stdin, "beat %d\n", int(patience.Seconds()))
	return err
}

// Lost is closed when the lock is no longer held; it is after Release, too.
func (l *Held) Lost() <-chan struct{} { return l.ended }

// Release gives the lock back, which is free when its process has ended, well or not.
func (l *Held) Release() {
	defer l.cancel()
	l.once.Do(func() { close(l.given) })
	_ = l.stdin.Close()                                 // it returns nil
	go func() { _, _ = io.Copy(io.Discard, l.lines) }() // until it ends: nobody waits for a reader
	select {
	case <-l.ended:
	case <-time.After(releaseWithin):
		l.cancel()
		<-l.ended
	}
}

// releaseWithin is how long a host may take to give a lock back.
const releaseWithin = 5 * time.Second

// ip is an address of 4 or 16 bytes as an URL has it.
func ip(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	switch {
	case !ok:
		return ""
	case a.Is4In6():
		return a.Unmap().String()
	case a.Is6():
		return "[" + a.String() + "]"
	default:
		return a.String()
	}
}
