// Package keepalive decides which idle sandboxes stay: how long, and which go
// first when memory is short. Policies are pure and are asked when a sandbox
// becomes idle; the worker keeps the order.
package keepalive

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/hcl/registry"
)

// Idle is a sandbox that has just become idle. Times count from the start of the worker.
type Idle struct {
	LastUsed time.Duration // now: when it was made ready or its last invocation ended
	Memory   int64         // bytes it holds
	Start    time.Duration // what it took to make it
	Uses     int64         // invocations it served
}

// Policy orders and limits idle sandboxes.
type Policy interface {
	// Priority says what is worth keeping: when memory is short the idle sandbox
	// of lowest priority goes first, and of equal ones the one idle for longest.
	Priority(Idle) int64
	// Expires says when to remove the sandbox though nobody needs its memory;
	// false means never.
	Expires(Idle) (time.Duration, bool)
}

// Builtin lists the keep-alive policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("keepalive policy")
	r.Add("ttl", func(decode registry.Decoder) (Policy, error) {
		p := TTL{Idle: 10 * time.Minute} // OpenWhisk's default
		if err := decode(&p); err != nil {
			return nil, err
		}
		if p.Idle < 0 {
			return nil, fmt.Errorf("idle is %v, want 0s or more", p.Idle)
		}
		return p, nil
	})
	r.Add("lru", func(decode registry.Decoder) (Policy, error) { return LRU{}, decode(&struct{}{}) })
	return r
}

// LRU keeps sandboxes until memory is short; the least recently used goes first.
type LRU struct{}

// Priority is the time of last use.
func (LRU) Priority(s Idle) int64 { return int64(s.LastUsed) }

// Expires never.
func (LRU) Expires(Idle) (time.Duration, bool) { return 0, false }

// TTL removes a sandbox once it has been idle for the time Idle; before that, when
// memory is short, the least recently used goes first. Idle 0 keeps none.
type TTL struct {
	Idle time.Duration `hcl:"idle,optional" json:"idle"`
}

// Priority is the time of last use.
func (TTL) Priority(s Idle) int64 { return int64(s.LastUsed) }

// Expires at last use + Idle.
func (p TTL) Expires(s Idle) (time.Duration, bool) { return s.LastUsed + p.Idle, true }
