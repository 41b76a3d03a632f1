package placement

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// UCB1 chooses the device of the lowest confidence bound
//
//	m − Scale·sqrt(2·ln N / n)
//
// with m the mean response time of the function there, n the times that it was placed there and N = Σn, each once before
// that. With responses of at most Scale its regret is at most 8·ln N·Scale/Δ + (1 + π²/3)·Δ with
// Δ the difference of the means (theorem 1). (Ilúvatar adds the bonus to a cost, which keeps it from what
// was tried seldom, counts over all functions, and ends where a device was never seen.)
type UCB1 struct {
	Scale time.Duration `hcl:"scale,optional" json:"scale" doc:"the longest response time that is expected"`
}

func (p UCB1) check() error {
	if p.Scale <= 0 {
		return fmt.Errorf("scale is %v, want a positive duration", p.Scale)
	}
	return nil
}

// New has tried nothing.
func (p UCB1) New(*rand.Rand) Placer { return &ucb1{UCB1: p} }

type ucb1 struct {
	UCB1
	queueless
	functions perFunction[[2]arm] // by Compute
}

// arm is what came of a device.
type arm struct {
	tried, ended int64
	sum          float64 // of responses by Scale
}

func (u *ucb1) Place(c *Call) Compute {
	arms := u.functions.of(c.Function)
	on := CPU
	switch {
	case arms[CPU].tried == 0:
	case arms[GPU].tried == 0, arms[GPU].index(arms[CPU].tried+arms[GPU].tried) < arms[CPU].index(arms[CPU].tried+arms[GPU].tried):
		on = GPU
	}
	arms[on].tried++
	return on
}

// index is the lower bound; of one of which nothing has ended yet, the mean is 0.
func (a *arm) index(all int64) float64 {
	return a.sum/float64(max(a.ended, 1)) - bonus(all, a.tried)
}

func (u *ucb1) Ended(o Outcome) {
	a := &(*u.functions.of(o.Function))[o.On]
	a.ended++
	a.sum += min(1, float64(o.E2E)/float64(u.Scale))
}

// queueless has no use for what leaves the queue.
type queueless struct{}

func (queueless) Left(int) {}

// MWUA has a weight for each device and function. When an invocation ends there
//
//	w ← w·(1 − Rate·c)    c = (t − t₀)/t
//
// with t the response time and t₀ the least of the function on either device, 0 until both were seen: a cost from 0 to 1. The next is placed where the last was
// with the chance 1 − Rate·c, else on one drawn by weights, so that the choice has the
// distribution of the weights and changes seldom. (Ilúvatar divides by the lesser of t and 0.1 s, so that costs have no
// bound and weights become negative; and counts a cost again for each
// invocation that comes before the next ends.)
type MWUA struct {
	Rate float64 `hcl:"rate,optional" json:"rate" doc:"η, of learning, over 0, to 0.5"`
}

func (p MWUA) check() error {
	if !(p.Rate > 0 && p.Rate <= 0.5) {
		return fmt.Errorf("rate is %g, want more than 0, to 0.5", p.Rate)
	}
	return nil
}

// New begins with even weights, on the CPU.
func (p MWUA) New(random *rand.Rand) Placer { return &mwua{MWUA: p, random: random} }

type mwua struct {
	MWUA
	queueless
	random    *rand.Rand
	functions perFunction[darts]
}

type darts struct {
	begun   bool
	weights [2]float64
	on      Compute
	keep    float64 // chance to stay, since the last draw
	least   time.Duration
	seen    [2]bool
}

func (m *mwua) of(function int) *darts {
	d := m.functions.of(function)
	if !d.begun {
		*d = darts{begun: true, weights: [2]float64{1, 1}, keep: 1}
	}
	return d
}

func (m *mwua) Place(c *Call) Compute {
	d := m.of(c.Function)
	if d.keep < 1 && m.random.Float64() >= d.keep {
		d.on = CPU
		if m.random.Float64()*(d.weights[CPU]+d.weights[GPU]) < d.weights[GPU] {
			d.on = GPU
		}
	}
	d.keep = 1
	return d.on
}

