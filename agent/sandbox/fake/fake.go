// Package fake is an isolation whose sandboxes do what a test says: no process
// runs, and time passes only where the script waits.
package fake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Script says what sandboxes do. The zero value is ready at once and answers
// every invocation with its arguments.
type Script struct {
	Start  func(ctx context.Context, c sandbox.Config) error                               // until ready; nil: at once
	Invoke func(ctx context.Context, c sandbox.Config, args []byte) (sandbox.Reply, error) // nil: the arguments come back
	Memory int64                                                                           // in use by each sandbox, in bytes
}

// Sleep waits for d, or returns the cause of the end of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Isolation counts what it makes. It is safe for concurrent use.
type Isolation struct {
	script  Script
	mu      sync.Mutex
	boxes   map[string]*box // by Config.ID, not removed yet
	created int
}

// New returns an Isolation without sandboxes.
func New(s Script) *Isolation { return &Isolation{script: s, boxes: map[string]*box{}} }

// Count is how many sandboxes became ready, and how many of them are not removed.
func (i *Isolation) Count() (created, live int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.created, len(i.boxes)
}

// Crash ends the sandbox with this id as if by itself, and reports whether there is one.
func (i *Isolation) Crash(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := i.boxes[id]
	if b != nil {
		b.end(errCrashed)
	}
	return b != nil
}

// Create runs the script's Start.
func (i *Isolation) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	if i.script.Start != nil {
		if err := i.script.Start(ctx, c); err != nil {
			return nil, err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.boxes[c.ID] != nil {
		return nil, fmt.Errorf("fake: there is a sandbox %s already", c.ID)
	}
	b := &box{isolation: i, config: c}
	b.life, b.end = context.WithCancelCause(context.Background())
	i.boxes[c.ID] = b
	i.created++
	return b, nil
}

// Limitations are none.
func (*Isolation) Limitations() []string { return nil }

// Reclaim finds nothing.
func (*Isolation) Reclaim() ([]string, error) { return nil, nil }

// Close tells when a sandbox was not removed.
func (i *Isolation) Close() error {
	if _, live := i.Count(); live > 0 {
		return fmt.Errorf("fake: %d sandboxes were not removed", live)
	}
	return nil
}

var errCrashed = &sandbox.Error{Kind: sandbox.Crashed, Message: "signal: killed"}

type box struct {
	isolation *Isolation
	config    sandbox.Config
	life      context.Context //nolint:containedctx // the life of the sandbox, of which each invocation is a part
	end       context.CancelCauseFunc
}

// Invoke runs the script's Invoke, whose context ends with the sandbox. An error
// after which a sandbox is not usable ends it.
func (b *box) Invoke(ctx context.Context, args []byte) (sandbox.Reply, error) {
	if b.life.Err() != nil {
		return sandbox.Reply{}, context.Cause(b.life)
	}
	if b.isolation.script.Invoke == nil {
		return sandbox.Reply{Result: args}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.life, func() { cancel(context.Cause(b.life)) })()
	reply, err := b.isolation.script.Invoke(ctx, b.config, args)
	var e *sandbox.Error
	if errors.As(err, &e) && !sandbox.Usable(err) {
		b.end(err)
	}
	return reply, err
}

func (b *box) Memory() int64         { return b.isolation.script.Memory }
func (b *box) CPU() time.Duration    { return -1 }
func (b *box) Freeze() error         { return nil }
func (b *box) Thaw() error           { return nil }
func (b *box) Done() <-chan struct{} { return b.life.Done() }

func (b *box) Remove() error {
	b.end(errCrashed)
	b.isolation.mu.Lock()
	defer b.isolation.mu.Unlock()
	delete(b.isolation.boxes, b.config.ID)
	return nil
}
