package orchestrator

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// maxSamples bounds the samples of one distribution; more are thinned evenly over their order.
const maxSamples = 10_000

// samples are the durations of one function.
type samples struct{ exec, start, overhead []time.Duration }

// Measured is the model that the completed calls of a finished run make: for
// each function the durations that were seen, to be drawn from uniformly.
func Measured(run *result.Run) (sim.Model, error) {
	seen := map[string]*samples{}
	for _, rep := range run.Repeats {
		calls, err := measure.ReadCalls(run.CallsPath(rep.Step))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the repeat measured nothing
		}
		if err != nil {
			return nil, err
		}
		for i := range calls {
			c := &calls[i]
			if c.Status != measure.OK || c.Exec() == measure.Missing {
				continue
			}
			s := seen[c.Function]
			if s == nil {
				s = &samples{}
				seen[c.Function] = s
			}
			s.add(c)
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("run %s has no completed call to take durations from", run.Manifest.RunID)
	}
	model := sim.Model{}
	for name, s := range seen {
		model[name] = sim.FunctionModel{Exec: empirical(s.exec), Start: empirical(s.start), Overhead: empirical(s.overhead)}
	}
	return model, nil
}

func (s *samples) add(c *measure.Call) {
	s.exec = append(s.exec, time.Duration(c.Exec()))
	if c.ColdKind == "cold" {
		s.start = append(s.start, time.Duration(c.SandboxReady-c.Dequeued))
	}
	waited := c.SandboxReady - c.Queued // in the queue and for the start, which the simulation decides
	s.overhead = append(s.overhead, time.Duration(c.Service()-c.Exec()-waited))
}

func empirical(d []time.Duration) spec.Dist {
	if len(d) == 0 {
		return spec.Dist{}
	}
	slices.Sort(d)
	if len(d) > maxSamples {
		thin := make([]time.Duration, maxSamples)
		for i := range thin {
			thin[i] = d[i*(len(d)-1)/(maxSamples-1)]
		}
		d = thin
	}
	return spec.Dist{Kind: "empirical", Samples: d}
}
