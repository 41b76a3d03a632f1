package queue

import (
	"errors"
	"fmt"
	"time"
)

// longest is 146 years: the sum of two such is a Duration.
const longest = 1 << 62

// plain is an Order without state, by a rank.
type plain func(Item) time.Duration

func (rank plain) Rank(it Item) time.Duration      { return rank(it) }
func (rank plain) Leave(Item, time.Duration, bool) {}
func scaled(by float64, d time.Duration) time.Duration {
	return time.Duration(min(by*float64(d), longest))
}

// FCFS starts items in arrival order.
type FCFS struct{ Exceptions }

// New is without state.
func (p FCFS) New() Order { return plain(p.Rank) }

// Rank returns the arrival time.
func (FCFS) Rank(it Item) time.Duration { return it.Arrived }

func (FCFS) check() error { return nil }

// None starts items at once, so their order is that of arrival.
type None struct{}

// New is without state.
func (None) New() Order { return plain(FCFS{}.Rank) }

// Rules has no exceptions, for nothing waits.
func (None) Rules() Exceptions { return Exceptions{} }

// Unqueued says that CPU is not waited for.
func (None) Unqueued() {}

func (None) check() error { return nil }

// SJF, shortest job first, starts the shortest predicted execution. Among jobs that
// are all present it minimises the mean wait (W. E. Smith, Various optimizers
// for single-stage production, 1956, doi:10.1002/nav.3800030106). Long
// items can wait without bound while short ones keep coming, unless they age.
type SJF struct {
	Ageing
	Guess
	Exceptions
}

// New is without state.
func (p SJF) New() Order { return plain(p.Rank) }

// Rank returns the predicted execution.
func (p SJF) Rank(it Item) time.Duration { return p.rank(p.of(it, it.Exec), it) }

func (p SJF) check() error { return errors.Join(p.Ageing.Check(), p.Guess.Check()) }

// ColdPriority is SJF of the time in a sandbox, start-up included where none is idle: what can
// start warm goes first.
type ColdPriority struct {
	Ageing
	Guess
	Exceptions
}

// New is without state.
func (p ColdPriority) New() Order { return plain(p.Rank) }

// Rank returns the predicted time in a sandbox.
func (p ColdPriority) Rank(it Item) time.Duration { return p.rank(p.of(it, it.Expected), it) }

func (p ColdPriority) check() error { return errors.Join(p.Ageing.Check(), p.Guess.Check()) }

// AvailScale is ColdPriority where each that waits takes one of the idle sandboxes from those of its function that
// come after: of a burst only as many as there are sandboxes go first, and those that follow find them idle
// again more often than they would if all had gone. (Ilúvatar's `scaling` ranks all that find one idle alike,
// and first of all where others of the function run.)
type AvailScale struct {
	Ageing
	Guess
	Exceptions
}

// New is without state.
func (p AvailScale) New() Order { return plain(p.Rank) }

// Rank returns the predicted time in a sandbox.
func (p AvailScale) Rank(it Item) time.Duration { return p.rank(p.of(it, it.Alone), it) }

func (p AvailScale) check() error { return errors.Join(p.Ageing.Check(), p.Guess.Check()) }

// Rare starts first what is called most seldom: of a function that is hardly ever called
// nobody can be held up for long, and it has nobody else's sandbox to hope for. (Ilúvatar's code
// orders the other way round; the paper is followed.) A function whose rate is
// not known yet is taken for the rarest.
type Rare struct {
	Ageing
	Exceptions
}

// New is without state.
func (p Rare) New() Order { return plain(p.Rank) }

// Rank falls with the mean time between arrivals.
func (p Rare) Rank(it Item) time.Duration {
	if it.Interval <= 0 {
		return p.rank(-longest, it)
	}
	return p.rank(-min(it.Interval, longest), it)
}

func (p Rare) check() error { return p.Ageing.Check() }

// EEDF, earliest effective deadline first, starts first what should finish
// first:
//
//	rank = a + w·e
//
// with a = Item.Arrived, e = Item.Expected, and w the weight, dimensionless. With w = 1 it
// is the default queue of Ilúvatar (A. Fuerst et al., HPDC'23, doi:10.1145/3588195.3592995);
// with w = 0 it is FCFS, and the larger w, the nearer to ColdPriority. The rank is a due date,
// and no order of items that are all present makes the largest delay past a due date smaller
// (J. R. Jackson, 1955; M. L. Pinedo, Scheduling, 5th ed. 2016, section 3.2). An item is
// overtaken only by what arrives within w·e of it, so nothing waits without bound.
type EEDF struct {
	Weight float64 `hcl:"weight,optional" json:"weight" doc:"of the predicted time, 0 to 1000"`
	Guess
	Exceptions
}

// New is without state.
func (p EEDF) New() Order { return plain(p.Rank) }

// Rank returns the due date.
func (p EEDF) Rank(it Item) time.Duration {
	return it.Arrived + scaled(p.Weight, p.of(it, it.Expected))
}

func (p EEDF) check() error {
	if !(p.Weight >= 0 && p.Weight <= 1000) {
		return fmt.Errorf("weight is %g, want 0 to 1000", p.Weight)
	}
	return p.Guess.Check()
}

// EDF starts first what has to finish first. The deadline of an item is its arrival plus
// the function's timeout or, with a slack, so many times its predicted execution. What has
// neither comes last, in order of arrival.
type EDF struct {
	Slack float64 `hcl:"slack,optional" json:"slack" doc:"deadline in predicted executions after the arrival, 1 to 1e6; 0 takes the function's timeout"`
	Admit bool    `hcl:"admit,optional" json:"admit" doc:"refuse what is expected to miss its deadline"`
	Exceptions
}

func (p EDF) check() error {
	if !(p.Slack >= 0 && p.Slack <= 1e6) || p.Slack > 0 && p.Slack < 1 {
		return fmt.Errorf("slack is %g, want 0, which is the function's timeout, or 1 to 1e6", p.Slack)
	}
	return nil
}

// New is without state.
func (p EDF) New() Order { return edf{p} }

type edf struct{ EDF }

// after is how long after its arrival an item is due, and whether it is at all.
func (p EDF) after(it Item) (time.Duration, bool) {
	if p.Slack > 0 && it.Known {
		return scaled(p.Slack, it.Exec), true
	}
	return min(it.Timeout, longest), it.Timeout > 0
}

func (o edf) Rank(it Item) time.Duration {
	due, ok := o.after(it)
	if !ok {
		due = longest
	}
	return it.Arrived + due
}

func (edf) Leave(Item, time.Duration, bool) {}

// Admit compares the expected end with the deadline.
func (o edf) Admit(it Item, wait time.Duration) bool {
	due, ok := o.after(it)
	return !o.EDF.Admit || !ok || wait+it.Expected <= due
}
