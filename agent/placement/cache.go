package placement

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Cache keeps a set of functions that run on GPUs, as a cache of files keeps some in memory; the others run on CPU. It has
// room for so many seconds of their executions there. Of those that have something in the queue for the GPUs none leaves.
//
// The landlord gives a function a credit of the time that a call of it saves,
//
//	o = max(E_cpu, c) − k·(1 + active/20)    k = 0.1·p + 0.7·E + 0.2·(e − p)
//
// with E_cpu and E the predicted completions, c the execution on CPU, e the mean response time on a GPU, p the k of the last
// call and active the functions that wait for a GPU; a negative o is not added, and with no credit left the call runs on CPU. One
// that is not in the set has those that are pay rent of o in all, each by its work in the queue, and
// then comes in by a lottery with chance 1/(1+n) where it was in n times; where the load by Size is under Load, if o > 0; and
// else, if its slowdown k by its execution is not over Slowdown, in the place of the one with the least credit if that is
// no more than what the function has lost so far. With Fixed it comes in where there is room, or somebody leaves.
//
// (In Ilúvatar, where nothing is queued, rent is a division by 0 and empties the set; and LRU and LFU, which need no
// credit and have none here, are paid rent for being used.)
type Cache struct {
	Size     time.Duration `hcl:"size,optional" json:"size" doc:"executions on a GPU, one of each function in the set"`
	Load     float64       `hcl:"load,optional" json:"load,omitempty" doc:"work on the GPUs by size, under which a function comes in that saves time"`
	Slowdown float64       `hcl:"slowdown,optional" json:"slowdown,omitempty" doc:"response by execution, over which no function comes in; 0: no limit"`
	Fixed    bool          `hcl:"fixed,optional" json:"fixed,omitempty" doc:"fill the size and then have one leave, without lottery, load and slowdown"`

	by ranking
}

// ranking is who leaves first.
type ranking int

const (
	credit ranking = iota
	lastUse
	uses
)

func (p Cache) check() error {
	if p.Size <= 0 || !(p.Load >= 0 && p.Load <= 1e6) || !(p.Slowdown >= 0 && p.Slowdown <= 1e6) {
		return fmt.Errorf("size is %v, load %g and slowdown %g, want a positive duration, and 0 to 1e6", p.Size, p.Load, p.Slowdown)
	}
	return nil
}

// New has an empty set.
func (p Cache) New(random *rand.Rand) Placer { return &cache{Cache: p, random: random} }

type cache struct {
	Cache
	random    *rand.Rand
	functions perFunction[tenant]
	calls     int64
}

// tenant is a function. Times are in seconds.
type tenant struct {
	in       bool
	credit   float64
	lost     float64 // savings it did not have, since it was last in
	response float64 // k of the last call
	exec     float64
	used     int64 // number of the last call that ran on a GPU
	uses     int64
	queued   int
}

func (l *cache) Place(c *Call) Compute {
	l.calls++
	if !c.CPU.Known || !c.GPU.Known {
		on := soonest(c)
		if on == GPU {
			l.functions.of(c.Function).queued++
		}
		return on
	}
	f := l.functions.of(c.Function)
	saves := l.saves(f, c)
	if f.in {
		f.credit += max(saves, 0)
		if l.by == credit && f.credit+min(saves, 0) <= 0 {
			return CPU
		}
	} else {
		l.rent(saves)
		if !l.admit(f, c, saves) {
			return CPU
		}
		f.in, f.credit, f.lost = true, saves, 0
	}
	f.used = l.calls
	f.uses++
	f.queued++
	return GPU
}

// saves is the time that a call would save on a GPU, s.
func (l *cache) saves(f *tenant, c *Call) float64 {
	f.exec = c.GPU.Exec.Seconds()
	predicted := c.GPU.estimate().Seconds()
	before, mean := f.response, predicted
	if before == 0 {
		before = predicted
	}
	if c.GPU.Ended {
		mean = c.GPU.E2E.Seconds()
	}
	f.response = max(0, 0.1*before+0.7*predicted+0.2*(mean-before))
	return max(c.CPU.estimate(), c.CPU.Exec).Seconds() - f.response*(1+float64(c.Active)/20)
}

// rent takes so much from those that are in, by their work in the queue. Who cannot pay leaves.
func (l *cache) rent(sum float64) {
	var work float64
	for _, t := range l.functions {
		if t.in {
			work += float64(t.queued) * t.exec
		}
	}
	if sum <= 0 || work <= 0 || l.by != credit {
		return
	}
	for i := range l.functions {
		if t := &l.functions[i]; t.in {
			t.credit -= float64(t.queued) * t.exec * sum / work
			t.in = t.credit > 0
		}
	}
}

func (l *cache) size() (sum float64) {
	for _, t := range l.functions {
		if t.in {
			sum += t.exec
		}
	}
	return sum
}

func (l *cache) admit(f *tenant, c *Call, saves float64) bool {
	size := l.Size.Seconds()
	f.lost += max(saves, 0)
	switch {
	case l.Fixed:
		return l.size() < size || l.evict(f.lost)
	case l.random.Float64()*float64(1+f.uses) < 1:
		return true
	case c.GPU.Work.Seconds()/size < l.Load:
		return saves > 0
	case l.Slowdown > 0 && f.response > l.Slowdown*f.exec:
		if l.size() > size {
			l.evict(f.lost)
		}
		return false
	default:
		return l.evict(f.lost)
	}
}

// evict has the first that may leave do so, by credit only one that has no more than is offered.
func (l *cache) evict(offer float64) bool {
	victim := -1
	for i := range l.functions {
		if t := &l.functions[i]; t.in && t.queued == 0 && (victim < 0 || l.rank(t) < l.rank(&l.functions[victim])) {
			victim = i
		}
	}
	if victim < 0 || l.by == credit && l.functions[victim].credit > offer {
		return false
	}
	l.functions[victim].in = false
	return true
}

func (l *cache) rank(t *tenant) float64 {
	switch l.by {
	case lastUse:
		return float64(t.used)
	case uses:
		return float64(t.uses)
	default:
		return t.credit
	}
}

func (l *cache) Left(function int) { l.functions.of(function).queued-- }

func (l *cache) Ended(Outcome) {}
