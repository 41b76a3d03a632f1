// Package concurrency decides how much runs on one worker at a time, and what is not worth
// waiting any longer. Policies are pure: the worker tells them what they decide by.
package concurrency

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/registry"
)

// Policy is a way to regulate, with its options. It has no state.
type Policy interface {
	// New returns the Regulator of a worker that has so much CPU.
	New(milliCPU int64) Regulator
	// Rules are the limits that it has beside.
	Rules() Limits
}

// Regulator says how much may run at a time. It may have state and is used by one worker.
type Regulator interface {
	// Limit is the CPU, in thousandths of a core, and the invocations that may be under way.
	Limit() (milliCPU int64, invocations int)
	// Every is how often Load is wanted; 0 is never.
	Every() time.Duration
	// Load tells how much CPU the worker's host has use for, in thousandths of a core, whether it has it or not.
	Load(milliCPU int64)
}

// Unlimited is a limit on invocations that none reaches.
const Unlimited = math.MaxInt

// Builtin lists the concurrency policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("concurrency policy")
	add(r, "fixed", registry.About{
		Doc:    "as many as the cores hold, or so many times as many; and no more than a number of invocations",
		Source: "A. Fuerst et al., Ilúvatar, HPDC 2023, section 4, doi:10.1145/3588195.3592995",
	}, Fixed{Overcommit: 1, Limits: calm})
	add(r, "aimd", registry.About{
		Doc:    "additive increase while the load is under a bound, multiplicative decrease when it is over",
		Source: "D. Chiu and R. Jain, Analysis of the increase and decrease algorithms for congestion avoidance, 1989, doi:10.1016/0169-7552(89)90019-6; A. Fuerst et al., Ilúvatar, HPDC 2023, section 4, doi:10.1145/3588195.3592995",
	}, AIMD{Load: 1, Least: 1, Most: 4, Step: 0.25, Cut: 0.5, Every: time.Second, Limits: calm})
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
		return p, errors.Join(p.Rules().check(), p.check())
	})
}

// Fixed never changes. The zero value of Overcommit is not valid.
type Fixed struct {
	Overcommit  float64 `hcl:"overcommit,optional" json:"overcommit" doc:"of the worker's cores, those that may be given out, over 0, to 1000"`
	Invocations int     `hcl:"invocations,optional" json:"invocations,omitempty" doc:"that may be under way; 0: no limit but the cores"`
	Limits
}

func (p Fixed) check() error {
	switch {
	case !(p.Overcommit > 0 && p.Overcommit <= 1000):
		return fmt.Errorf("overcommit is %g, want more than 0, to 1000", p.Overcommit)
	case p.Invocations < 0:
		return fmt.Errorf("invocations is %d, want 0 or more", p.Invocations)
	}
	return nil
}

// New is without state.
func (p Fixed) New(milliCPU int64) Regulator {
	f := fixed{milliCPU: int64(p.Overcommit * float64(milliCPU)), invocations: Unlimited}
	if p.Invocations > 0 {
		f.invocations = p.Invocations
	}
	return f
}

type fixed struct {
	milliCPU    int64
	invocations int
}

func (f fixed) Limit() (milliCPU int64, invocations int) { return f.milliCPU, f.invocations }
func (fixed) Every() time.Duration                       { return 0 }
func (fixed) Load(int64)                                 {}

// AIMD finds how much may run by the load: after each time Every
//
//	l ← min(l + Step, Most)    where the load is at most Load
//	l ← max(l · Cut, Least)    where it is more
//
// with l the limit and the load, both by the worker's cores. It begins at Least. (Ilúvatar takes half the way down
// to the bound of overcommitment, by a load average of some minutes.)
type AIMD struct {
	Load  float64       `hcl:"load,optional" json:"load" doc:"of the host by core, over which the limit falls, over 0, to 1000"`
	Least float64       `hcl:"least,optional" json:"least" doc:"the limit, by the worker's cores: over 0"`
	Most  float64       `hcl:"most,optional" json:"most" doc:"likewise: up to 1000"`
	Step  float64       `hcl:"step,optional" json:"step" doc:"what is added, by the worker's cores: over 0, to 1000"`
	Cut   float64       `hcl:"cut,optional" json:"cut" doc:"what is left when the load is over its bound, as a share, 0 to 1, neither included"`
	Every time.Duration `hcl:"every,optional" json:"every" doc:"between two changes, 1ms or more"`
	Limits
}

