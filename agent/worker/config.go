package worker

import (
	"cmp"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/keepalive"
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
	return c
}

// Configured is the Config that a worker of an experiment has. A policy that it does not name, as in the
// manifests of versions that had none, is the one that an experiment has by default.
func Configured(w spec.Worker) (Config, error) {
	c := Config{MilliCPU: w.MilliCPU, Memory: int64(w.Memory), FreeBuffer: int64(w.FreeBuffer)}
	for _, err := range []error{
		build(&c.Queue, queue.Builtin(), w.Queue, "fcfs"), build(&c.KeepAlive, keepalive.Builtin(), w.KeepAlive, "ttl"),
		build(&c.Concurrency, concurrency.Builtin(), w.Concurrency, "fixed"), build(&c.Dispatch, dispatch.Builtin(), w.Dispatch, "mru"),
		build(&c.Prewarm, prewarm.Builtin(), w.Prewarm, "none"), build(&c.Estimate, estimate.Builtin(), w.Estimate, "ewma"),
	} {
		if err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

func build[P any](into *P, from *registry.Registry[P], named spec.Named, standard string) (err error) {
	*into, err = from.Build(cmp.Or(named.Name, standard), named.Decode)
	return err
}
