package measure

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Ending is how a load ended.
type Ending struct {
	Stopped     time.Duration `json:"stopped_ns"`  // sending ended, since the load started
	Interrupted bool          `json:"interrupted"` // by the caller, before the last call had ended
}

// Reason is why the numbers of a repeat are not valid.
type Reason struct {
	ID      string `json:"id"`      // "interrupted", "no_calls", "dropped", "rate" or "lag"
	Message string `json:"message"` // with the figures and what to do
}

// rateTolerance is the part of the offered rate that may be missing from the
// achieved one.
const rateTolerance = 0.01

// Validate tells whether the load generator did what the schedule says; no
// reason means that it did. With OnSaturation "record" a saturated generator is
// what the experiment is about, and only an interrupted or empty load is invalid.
// A LagLimit of 0 is none.
func Validate(calls []Call, load spec.Load, end Ending) []Reason {
	var reasons []Reason
	add := func(id, format string, args ...any) {
		reasons = append(reasons, Reason{id, fmt.Sprintf("load %s: ", load.Name) + fmt.Sprintf(format, args...)})
	}
	var total time.Duration
	for _, p := range load.Phases {
		total += p.Duration
	}
	if end.Interrupted {
		add("interrupted", "interrupted after %v of %v: the numbers cover a part of the load", end.Stopped.Round(time.Millisecond), total)
	}

	var dropped, recorded int
	var lags []int64
	for i := range calls {
		c := &calls[i]
		if c.Status == Dropped {
			dropped++
		}
		if !c.Record {
			continue
		}
		recorded++
		if lag := c.Lag(); lag != Missing {
			lags = append(lags, lag)
		}
	}
	if recorded == 0 {
		add("no_calls", "no call was recorded: make the load longer, its rate higher, or the warm-up shorter")
	}
	if load.OnSaturation == "record" {
		return reasons
	}
	if dropped > 0 {
		ending := ""
		if load.OnSaturation == "abort" {
			ending = fmt.Sprintf(", and the load was aborted after %v of %v", end.Stopped.Round(time.Millisecond), total)
		}
		add("dropped", "%d of %d calls were not sent because max_in_flight = %d was reached%s: lower the rate, or raise max_in_flight",
			dropped, len(calls), load.MaxInFlight, ending)
	}
	if offered, achieved := Rates(calls, load, end.Stopped); achieved < offered*(1-rateTolerance) {
		add("rate", "sent %.1f calls/s of the %.1f/s offered, %.1f %% less where %.0f %% is allowed: lower the rate, or give the load generator more CPU",
			achieved, offered, 100*(1-achieved/offered), 100*rateTolerance)
	}
	if lag := Quantiles(lags); load.LagLimit > 0 && lag.P99 > load.LagLimit {
		add("lag", "lag p99 is %v, over lag_limit = %v: calls were sent late; give the load generator more CPU, or lower the rate",
			lag.P99.Round(time.Microsecond), load.LagLimit)
	}
	return reasons
}

// Rates returns what the schedule offered and what was sent, in calls per
// second over the recorded phases; stopped is when sending ended, since the load
// started. A generator that sends on after the last phase is slower than offered.
func Rates(calls []Call, load spec.Load, stopped time.Duration) (offered, achieved float64) {
	var w window
	begin := time.Duration(0)
	for _, p := range load.Phases {
		if p.Record {
			w = window{w.length + max(0, min(p.Duration, stopped-begin)), min(begin+p.Duration, stopped)}
		}
		begin += p.Duration
	}
	intended, sent, last := 0, 0, Missing
	for i := range calls {
		c := &calls[i]
		if !c.Record {
			continue
		}
		intended++
		if c.Sent != Missing {
			sent++
			last = max(last, c.Sent)
		}
	}
	if w.length <= 0 {
		return 0, 0
	}
	return float64(intended) / w.length.Seconds(), float64(sent) / w.until(last).Seconds()
}
