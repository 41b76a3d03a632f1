// Package placement chooses where an invocation of a function that can run on CPU and on a GPU, a
// polymorphic one, does: in the queue for the cores or in that for the GPUs of its worker.
//
// Policies are pure: they read no clock and own no global chance. What was never seen on a device is not
// taken to last 0 s: policies that compare times try it there first.
package placement

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ainur-faas/ainur/hcl/registry"
)

// Compute is where an invocation waits.
type Compute uint8

// The choices.
const (
	CPU Compute = iota
	GPU
	Both // the first that can start it does
)

func (c Compute) String() string { return [...]string{"cpu", "gpu", "both"}[c] }

// Side is what is known of a function and a queue on one kind of device.
type Side struct {
	Known   bool          // an execution there was seen
	Exec    time.Duration // predicted execution
	Wait    time.Duration // predicted, in the queue
	Service time.Duration // predicted, from there on: Exec with start-up where no sandbox is idle
	Ended   bool          // an invocation there was seen from end to end
	E2E     time.Duration // mean of those, from arrival to end
	Latest  time.Duration // the last of them
	Least   time.Duration // the least of them
	Waiting int           // in the queue, of all functions
	Work    time.Duration // predicted, of all that waits and runs there
	Warm    float64       // chance of a warm start
}

// estimate is the predicted time from arrival to end.
func (s *Side) estimate() time.Duration { return s.Wait + s.Service }

// Call is an invocation to be placed.
type Call struct {
	Now      time.Duration // since the worker began; never decreases
	Function int           // number, from 1
	Interval time.Duration // mean between two calls of the function; 0 = not known
	CPU, GPU Side
	Tokens   int // invocations that may run on the GPUs at a time
	Active   int // functions of which something waits for the GPUs
}

// Outcome is an invocation that has ended well.
type Outcome struct {
	Function int
	On       Compute       // CPU or GPU
	Now      time.Duration // since the worker began
	E2E      time.Duration
	Exec     time.Duration
}

// Policy is a way to choose, with its options. It has no state.
type Policy interface {
	// New returns the Placer of one worker, which draws from random.
	New(random *rand.Rand) Placer
}

// Placer chooses. It may have state and is used by one worker.
type Placer interface {
	Place(c *Call) Compute
	// Left is told of each invocation that was placed on the GPU alone and waits no more.
	Left(function int)
	// Ended is told of each polymorphic invocation that has ended well.
	Ended(o Outcome)
}

