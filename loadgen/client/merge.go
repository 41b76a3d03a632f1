package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// Generator is one of several that made a load together.
type Generator struct {
	Host    string         `json:"host"`
	Calls   int            `json:"calls"`
	Late    time.Duration  `json:"late_ns"`        // it could not begin before so long after the agreed time
	Within  time.Duration  `json:"start_error_ns"` // that time on its clock was known to this
	Drift   time.Duration  `json:"drift_ns"`       // its clock went ahead of that of whoever agreed with all, from beginning to end
	LagP99  time.Duration  `json:"lag_p99_ns"`     // of its recorded calls
	Ended   time.Duration  `json:"ended_ns"`       // its last call had ended, since the load started
	Steal   *time.Duration `json:"steal_ns"`
	Stopped time.Duration  `json:"stopped_ns"`
}

// Merge makes what the parts of a load measured, each in a folder, the outcome of the
// whole, as one generator would have, and all its calls. The zero of every part is
// the agreed start, so their times are on one axis as far as their clocks keep time.
// Of the outcome, zero says what the parts share, and its Generators are those of the
// folders, with what is not in them.
func Merge(load spec.Load, zero Outcome, folders []string) (Outcome, []measure.Call, error) {
	o := zero
	o.Generators = slices.Clone(zero.Generators)
	var calls []measure.Call
	aborted := false // by a part that gave up, which is why the others were told to stop
	for i, folder := range folders {
		part, err := ReadOutcome(folder)
		if err != nil {
			return o, nil, err
		}
		own, err := measure.ReadCalls(filepath.Join(folder, callsFile))
		if err != nil {
			return o, nil, err
		}
		g := &o.Generators[i]
		g.Calls, g.Late, g.LagP99, g.Ended, g.Steal, g.Stopped = len(own), part.Late, lagP99(own), part.Ended, part.Steal, part.Stopped
		if i == 0 || part.Stopped < o.Stopped {
			o.Stopped = part.Stopped
		}
		o.Interrupted = o.Interrupted || part.Interrupted
		aborted = aborted || part.Stopped < Length(load) && !part.Interrupted
		o.Late, o.Ended = max(o.Late, part.Late), max(o.Ended, part.Ended)
		if len(folders) == 1 {
			o.Steal = part.Steal
		}
		calls = append(calls, own...)
	}
	o.Interrupted = o.Interrupted && !aborted
	Order(calls)
	o.summarize(calls, load)
	for _, g := range o.Generators {
		if g.Late > 0 {
			o.Reasons = append(o.Reasons, measure.Reason{ID: "late", Message: fmt.Sprintf(
				"load %s: the generator on host %s began %v after the time agreed with the others: give it more CPU, or look at its connection", load.Name, g.Host, g.Late.Round(time.Microsecond))})
		}
	}
	return o, calls, nil
}

// Order puts calls in the order of their intended times.
func Order(calls []measure.Call) {
	slices.SortStableFunc(calls, func(a, b measure.Call) int {
		return cmp.Or(cmp.Compare(a.Intended, b.Intended), cmp.Compare(a.Seq, b.Seq))
	})
}

// ReadOutcome reads the OutcomeFile of a folder.
func ReadOutcome(dir string) (o Outcome, err error) {
	text, err := os.ReadFile(filepath.Join(dir, OutcomeFile))
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return o, fmt.Errorf("read outcome: %w", err)
	}
	return o, nil
}

// lagP99 is how late calls were sent.
func lagP99(calls []measure.Call) time.Duration {
	var lags []int64
	for i := range calls {
		if lag := calls[i].Lag(); calls[i].Record && lag != measure.Missing {
			lags = append(lags, lag)
		}
	}
	return measure.Quantiles(lags).P99
}

// Together is the progress of a load of which several generators make parts: counts
// are those of all, and times are the worst.
func Together(parts []Progress) (all Progress) {
	for _, p := range parts {
		if p.Elapsed >= all.Elapsed {
			all.Phase, all.Elapsed = p.Phase, p.Elapsed
		}
		all.Offered += p.Offered
		all.Sent += p.Sent
		all.Completed += p.Completed
		all.Failed += p.Failed
		all.InFlight += p.InFlight
		all.Rate += p.Rate
		all.LagP99 = max(all.LagP99, p.LagP99)
		all.LatencyP50, all.LatencyP99 = max(all.LatencyP50, p.LatencyP50), max(all.LatencyP99, p.LatencyP99)
	}
	return all
}
