// Package queue orders the invocations that wait on one worker.
//
// A policy only ranks. It reads no clock, owns no random source and starts no
// goroutine, so the live agent and the simulator run this very code.
package queue

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/hcl/registry"
)

// Item is one waiting invocation. Times count from the start of the worker.
type Item struct {
	Seq      uint64        // arrival order on this worker; breaks every tie
	Function int           // number of the function on this worker, from 1
	Name     string        // of the function
	Arrived  time.Duration // when it joined the queue
	Known    bool          // an execution of the function was seen; where not, the next three lack it
	Exec     time.Duration // predicted execution
	Expected time.Duration // predicted time in a sandbox: Exec, with start-up where none is idle
	Alone    time.Duration // like Expected, where each of the function that waits already is taken to have one of those idle
	Interval time.Duration // mean time between two arrivals of the function; 0 = not known
	Timeout  time.Duration // of the function; 0 = none
}

// Policy is a way to order, with its options. It has no state.
type Policy interface {
	// New returns the Order of one worker.
	New() Order
	// Rules says how invocations leave the queue other than at its head.
	Rules() Exceptions
}

// Order ranks items on arrival: lowest rank starts first, then lowest Seq. It may have
// state and is used by one worker.
type Order interface {
	Rank(Item) time.Duration
	// Leave is told of each item that leaves the queue, with its rank: to run, or because its
	// caller has gone.
	Leave(it Item, rank time.Duration, runs bool)
}

// Unqueued is implemented by a Policy under which invocations start as soon as there is memory for
// their sandboxes, whatever CPU is in use.
type Unqueued interface{ Unqueued() }

// Admission is implemented by an Order that refuses some of what arrives.
type Admission interface {
	// Admit reports whether an item may join the queue, where it is expected to wait so long.
	Admit(it Item, wait time.Duration) bool
}

// Builtin lists the queue policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("queue policy")
	add(r, "fcfs", registry.About{Doc: "in order of arrival"}, FCFS{Exceptions: turns})
	add(r, "sjf", registry.About{
		Doc:    "shortest predicted execution first",
		Source: "W. E. Smith, Various optimizers for single-stage production, 1956, doi:10.1002/nav.3800030106",
	}, SJF{Exceptions: turns})
	add(r, "cold_priority", registry.About{
		Doc:    "least predicted time in a sandbox first, start-up included: what finds one idle goes before what has to wait for one",
		Source: "A. Fuerst et al., Ilúvatar, HPDC 2023, section 5, doi:10.1145/3588195.3592995",
	}, ColdPriority{Exceptions: turns})
	add(r, "avail_scale", registry.About{
		Doc:    "like cold_priority, where an idle sandbox counts for one that waits and not for all: a burst of one function shares the sandboxes that it has",
		Source: "A. Fuerst et al., Ilúvatar, HPDC 2023, section 5, doi:10.1145/3588195.3592995",
	}, AvailScale{Exceptions: turns})
	add(r, "rare", registry.About{
		Doc:    "longest mean time between arrivals first: a function that is called seldom waits least",
		Source: "A. Fuerst et al., Ilúvatar, HPDC 2023, section 5, doi:10.1145/3588195.3592995",
	}, Rare{Exceptions: turns})
	add(r, "eedf", registry.About{
		Doc:    "earliest effective deadline first: arrival plus weighted predicted time",
		Source: "A. Fuerst et al., Ilúvatar, HPDC 2023, section 5, doi:10.1145/3588195.3592995",
	}, EEDF{Weight: 1, Exceptions: turns})
	add(r, "edf", registry.About{
		Doc:    "earliest deadline first, where the deadline is the function's timeout or a multiple of its predicted execution; what could not meet it may be refused",
		Source: "J. R. Jackson, Scheduling a production line to minimize maximum tardiness, 1955",
	}, EDF{Exceptions: turns})
	add(r, "mqfq", registry.About{
		Doc:    "fair queueing between functions by start tags, with weights: each has its share of the time that is served",
		Source: "W. Jin et al., Interposed proportional sharing for a storage service utility, SIGMETRICS 2004, SFQ(D), doi:10.1145/1005686.1005694; P. Goyal et al., Start-time fair queueing, SIGCOMM 1996, doi:10.1145/248156.248171; M. Hedayati et al., Multi-queue fair queueing, ATC 2019",
	}, MQFQ{Unknown: 100 * time.Millisecond, Exceptions: turns})
	add(r, "drr", registry.About{
		Doc:    "deficit round robin between functions: each has a quantum of time in every round",
		Source: "M. Shreedhar and G. Varghese, Efficient fair queueing using deficit round robin, SIGCOMM 1995, doi:10.1145/217382.217453",
	}, DRR{Quantum: 100 * time.Millisecond, Unknown: 100 * time.Millisecond, Exceptions: turns})
	add(r, "none", registry.About{
		Doc:    "no queue: everything starts when there is memory for it, and what runs shares the cores",
		Source: "L. Kleinrock, Time-shared systems: a theoretical treatment, 1967, doi:10.1145/321386.321388",
	}, None{})
	r.Alias("minheap", "sjf") // here and below as Ilúvatar says
	r.Alias("minheap_ed", "eedf")
	r.Alias("minheap_iat", "rare")
	r.Alias("cold_pri", "cold_priority")
	r.Alias("scaling", "avail_scale")
	r.Alias("queueless", "none")
	r.Alias("processor_sharing", "none")
	return r
}