// Builtin lists the placement policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("placement policy")
	const (
		size        = 10 * time.Second
		polymorphic = "A. Fuerst et al., Ilúvatar (polymorphic functions), doi:10.1145/3588195.3592995 and its dispatching code"
		young       = "N. E. Young, On-line file caching, Algorithmica 33, 2002, doi:10.1007/s00453-001-0124-5; as admission of functions to a GPU: Ilúvatar"
	)
	add(r, "all", registry.About{Doc: "in both queues; it leaves the other when one starts it", Source: polymorphic}, All{})
	add(r, "random", registry.About{Doc: "either, with even chances"}, Random{})
	add(r, "always_cpu", registry.About{Doc: "the CPU"}, AlwaysCPU{})
	add(r, "always_gpu", registry.About{Doc: "a GPU"}, AlwaysGPU{})
	add(r, "shortest_exec", registry.About{Doc: "where the predicted execution is shortest, whatever waits", Source: polymorphic}, ShortestExec{})
	add(r, "est_completion", registry.About{
		Doc:    "where the predicted completion is earliest: wait, start-up and execution",
		Source: "O. H. Ibarra and C. E. Kim, Heuristic algorithms for scheduling independent tasks on nonidentical processors, 1977, doi:10.1145/322003.322011 (earliest completion)",
	}, EstCompletion{})
	add(r, "speedup", registry.About{Doc: "a GPU where it executes so many times as fast", Source: polymorphic}, Speedup{Ratio: 4})
	add(r, "est_speedup", registry.About{Doc: "like est_completion for what a GPU executes so many times as fast, else the CPU", Source: polymorphic}, EstSpeedup{Ratio: 4})
	add(r, "running_avg_speedup", registry.About{Doc: "like est_speedup, with the moving average of the speed-ups of what comes", Source: polymorphic}, RunningAvgSpeedup{Ratio: 4, Weight: 0.1})
	add(r, "queue_adjusted", registry.About{Doc: "like est_speedup, with a speed-up that falls while few wait for a GPU", Source: polymorphic}, QueueAdjusted{Ratio: 4, Decay: 0.99})
	add(r, "ucb1", registry.About{
		Doc:    "the least response time less a bonus for what was tried seldom, for each function",
		Source: "P. Auer et al., Finite-time analysis of the multiarmed bandit problem, 2002, UCB1, doi:10.1023/A:1013689704352",
	}, UCB1{Scale: 10 * time.Second})
	add(r, "mwua", registry.About{
		Doc:    "multiplicative weights by response times, for each function, which changes its device as seldom as it can: the shrinking dartboard",
		Source: "S. Arora et al., The multiplicative weights update method, 2012, doi:10.4086/toc.2012.v008a006; S. Geulen et al., Regret minimization for online buffering problems, COLT 2010",
	}, MWUA{Rate: 0.3})
	add(r, "hit_tput", registry.About{Doc: "at random, by the chance of a warm start over the predicted completion", Source: polymorphic}, HitTput{})
	add(r, "popular", registry.About{Doc: "a GPU for functions with so great a share of all calls", Source: polymorphic}, Popular{Share: 0.15})
	add(r, "least_popular", registry.About{Doc: "a GPU for functions with no greater a share of all calls", Source: polymorphic}, LeastPopular{Share: 0.15})
	add(r, "popular_queue", registry.About{Doc: "like popular, and the CPU while more wait for a GPU", Source: polymorphic}, PopularQueue{Share: 0.15, Waiting: 2})
	add(r, "popular_est", registry.About{Doc: "like est_completion for functions with so great a share of all calls, else the CPU", Source: polymorphic}, PopularEst{Share: 0.15})
	add(r, "top_avg", registry.About{Doc: "a GPU for functions that are called more often than the mean of all", Source: polymorphic}, TopAvg{})
	add(r, "greedy_weights", registry.About{
		Doc:    "GPUs for the functions that save most time on them for each second, a number that is computed now and then",
		Source: "G. B. Dantzig, Discrete-variable extremum problems, 1957, doi:10.1287/opre.5.2.266 (greedy knapsack); Ilúvatar",
	}, greedyDefaults)
	add(r, "landlord", registry.About{
		Doc:    "a GPU for the functions that have credit, of the time that they save there; who comes in has the others pay rent",
		Source: young,
	}, Cache{Size: size, Load: 0.5, Slowdown: 4})
	add(r, "landlord_fixed", registry.About{Doc: "landlord where a size is filled before anybody has to leave", Source: young}, Cache{Size: size, Fixed: true})
	add(r, "lru", registry.About{
		Doc:    "a GPU for the functions that were called last",
		Source: "D. D. Sleator and R. E. Tarjan, Amortized efficiency of list update and paging rules, 1985, doi:10.1145/2786.2793",
	}, Cache{Size: size, Fixed: true, by: lastUse})
	add(r, "lfu", registry.About{Doc: "a GPU for the functions that are called most"}, Cache{Size: size, Fixed: true, by: uses})
	add(r, "mice", registry.About{
		Doc:    "the CPU for executions under a size, which moves until both are given as much work",
		Source: "M. Harchol-Balter et al., On choosing a task assignment policy for a distributed server system, 1999, doi:10.1006/jpdc.1999.1577 (SITA-E)",
	}, Mice{Size: 10 * time.Second, Step: 10 * time.Millisecond, Every: 10})
	// As Ilúvatar says.
	r.Alias("All", "all")
	r.Alias("Random", "random")
	r.Alias("AlwaysCPU", "always_cpu")
	r.Alias("AlwaysGPU", "always_gpu")
	r.Alias("ShortestExecTime", "shortest_exec")
	r.Alias("EstCompTime", "est_completion")
	r.Alias("Speedup", "speedup")
	r.Alias("EstSpeedup", "est_speedup")
	r.Alias("RunningAvgEstSpeedup", "running_avg_speedup")
	r.Alias("QueueAdjustAvgEstSpeedup", "queue_adjusted")
	r.Alias("UCB1", "ucb1")
	r.Alias("MWUA", "mwua")
	r.Alias("HitTput", "hit_tput")
	r.Alias("Popular", "popular")
	r.Alias("LeastPopular", "least_popular")
	r.Alias("PopularQueueLenDispatch", "popular_queue")
	r.Alias("PopularEstTimeDispatch", "popular_est")
	r.Alias("TopAvg", "top_avg")
	r.Alias("GreedyWeights", "greedy_weights")
	r.Alias("Landlord", "landlord")
	r.Alias("LandlordFixed", "landlord_fixed")
	r.Alias("LRU", "lru")
	r.Alias("LFU", "lfu")
	r.Alias("MICE", "mice")
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
		return p, p.check()
	})
}