func (p AIMD) check() error {
	switch {
	case !(p.Load > 0 && p.Load <= 1000):
		return fmt.Errorf("load is %g, want more than 0, to 1000", p.Load)
	case !(p.Least > 0 && p.Least <= p.Most && p.Most <= 1000):
		return fmt.Errorf("least is %g and most %g, want more than 0, no less, to 1000", p.Least, p.Most)
	case !(p.Step > 0 && p.Step <= 1000):
		return fmt.Errorf("step is %g, want more than 0, to 1000", p.Step)
	case !(p.Cut > 0 && p.Cut < 1):
		return fmt.Errorf("cut is %g, want more than 0 and less than 1", p.Cut)
	case p.Every < time.Millisecond:
		return fmt.Errorf("every is %v, want 1ms or more", p.Every)
	}
	return nil
}

// New returns a Regulator at its least.
func (p AIMD) New(milliCPU int64) Regulator {
	of := func(cores float64) int64 { return max(1, int64(cores*float64(milliCPU))) }
	return &aimd{
		every: p.Every, cut: p.Cut, bound: of(p.Load), least: of(p.Least), most: of(p.Most), step: of(p.Step), limit: of(p.Least),
	}
}

// aimd is in thousandths of a core.
type aimd struct {
	every                           time.Duration
	cut                             float64
	bound, least, most, step, limit int64
}

func (a *aimd) Limit() (milliCPU int64, invocations int) { return a.limit, Unlimited }
func (a *aimd) Every() time.Duration                     { return a.every }

func (a *aimd) Load(milliCPU int64) {
	if milliCPU <= a.bound {
		a.limit = min(a.limit+a.step, a.most)
	} else {
		a.limit = max(int64(a.cut*float64(a.limit)), a.least)
	}
}

// Limits are on functions, and on waiting. The zero value has none.
type Limits struct {
	PerFunction  int                `hcl:"per_function,optional" json:"per_function,omitempty" doc:"invocations of a function that may be under way; 0: no limit"`
	Functions    map[string]float64 `hcl:"functions,optional" json:"functions,omitempty" doc:"likewise, of each by its name"`
	ShedTarget   time.Duration      `hcl:"shed_target,optional" json:"shed_target,omitempty" doc:"wait in the queue over which, where all have it for shed_interval, some that wait are refused; 0s: none is"`
	ShedInterval time.Duration      `hcl:"shed_interval,optional" json:"shed_interval,omitempty" doc:"how long a wait is bad before one is refused, and the time to the next"`
}

// calm are the limits that a policy has by default: none.
var calm = Limits{ShedInterval: 100 * time.Millisecond}

// Rules are the limits themselves.
func (l Limits) Rules() Limits { return l }

func (l Limits) check() error {
	if l.PerFunction < 0 {
		return fmt.Errorf("per_function is %d, want 0 or more", l.PerFunction)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Functions)) {
		if n := l.Functions[name]; !(n >= 0 && n <= 1e6) || n != math.Trunc(n) {
			return fmt.Errorf("the limit of %s is %g, want a whole number, 0 to 1e6, of which 0 is none", name, n)
		}
	}
	if l.ShedTarget < 0 || l.ShedTarget > 0 && l.ShedInterval <= 0 {
		return fmt.Errorf("shed_target is %v and shed_interval %v, want 0s or more, and more than 0s", l.ShedTarget, l.ShedInterval)
	}
	return nil
}

// Of is how many invocations of a function may be under way.
func (l Limits) Of(function string) int {
	n := l.PerFunction
	if own, ok := l.Functions[function]; ok {
		n = int(own)
	}
	if n == 0 {
		return Unlimited
	}
	return n
}
