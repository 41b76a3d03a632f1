// Package bench measures cold starts: how long until a new sandbox has answered
// for the first time, beside a floor that is measured in the same run.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Start is one cold start.
type Start struct {
	Ready    time.Duration // until user code was loaded
	Answered time.Duration // until the first answer
	Removed  time.Duration // that the removal took
}

// Row is a measured way to start sandboxes.
type Row struct {
	Sandbox     string  `json:"sandbox"`     // kind of isolation
	Function    string  `json:"function"`    // what was started
	Technique   string  `json:"technique"`   // what makes it faster, joined by "+"; "" is nothing
	Concurrency int     `json:"concurrency"` // made at a time
	Starts      int     `json:"starts"`
	ReadyP50    int64   `json:"ready_p50_ns"`
	P50         int64   `json:"p50_ns"` // until the first answer
	P99         int64   `json:"p99_ns"`
	RemoveP50   int64   `json:"remove_p50_ns"`
	PerSecond   float64 `json:"per_s"` // starts with their removal
	Floor       string  `json:"floor"` // what the least is that it could take
	FloorP50    int64   `json:"floor_p50_ns"`
	Ratio       float64 `json:"ratio_to_floor"` // P50 / FloorP50
}

// Subject is something to start.
type Subject struct {
	Sandbox, Function, Technique string
	Isolation                    sandbox.Isolation
	Config                       sandbox.Config
	Args                         []byte // of the first invocation
	Floor                        Floor
}

// Floor is what the least is that a start can take.
type Floor struct {
	Name string
	// Start makes one, and removes it. nil: there is none.
	Start func(ctx context.Context) (Start, error)
}

// Pause is between two starts that are made one at a time: what the kernel puts
// off until a moment of rest makes those of a burst faster than any that is alone.
const Pause = 20 * time.Millisecond

// Measure makes starts sandboxes of s, each with one invocation. One at a time they
// are made in turn with as many of the floor. Several are made in bursts, each of
// them removed when all have answered, for the times, and then as many again one
// after the other by each of concurrency goroutines, for the rate. Before each start, and each
// burst, all that is made ahead has been made; the rate has no such pauses.
func Measure(ctx context.Context, s Subject, starts, concurrency int) (Row, error) {
	row := Row{Sandbox: s.Sandbox, Function: s.Function, Technique: s.Technique, Concurrency: concurrency, Starts: starts, Floor: s.Floor.Name}
	if _, err := s.start(ctx, 0); err != nil { // makes what sandboxes share
		return row, err
	}
	var all, floor []Start
	var err error
	if concurrency == 1 {
		all, floor, err = s.alternate(ctx, starts)
	} else if all, err = s.bursts(ctx, starts, concurrency); err == nil {
		row.PerSecond, err = s.sustain(ctx, starts, concurrency)
	}
	if err != nil {
		return row, err
	}
	row.ReadyP50, row.RemoveP50 = quantile(all, 0.5, ready), quantile(all, 0.5, removed)
	row.P50, row.P99 = quantile(all, 0.5, answered), quantile(all, 0.99, answered)
	if concurrency == 1 {
		row.PerSecond = 1e9 / mean(all)
	}
	if len(floor) > 0 {
		row.FloorP50 = quantile(floor, 0.5, answered)
		row.Ratio = float64(row.P50) / float64(row.FloorP50)
	}
	return row, nil
}

// settler is an isolation that makes things ahead.
type settler interface {
	Settle(ctx context.Context) error // returns when all is made that can be
}

// rest pauses, and waits for what is made ahead.
func (s Subject) rest(ctx context.Context) error {
	time.Sleep(Pause)
	if i, ok := s.Isolation.(settler); ok {
		return i.Settle(ctx)
	}
	return nil
}

func (s Subject) alternate(ctx context.Context, starts int) (all, floor []Start, err error) {
	for n := range starts {
		if err := s.rest(ctx); err != nil {
			return nil, nil, err
		}
		one, err := s.start(ctx, n+1)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, one)
		if s.Floor.Start == nil {
			continue
		}
		if err := s.rest(ctx); err != nil {
			return nil, nil, err
		}
		if one, err = s.Floor.Start(ctx); err != nil {
			return nil, nil, fmt.Errorf("floor %s: %w", s.Floor.Name, err)
		}
		floor = append(floor, one)
	}
	return all, floor, nil
}