func (m *mwua) Ended(o Outcome) {
	d := m.of(o.Function)
	if d.least == 0 || o.E2E < d.least {
		d.least = o.E2E
	}
	least := time.Duration(0)
	if d.seen[o.On] = true; d.seen[1-o.On] {
		least = d.least
	}
	left := 1 - m.Rate*float64(o.E2E-least)/float64(max(o.E2E, 1))
	d.weights[o.On] *= left
	if o.On == d.on {
		d.keep *= left
	}
	if most := max(d.weights[CPU], d.weights[GPU]); most < 1e-100 { // only their ratio counts
		d.weights[CPU] /= most
		d.weights[GPU] /= most
	}
}

// shares are the calls of each function so far.
type shares struct {
	calls perFunction[int64]
	all   int64
}

// of is the share of a function in all calls, with this one.
func (s *shares) of(function int) float64 {
	*s.calls.of(function)++
	s.all++
	return float64(*s.calls.of(function)) / float64(s.all)
}

func checkShare(share float64) error {
	if !(share >= 0 && share <= 1) {
		return fmt.Errorf("share is %g, want 0 to 1", share)
	}
	return nil
}

// Popular has the most called functions run on GPUs.
type Popular struct {
	Share float64 `hcl:"share,optional" json:"share" doc:"of all calls, from which a GPU is used, 0 to 1"`
}

func (p Popular) check() error { return checkShare(p.Share) }

// New has seen no call.
func (p Popular) New(*rand.Rand) Placer {
	var s shares
	return plain(func(c *Call) Compute {
		if s.of(c.Function) >= p.Share {
			return GPU
		}
		return CPU
	})
}

// LeastPopular has the least called functions run on GPUs.
type LeastPopular struct {
	Share float64 `hcl:"share,optional" json:"share" doc:"of all calls, up to which a GPU is used, 0 to 1"`
}

func (p LeastPopular) check() error { return checkShare(p.Share) }

// New has seen no call.
func (p LeastPopular) New(*rand.Rand) Placer {
	var s shares
	return plain(func(c *Call) Compute {
		if s.of(c.Function) <= p.Share {
			return GPU
		}
		return CPU
	})
}

// PopularQueue is Popular while few wait for a GPU.
type PopularQueue struct {
	Share   float64 `hcl:"share,optional" json:"share" doc:"of all calls, from which a GPU is used, 0 to 1"`
	Waiting int     `hcl:"waiting,optional" json:"waiting" doc:"that may wait for a GPU"`
}

func (p PopularQueue) check() error {
	if p.Waiting < 0 {
		return fmt.Errorf("waiting is %d, want 0 or more", p.Waiting)
	}
	return checkShare(p.Share)
}

// New has seen no call.
func (p PopularQueue) New(*rand.Rand) Placer {
	var s shares
	return plain(func(c *Call) Compute {
		if s.of(c.Function) >= p.Share && c.GPU.Waiting <= p.Waiting {
			return GPU
		}
		return CPU
	})
}

// PopularEst is EstCompletion for the most called functions.
type PopularEst struct {
	Share float64 `hcl:"share,optional" json:"share" doc:"of all calls, from which a GPU may be used, 0 to 1"`
}

func (p PopularEst) check() error { return checkShare(p.Share) }

// New has seen no call.
func (p PopularEst) New(*rand.Rand) Placer {
	var s shares
	return plain(func(c *Call) Compute {
		if s.of(c.Function) >= p.Share {
			return soonest(c)
		}
		return CPU
	})
}

// TopAvg has a function run on a GPU whose mean time between calls is at most the mean of those of all functions. One that was called
// once has none, and runs on the CPU.
type TopAvg struct{}

func (TopAvg) check() error { return nil }

// New has seen no call.
func (TopAvg) New(*rand.Rand) Placer {
	var (
		intervals perFunction[time.Duration]
		sum       float64
		known     int
	)
	return plain(func(c *Call) Compute {
		if c.Interval <= 0 {
			return CPU
		}
		own := intervals.of(c.Function)
		if *own == 0 {
			known++
		}
		sum += float64(c.Interval - *own)
		*own = c.Interval
		if float64(c.Interval)*float64(known) > sum {
			return CPU
		}
		return GPU
	})
}
