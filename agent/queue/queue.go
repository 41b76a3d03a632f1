// Package queue orders the invocations that wait on one worker.
//
// A policy only ranks. It reads no clock, owns no random source and starts no
// goroutine, so the live agent and the simulator run this very code.
package queue

import (
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