// plain is a Placer without state.
type plain func(c *Call) Compute

func (p plain) Place(c *Call) Compute { return p(c) }
func (plain) Left(int)                {}
func (plain) Ended(Outcome)           {}

// shorter is where a time is less. On which the function was never seen comes first, the CPU where that is so of both.
func shorter(c *Call, of func(*Side) time.Duration) Compute {
	switch {
	case !c.CPU.Known:
		return CPU
	case !c.GPU.Known || of(&c.GPU) < of(&c.CPU):
		return GPU
	default:
		return CPU
	}
}

func soonest(c *Call) Compute { return shorter(c, (*Side).estimate) }

// speedup is how many times as fast a GPU executes, false where one of the times is not known or 0.
func speedup(c *Call) (float64, bool) {
	if !c.CPU.Known || !c.GPU.Known || c.GPU.Exec <= 0 {
		return 0, false
	}
	return float64(c.CPU.Exec) / float64(c.GPU.Exec), true
}

// faster is est where the speed-up is over a ratio, else the CPU; what is not known is tried.
func faster(c *Call, ratio float64, est func(*Call) Compute) Compute {
	s, ok := speedup(c)
	switch {
	case !ok:
		return soonest(c)
	case s > ratio:
		return est(c)
	default:
		return CPU
	}
}

func onGPU(*Call) Compute { return GPU }

// All queues on both; what starts on one is taken out of the other. (In Ilúvatar it stays there until its turn, and is
// counted in lengths and predictions.)
type All struct{}

// New is without state.
func (All) New(*rand.Rand) Placer { return plain(func(*Call) Compute { return Both }) }
func (All) check() error          { return nil }

// Random draws.
type Random struct{}

// New draws from random.
func (Random) New(random *rand.Rand) Placer {
	return plain(func(*Call) Compute { return Compute(random.IntN(2)) })
}
func (Random) check() error { return nil }

// AlwaysCPU uses no GPU.
type AlwaysCPU struct{}

// New is without state.
func (AlwaysCPU) New(*rand.Rand) Placer { return plain(func(*Call) Compute { return CPU }) }
func (AlwaysCPU) check() error          { return nil }

// AlwaysGPU uses no CPU.
type AlwaysGPU struct{}

// New is without state.
func (AlwaysGPU) New(*rand.Rand) Placer { return plain(onGPU) }
func (AlwaysGPU) check() error          { return nil }

// ShortestExec is by execution alone. (Ilúvatar takes a time that was never seen for 0, or for NaN; here and in all that
// compare times it is not known, and the device is tried.)
type ShortestExec struct{}

// New is without state.
func (ShortestExec) New(*rand.Rand) Placer {
	return plain(func(c *Call) Compute { return shorter(c, func(s *Side) time.Duration { return s.Exec }) })
}
func (ShortestExec) check() error { return nil }

// EstCompletion is by wait, start-up and execution.
type EstCompletion struct{}

// New is without state.
func (EstCompletion) New(*rand.Rand) Placer { return plain(soonest) }
func (EstCompletion) check() error          { return nil }

// Speedup is by the ratio of executions.
type Speedup struct {
	Ratio float64 `hcl:"ratio,optional" json:"ratio" doc:"execution on the CPU by that on a GPU, over which a GPU is used, 0 to 1e6"`
}

// New is without state.
func (p Speedup) New(*rand.Rand) Placer {
	return plain(func(c *Call) Compute { return faster(c, p.Ratio, onGPU) })
}
func (p Speedup) check() error { return checkRatio(p.Ratio) }

func checkRatio(ratio float64) error {
	if !(ratio >= 0 && ratio <= 1e6) {
		return fmt.Errorf("ratio is %g, want 0 to 1e6", ratio)
	}
	return nil
}

// EstSpeedup is EstCompletion for what is fast enough on a GPU.
type EstSpeedup struct {
	Ratio float64 `hcl:"ratio,optional" json:"ratio" doc:"execution on the CPU by that on a GPU, over which a GPU may be used, 0 to 1e6"`
}

// New is without state.
func (p EstSpeedup) New(*rand.Rand) Placer {
	return plain(func(c *Call) Compute { return faster(c, p.Ratio, soonest) })
}
func (p EstSpeedup) check() error { return checkRatio(p.Ratio) }

// RunningAvgSpeedup is EstSpeedup whose ratio is the moving average a ← a + Weight·(s − a) of the speed-ups s. (In
// Ilúvatar one that is not known, a NaN or an infinity, stays in it for ever.)
type RunningAvgSpeedup struct {
	Ratio  float64 `hcl:"ratio,optional" json:"ratio" doc:"the average at first, 0 to 1e6"`
	Weight float64 `hcl:"weight,optional" json:"weight" doc:"of the last speed-up, over 0, to 1"`
}