// bursts makes n at once, again and again.
func (s Subject) bursts(ctx context.Context, starts, n int) (all []Start, err error) {
	for len(all) < starts {
		if err := s.rest(ctx); err != nil {
			return nil, err
		}
		burst, boxes, errs := make([]Start, n), make([]sandbox.Sandbox, n), make([]error, n)
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() { burst[i], boxes[i], errs[i] = s.answer(ctx, len(all)+i+1) })
		}
		group.Wait()
		for i, box := range boxes {
			if box != nil {
				group.Go(func() {
					began := time.Now()
					errs[i] = errors.Join(errs[i], box.Remove())
					burst[i].Removed = time.Since(began)
				})
			}
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		all = append(all, burst...)
	}
	return all, nil
}

// sustain is how many are made and removed per second, n at a time.
func (s Subject) sustain(ctx context.Context, starts, n int) (perSecond float64, err error) {
	errs := make([]error, starts)
	next := make(chan int)
	var group sync.WaitGroup
	began := time.Now()
	for range n {
		group.Go(func() {
			for i := range next {
				_, errs[i] = s.start(ctx, i+1)
			}
		})
	}
	for i := range starts {
		next <- i
	}
	close(next)
	group.Wait()
	return float64(starts) / time.Since(began).Seconds(), errors.Join(errs...)
}

// start makes one and removes it.
func (s Subject) start(ctx context.Context, n int) (Start, error) {
	one, box, err := s.answer(ctx, n)
	if box != nil {
		began := time.Now()
		err = errors.Join(err, box.Remove())
		one.Removed = time.Since(began)
	}
	return one, err
}

// answer makes one, which is nil on error, until it has answered.
func (s Subject) answer(ctx context.Context, n int) (one Start, box sandbox.Sandbox, err error) {
	c := s.Config
	c.ID = fmt.Sprintf("bench-%d", n)
	began := time.Now()
	if box, err = s.Isolation.Create(ctx, c); err != nil {
		return one, nil, err
	}
	one.Ready = time.Since(began)
	_, err = box.Invoke(ctx, s.Args)
	one.Answered = time.Since(began)
	return one, box, err
}

func ready(s Start) time.Duration    { return s.Ready }
func answered(s Start) time.Duration { return s.Answered }
func removed(s Start) time.Duration  { return s.Removed }

// quantile is the least value that a share q of all do not exceed.
func quantile(all []Start, q float64, of func(Start) time.Duration) int64 {
	values := make([]time.Duration, len(all))
	for i, s := range all {
		values[i] = of(s)
	}
	slices.Sort(values)
	return int64(values[max(int(math.Ceil(q*float64(len(values))))-1, 0)])
}

func mean(all []Start) float64 {
	sum := time.Duration(0)
	for _, s := range all {
		sum += s.Answered + s.Removed
	}
	return float64(sum) / float64(len(all))
}

// Effect is what a technique does to the time until the first answer.
type Effect struct {
	Sandbox   string  `json:"sandbox"`
	Function  string  `json:"function"`
	Technique string  `json:"technique"`
	Factor    float64 `json:"factor"` // 0.25: a quarter of what it takes without
}

// Effects are the main effects of a 2^k factorial design (R. Jain, The Art of
// Computer Systems Performance Analysis, 1991, chapter 17) on the logarithm of P50,
// since techniques multiply rather than add: of each technique, the geometric mean
// over all rows with it by that of all rows without, among rows one at a time of one
// sandbox and function. A technique that no row lacks, or has, has none.
func Effects(rows []Row) []Effect {
	type group struct{ sandbox, function string }
	type sums struct {
		with, without float64
		n, m          int
	}
	var order []Effect
	found := map[Effect]*sums{}
	techniques := map[group][]string{}
	for _, r := range rows {
		g := group{r.Sandbox, r.Function}
		for _, t := range split(r.Technique) {
			if !slices.Contains(techniques[g], t) {
				techniques[g] = append(techniques[g], t)
				e := Effect{Sandbox: g.sandbox, Function: g.function, Technique: t}
				order, found[e] = append(order, e), &sums{}
			}
		}
	}
	for e, s := range found {
		for _, r := range rows {
			if r.Sandbox != e.Sandbox || r.Function != e.Function || r.Concurrency != 1 {
				continue
			}
			if slices.Contains(split(r.Technique), e.Technique) {
				s.with, s.n = s.with+math.Log(float64(r.P50)), s.n+1
			} else {
				s.without, s.m = s.without+math.Log(float64(r.P50)), s.m+1
			}
		}
	}
	var effects []Effect
	for _, e := range order {
		if s := found[e]; s.n > 0 && s.m > 0 {
			e.Factor = math.Exp(s.with/float64(s.n) - s.without/float64(s.m))
			effects = append(effects, e)
		}
	}
	return effects
}

// split is the techniques of a row.
func split(technique string) []string {
	if technique == "" {
		return nil
	}
	return strings.Split(technique, "+")
}
