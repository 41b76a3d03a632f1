package orchestrator

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// maxSamples bounds the samples of one distribution.
const maxSamples = 1_000

// samples are the durations of the phases of one function.
type samples struct {
	sim.MeasuredOverheads
	start, exec       []time.Duration
	gpuStart, gpuExec []time.Duration // of those on GPUs
}

// Measured is the model that the completed calls of a finished run make: for
// each function the durations that were seen, to be drawn from uniformly.
func Measured(run *result.Run) (*sim.Model, error) {
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
			if !whole(c) {
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
	model := &sim.Model{Functions: map[string]sim.FunctionModel{}}
	for name, s := range seen {
		model.Functions[name] = s.measured().Model()
	}
	return model, nil
}

// add takes the phases of a completed call, but for the wait in the queue, which the
// simulation decides.
func (s *samples) add(c *measure.Call) {
	s.Request = append(s.Request, time.Duration(c.Queued-c.Sent))
	start, exec := s.of(c)
	if c.ColdKind == "cold" {
		*start = append(*start, time.Duration(c.SandboxReady-c.Dequeued))
	}
	*exec = append(*exec, time.Duration(c.Exec()))
	s.Dispatch = append(s.Dispatch, time.Duration(c.ExecStart-c.SandboxReady))
	s.Finish = append(s.Finish, time.Duration(c.Replied-c.ExecEnd))
	s.Reply = append(s.Reply, time.Duration(c.Received-c.Replied))
}

// of is where the start-up and the execution of a call belong.
func (s *samples) of(c *measure.Call) (start, exec *[]time.Duration) {
	if strings.HasPrefix(c.Device, "gpu") {
		return &s.gpuStart, &s.gpuExec
	}
	return &s.start, &s.exec
}

func (s *samples) measured() sim.Measured {
	return sim.Measured{
		MeasuredOverheads: thinned(s.MeasuredOverheads),
		Start:             thin(s.start), Exec: thin(s.exec), GPUStart: thin(s.gpuStart), GPUExec: thin(s.gpuExec),
	}
}

// thinned thins all that o has.
func thinned(o sim.MeasuredOverheads) sim.MeasuredOverheads {
	return sim.MeasuredOverheads{Lag: thin(o.Lag), Request: thin(o.Request), Dispatch: thin(o.Dispatch), Finish: thin(o.Finish), Reply: thin(o.Reply)}
}

// thin sorts d and, where it is long, leaves maxSamples of it that are evenly apart in its order.
func thin(d []time.Duration) []time.Duration {
	slices.Sort(d)
	if len(d) <= maxSamples {
		return d
	}
	out := make([]time.Duration, maxSamples)
	for i := range out {
		out[i] = d[i*(len(d)-1)/(maxSamples-1)]
	}
	return out
}
