// Package keepalive decides which idle sandboxes stay: how long, and which go
// first when memory is short. Policies are pure and are asked when a sandbox
// becomes idle; the worker keeps the order.
package keepalive

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/hcl/registry"
)

// Idle is a sandbox that has just become idle. Times count from the start of the worker.
type Idle struct {
	Function int           // number of the function on this worker, from 1
	LastUsed time.Duration // now: when it was made ready or its last invocation ended
	Memory   int64         // bytes it holds
	Start    time.Duration // what it took to make it
	Uses     int64         // invocations it served
	Calls    int64         // invocations of its function on this worker since that last had no sandbox
	Ended    time.Duration // when the last invocation of its function ended; less than 0 where none has
	Again    time.Duration // when a sandbox of its function will be made ahead if none is idle then; 0 = never
}

// Policy is a way to keep sandboxes, with its options. It has no state.
type Policy interface {
	// New returns the Keeper of one worker.
	New() Keeper
}

// Keeper orders and limits idle sandboxes. It may have state and is used by one worker.
type Keeper interface {
	// Priority says what is worth keeping: when memory is short the idle sandbox
	// of lowest priority goes first, and of equal ones the one idle for longest.
	Priority(Idle) float64
	// Expires says when to remove the sandbox though nobody needs its memory;
	// false means never.
	Expires(Idle) (time.Duration, bool)
	// Evicted is told of each sandbox that goes because memory is short, with its priority.
	Evicted(priority float64)
	// Arrived is told of each invocation of a function, and how long none had been under way; less than 0 where
	// it is the first.
	Arrived(function int, idle time.Duration)
}

// Builtin lists the keep-alive policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("keepalive policy")
	r.Add("ttl", registry.About{Doc: "a fixed time idle; before that the least recently used goes first", Source: "OpenWhisk: 10 minutes"}, func(decode registry.Decoder) (Policy, error) {
		p := TTL{Idle: 10 * time.Minute} // OpenWhisk's default
		if err := decode(&p); err != nil {
			return nil, err
		}
		if p.Idle < 0 {
			return nil, fmt.Errorf("idle is %v, want 0s or more", p.Idle)
		}
		return p, nil
	})
	plain := func(p Policy) registry.Factory[Policy] {
		return func(decode registry.Decoder) (Policy, error) { return p, decode(&struct{}{}) }
	}
	r.Add("lru", registry.About{Doc: "until memory is short; the least recently used goes first"}, plain(LRU{}))
	r.Add("lfu", registry.About{Doc: "until memory is short; the sandbox of the function with the fewest invocations goes first"}, plain(LFU{}))
	r.Add("size", registry.About{Doc: "until memory is short; the largest goes first", Source: "S. Williams et al., Removal policies in network caches, SIGCOMM 1996, doi:10.1145/248156.248182"}, plain(Size{}))
	r.Add("gdsf", registry.About{
		Doc:    "greedy dual, size and frequency: clock + invocations x start-up / memory, least first",
		Source: "A. Fuerst and P. Sharma, FaasCache, ASPLOS 2021, section 4, doi:10.1145/3445814.3446757; L. Cherkasova, HP Labs HPL-98-69R1, 1998",
	}, plain(GDSF{}))
	r.Add("landlord", registry.About{
		Doc:    "rent for memory is paid from a credit of the start-up time, renewed at each use; who has none left goes first",
		Source: "N. E. Young, On-line file caching, Algorithmica 33, 2002, doi:10.1007/s00453-001-0124-5",
	}, plain(Landlord{}))
	r.Add("histogram", registry.About{
		Doc:    "each function's own time idle, from the histogram of the times between its invocations; with prewarm histogram, none is kept while none is expected",
		Source: "M. Shahrad et al., Serverless in the Wild, ATC 2020, section 4",
	}, func(decode registry.Decoder) (Policy, error) {
		p := Histogram{Tail: 0.99, Margin: 0.1, Idle: 10 * time.Minute, Times: estimate.Times{Bin: time.Minute, Bins: 240, Least: 5, Spread: 2, Outside: 0.5}}
		if err := decode(&p); err != nil {
			return nil, err
		}
		return p, p.check()
	})
	r.Alias("greedy_dual", "gdsf")
	r.Alias("hybrid_histogram", "histogram")
	return r
}

// forgetful is told of things and keeps nothing.
type forgetful struct{}

func (forgetful) Evicted(float64)            {}
func (forgetful) Arrived(int, time.Duration) {}

// kept never expires.
type kept struct{}

func (kept) Expires(Idle) (time.Duration, bool) { return 0, false }

// LRU keeps sandboxes until memory is short; the least recently used goes first.
type LRU struct{}

// New is without state.
func (LRU) New() Keeper { return lru{} }

type lru struct {
	forgetful
	kept
}

func (lru) Priority(s Idle) float64 { return float64(s.LastUsed) }

// TTL removes a sandbox once it has been idle for the time Idle; before that, when
// memory is short, the least recently used goes first. Idle 0 keeps none.
type TTL struct {
	Idle time.Duration `hcl:"idle,optional" json:"idle" doc:"how long a sandbox may be idle"`
}

// New is without state.
func (p TTL) New() Keeper { return ttl{TTL: p} }

type ttl struct {
	TTL
	lru
}

func (k ttl) Expires(s Idle) (time.Duration, bool) { return s.LastUsed + k.Idle, true }

// LFU keeps sandboxes until memory is short; the one whose function was called least
// often on this worker goes first.
type LFU struct{}

// New is without state.
func (LFU) New() Keeper { return lfu{} }

type lfu struct {
	forgetful
	kept
}

func (lfu) Priority(s Idle) float64 { return float64(s.Calls) }

// Size keeps sandboxes until memory is short; the largest goes first, so that the fewest go.
type Size struct{}

// New is without state.
func (Size) New() Keeper { return size{} }

type size struct {
	forgetful
	kept
}

func (size) Priority(s Idle) float64 { return -float64(s.Memory) }

// GDSF, greedy dual with size and frequency, keeps what costs most to make again for the
// memory that it holds:
//
//	priority = clock + calls·start/memory
//
// with the clock the greatest priority of those that were evicted, so that what is not called any more
// gets old, and the calls those of the function since it last had no sandbox (FaasCache, section 4). A sandbox keeps
// the priority that it had when it became idle. With start and memory the same for all and few calls it is
// near to LRU, with many to LFU.
type GDSF struct{}

// New returns a Keeper whose clock is at 0.
func (GDSF) New() Keeper { return &gdsf{} }

type gdsf struct {
	kept
	clock float64
}

func (k *gdsf) Priority(s Idle) float64 { return k.clock + float64(s.Calls)*worth(s) }

func (k *gdsf) Evicted(priority float64)   { k.clock = max(k.clock, priority) }
func (k *gdsf) Arrived(int, time.Duration) {}

// worth is the start-up, in seconds, for each MiB.
func worth(s Idle) float64 { return s.Start.Seconds() / max(float64(s.Memory)/(1<<20), 1) }

// Landlord gives a sandbox a credit of its start-up time whenever it is used. When memory is
// short all pay rent by their size until one has no credit left, and that one goes. With c the
// start-up and m the memory, that is the order of
//
//	priority = rent + c/m
//
// with the rent that was paid for each byte so far: no payment has to be made (Young 2002, section 2).
type Landlord struct{}

// New returns a Keeper to whom no rent was paid.
func (Landlord) New() Keeper { return &landlord{} }

type landlord struct{ gdsf }

func (k *landlord) Priority(s Idle) float64 { return k.clock + worth(s) }
