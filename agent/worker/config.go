package worker

import (
	"cmp"
	"math"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/hcl/registry"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Config is the capacity of a worker and its policies. Of policies that are nil, concurrency
// is as many as the cores hold, prewarm none, and estimate an average.
type Config struct {
	MilliCPU    int64 // 1000 = one core
	Memory      int64 // bytes for sandboxes
	FreeBuffer  int64 // of them, bytes that idle sandboxes and those made ahead do not take
	Queue       queue.Policy
	KeepAlive   keepalive.Policy
	Concurrency concurrency.Policy
	Dispatch    dispatch.Policy
	Prewarm     prewarm.Policy
	Estimate    estimate.Policy
	GPUs        GPUs
	Seed        uint64 // of what policies draw
}

// GPUs are those of a worker, all alike. The zero value is none.
type GPUs struct {
	Count     int
	Slots     int   // sandboxes that each holds
	Tokens    int   // invocations that run on each at a time
	Memory    int64 // bytes of each; 0 = as much as is asked for
	Queue     gpuqueue.Policy
	Placement placement.Policy // of functions that run on CPU too
}

func (c Config) withDefaults() Config {
	if c.Concurrency == nil {
		c.Concurrency = concurrency.Fixed{Overcommit: 1}
	}
	if c.Prewarm == nil {
		c.Prewarm = prewarm.None{}
	}
	if c.Estimate == nil {
		c.Estimate = estimate.EWMA{Weight: 0.1}
	}
	if c.GPUs.Memory == 0 {
		c.GPUs.Memory = math.MaxInt64
	}
	return c
}

// Configured is the Config that a worker of an experiment has. A policy that it does not name, as in the
// manifests of versions that had none, is the one that an experiment has by default.
func Configured(w spec.Worker) (Config, error) {
	c := Config{MilliCPU: w.MilliCPU, Memory: int64(w.Memory), FreeBuffer: int64(w.FreeBuffer)}
	c.GPUs = GPUs{Count: w.GPU.Count, Slots: w.GPU.Slots, Tokens: w.GPU.Tokens, Memory: int64(w.GPU.Memory)}
	for _, err := range []error{
		build(&c.Queue, queue.Builtin(), w.Queue, "fcfs"), build(&c.KeepAlive, keepalive.Builtin(), w.KeepAlive, "ttl"),
		build(&c.Concurrency, concurrency.Builtin(), w.Concurrency, "fixed"), build(&c.Dispatch, dispatch.Builtin(), w.Dispatch, "mru"),
		build(&c.GPUs.Queue, gpuqueue.Builtin(), w.GPUQueue, "mqfq"), build(&c.GPUs.Placement, placement.Builtin(), w.Placement, "est_completion"),
		build(&c.Prewarm, prewarm.Builtin(), w.Prewarm, "none"), build(&c.Estimate, estimate.Builtin(), w.Estimate, "ewma"),
	} {
		if err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// Registered is what the scheduler knows of a function of an experiment.
func Registered(f spec.Function) Function {
	return Function{
		Name: f.Name, MilliCPU: f.MilliCPU, Memory: int64(f.Memory), Timeout: f.Timeout,
		Compute: map[string]placement.Compute{"gpu": placement.GPU, "both": placement.Both}[f.Compute], GPUMemory: int64(f.GPUMemory),
	}
}

func build[P any](into *P, from *registry.Registry[P], named spec.Named, standard string) (err error) {
	*into, err = from.Build(cmp.Or(named.Name, standard), named.Decode)
	return err
}