// add registers a policy whose options are those of P, by default as in defaults.
func add[P interface {
	Policy
	check() error
}](r *registry.Registry[Policy], name string, about registry.About, defaults P) {
	r.Add(name, about, func(decode registry.Decoder) (Policy, error) {
		p := defaults
		if err := decode(&p); err != nil {
			return nil, err
		}
		if err := p.Rules().check(); err != nil {
			return nil, err
		}
		return p, p.check()
	})
}

// Exceptions are the ways by which an invocation leaves the queue other than at its head. The zero value has none.
type Exceptions struct {
	// Bypass is that of Ilúvatar (A. Fuerst et al., HPDC 2023, section 4): what is over before a turn would
	// come does not wait for one. There, what finds no sandbox tries again without end; here it queues.
	Bypass     time.Duration `hcl:"bypass,optional" json:"bypass,omitempty" doc:"what is predicted to execute for no longer, and finds a sandbox idle, does not queue; 0s: all queue"`
	BypassLoad float64       `hcl:"bypass_load,optional" json:"bypass_load,omitempty" doc:"of the worker's cores, those that may be in use with what does not queue, 1 to 1000"`
	// BackFill is bounded by a count, since executions are not known well enough for a reservation
	// (D. Feitelson and A. Weil, Utilization and predictability in scheduling the IBM SP2 with
	// backfilling, IPPS 1998, doi:10.1109/IPPS.1998.669970).
	BackFill int           `hcl:"backfill,optional" json:"backfill,omitempty" doc:"how many may start before an invocation for which CPU or memory is short, 0 to 1000"`
	MostWait time.Duration `hcl:"most_wait,optional" json:"most_wait,omitempty" doc:"what has waited for longer goes before all that has not, in order of arrival; 0s: no bound"`
}

// turns are the exceptions that a policy has by default: none.
var turns = Exceptions{BypassLoad: 2}

// Rules are the exceptions themselves.
func (e Exceptions) Rules() Exceptions { return e }

func (e Exceptions) check() error {
	switch {
	case e.Bypass < 0 || e.MostWait < 0:
		return fmt.Errorf("bypass is %v and most_wait %v, want 0s or more", e.Bypass, e.MostWait)
	case e.Bypass > 0 && !(e.BypassLoad >= 1 && e.BypassLoad <= 1000):
		return fmt.Errorf("bypass_load is %g, want 1 to 1000", e.BypassLoad)
	case e.BackFill < 0 || e.BackFill > 1000:
		return fmt.Errorf("backfill is %d, want 0 to 1000", e.BackFill)
	}
	return nil
}

// Ageing keeps a policy from starving anything: with a rate r over 0 the rank of an item
// is what the policy gives it plus r times its arrival, so that whatever arrives late
// enough comes after it. 0 is none.
type Ageing struct {
	Rate float64 `hcl:"ageing,optional" json:"ageing" doc:"what each second of waiting is worth, in seconds of rank; 0 lets an item wait without bound"`
}

func (a Ageing) rank(base time.Duration, it Item) time.Duration {
	return base + scaled(a.Rate, it.Arrived)
}

// Check says what is wrong with the options.
func (a Ageing) Check() error {
	if !(a.Rate >= 0 && a.Rate <= 1000) {
		return fmt.Errorf("ageing is %g, want 0 to 1000", a.Rate)
	}
	return nil
}

// Guess is what a function takes that was never seen.
type Guess struct {
	Unknown time.Duration `hcl:"unknown,optional" json:"unknown" doc:"execution of a function that was never seen; 0s has it tried, and measured, before all others"`
}

// of is d, a prediction for it, or what is guessed.
func (g Guess) of(it Item, d time.Duration) time.Duration {
	if !it.Known {
		d += g.Unknown
	}
	return min(d, longest)
}

// Check says what is wrong with the options.
func (g Guess) Check() error {
	if g.Unknown < 0 {
		return fmt.Errorf("unknown is %v, want 0s or more", g.Unknown)
	}
	return nil
}
