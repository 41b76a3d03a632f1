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
	Arrived  time.Duration // when it joined the queue
	Expected time.Duration // predicted time in a sandbox, start-up included where none is idle; 0 = never seen
}

// Policy ranks items on arrival: lowest Rank starts first, then lowest Seq.
type Policy interface{ Rank(Item) time.Duration }

// Builtin lists the queue policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("queue policy")
	r.Add("fcfs", func(decode registry.Decoder) (Policy, error) { return FCFS{}, decode(&struct{}{}) })
	r.Add("sjf", func(decode registry.Decoder) (Policy, error) { return SJF{}, decode(&struct{}{}) })
	r.Add("eedf", func(decode registry.Decoder) (Policy, error) {
		p := EEDF{Weight: 1}
		if err := decode(&p); err != nil {
			return nil, err
		}
		if !(p.Weight >= 0 && p.Weight <= 1000) {
			return nil, fmt.Errorf("weight is %g, want 0 to 1000", p.Weight)
		}
		return p, nil
	})
	return r
}

// FCFS starts items in arrival order.
type FCFS struct{}

// Rank returns the arrival time.
func (FCFS) Rank(it Item) time.Duration { return it.Arrived }

// SJF, shortest job first, starts the shortest expected item. Among jobs that
// are all present it minimises the mean wait (W. E. Smith, Various optimizers
// for single-stage production, 1956, doi:10.1002/nav.3800030106). A function never seen
// is expected to take no time, so it is tried, and measured, at once. Long
// items can wait without bound while short ones keep coming.
type SJF struct{}

// Rank returns the expected time.
func (SJF) Rank(it Item) time.Duration { return it.Expected }

// EEDF, earliest effective deadline first, starts first what should finish
// first:
//
//	rank = a + w·e
//
// with a = Item.Arrived, e = Item.Expected, and w the weight, dimensionless. With w = 1 it
// is the default queue of Ilúvatar (A. Fuerst et al., HPDC'23, doi:10.1145/3588195.3592995);
// with w = 0 it is FCFS, and the larger w, the nearer to SJF. The rank is a due date,
// and no order of items that are all present makes the largest delay past a due date smaller
// (J. R. Jackson, 1955; M. L. Pinedo, Scheduling, 5th ed. 2016, section 3.2). An item is
// overtaken only by what arrives within w·e of it, so nothing waits without bound.
type EEDF struct {
	Weight float64 `hcl:"weight,optional" json:"weight"` // 0 to 1000
}

// Rank returns the due date.
func (p EEDF) Rank(it Item) time.Duration {
	const most = 1 << 62 // 146 years, so that the sum is a Duration
	return it.Arrived + time.Duration(min(p.Weight*float64(it.Expected), most))
}