func (p RunningAvgSpeedup) check() error {
	if !(p.Weight > 0 && p.Weight <= 1) {
		return fmt.Errorf("weight is %g, want more than 0, to 1", p.Weight)
	}
	return checkRatio(p.Ratio)
}

// New begins with Ratio.
func (p RunningAvgSpeedup) New(*rand.Rand) Placer {
	mean := p.Ratio
	return plain(func(c *Call) Compute {
		if s, ok := speedup(c); ok {
			mean += p.Weight * (s - mean)
		}
		return faster(c, mean, soonest)
	})
}

// QueueAdjusted is EstSpeedup whose ratio, when a GPU was chosen, is multiplied by Decay where at most one waits for a
// GPU, and as at first where three or more do.
type QueueAdjusted struct {
	Ratio float64 `hcl:"ratio,optional" json:"ratio" doc:"at first, 0 to 1e6"`
	Decay float64 `hcl:"decay,optional" json:"decay" doc:"of the ratio while few wait, over 0, to 1"`
}

func (p QueueAdjusted) check() error {
	if !(p.Decay > 0 && p.Decay <= 1) {
		return fmt.Errorf("decay is %g, want more than 0, to 1", p.Decay)
	}
	return checkRatio(p.Ratio)
}

// New begins with Ratio.
func (p QueueAdjusted) New(*rand.Rand) Placer {
	ratio := p.Ratio
	return plain(func(c *Call) Compute {
		on := faster(c, ratio, soonest)
		if _, ok := speedup(c); !ok || on != GPU {
			return on
		}
		switch {
		case c.GPU.Waiting <= 1:
			ratio *= p.Decay
		case c.GPU.Waiting >= 3:
			ratio = p.Ratio
		}
		return on
	})
}

// HitTput draws d with a chance in proportion to r = w/E, with w the chance of a warm start and E the predicted
// completion there. (Ilúvatar takes the one for the other, and a mean time between calls of 10 000 s for all.)
type HitTput struct{}

// New draws from random.
func (HitTput) New(random *rand.Rand) Placer {
	return plain(func(c *Call) Compute {
		if !c.CPU.Known || !c.GPU.Known {
			return soonest(c)
		}
		rate := func(s *Side) float64 { return s.Warm / max(s.estimate().Seconds(), 1e-9) }
		cpu, gpu := rate(&c.CPU), rate(&c.GPU)
		if random.Float64()*(cpu+gpu) < gpu {
			return GPU
		}
		return CPU
	})
}
func (HitTput) check() error { return nil }

// Mice has what is predicted to execute for at most a size on a CPU run there, and the rest on a GPU. After so many
// calls the size moves by a step towards less work for the one that was given more. (Ilúvatar's is a stub.)
type Mice struct {
	Size  time.Duration `hcl:"size,optional" json:"size" doc:"at first"`
	Step  time.Duration `hcl:"step,optional" json:"step" doc:"of the size"`
	Every int           `hcl:"every,optional" json:"every" doc:"calls between two steps, 1 to 1e6"`
}

func (p Mice) check() error {
	if p.Size < 0 || p.Step < 0 || p.Every < 1 || p.Every > 1e6 {
		return fmt.Errorf("size is %v, step %v and every %d, want 0s or more, and 1 to 1e6", p.Size, p.Step, p.Every)
	}
	return nil
}

// New begins with Size.
func (p Mice) New(*rand.Rand) Placer {
	var cpu, gpu time.Duration
	size, calls := p.Size, 0
	return plain(func(c *Call) Compute {
		if !c.CPU.Known || !c.GPU.Known {
			return soonest(c)
		}
		on := CPU
		if c.CPU.Exec > size {
			on = GPU
			gpu += c.GPU.Exec
		} else {
			cpu += c.CPU.Exec
		}
		if calls++; calls%p.Every == 0 {
			if cpu > gpu {
				size = max(0, size-p.Step)
			} else if cpu < gpu {
				size += p.Step
			}
		}
		return on
	})
}

// perFunction is a T for each function by its number.
type perFunction[T any] []T

func (all *perFunction[T]) of(function int) *T {
	for len(*all) < function {
		*all = append(*all, *new(T))
	}
	return &(*all)[function-1]
}

// bonus is sqrt(2·ln N / n) of UCB1.
func bonus(all, own int64) float64 { return math.Sqrt(2 * math.Log(float64(all)) / float64(own)) }
