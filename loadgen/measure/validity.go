package measure

import (
	"fmt"
	"time"
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
func (s *Summary) Validate(end Ending) []Reason {
	var reasons []Reason
	load := s.load
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
	if s.recorded == 0 {
		add("no_calls", "no call was recorded: make the load longer, its rate higher, or the warm-up shorter")
	}
	if load.OnSaturation == "record" {
		return reasons
	}
	if s.dropped > 0 {
		ending := ""
		if load.OnSaturation == "abort" {
			ending = fmt.Sprintf(", and the load was aborted after %v of %v", end.Stopped.Round(time.Millisecond), total)
		}
		add("dropped", "%d of %d calls were not sent because max_in_flight = %d was reached%s: lower the rate, or raise max_in_flight",
			s.dropped, s.calls, load.MaxInFlight, ending)
	}
	if offered, achieved := s.Rates(end.Stopped); achieved < offered*(1-rateTolerance) {
		add("rate", "sent %.1f calls/s of the %.1f/s offered, %.1f %% less where %.0f %% is allowed: lower the rate, or give the load generator more CPU",
			achieved, offered, 100*(1-achieved/offered), 100*rateTolerance)
	}
	if lag := s.lag.quantiles(); load.LagLimit > 0 && lag.P99 > load.LagLimit {
		add("lag", "lag p99 is %v, over lag_limit = %v: calls were sent late; give the load generator more CPU, or lower the rate",
			lag.P99.Round(time.Microsecond), load.LagLimit)
	}
	return reasons
}

// Rates returns what the schedule offered and what was sent, in calls per
// second over the recorded phases; stopped is when sending ended, since the load
// started. A generator that sends on after the last phase is slower than offered.
func (s *Summary) Rates(stopped time.Duration) (offered, achieved float64) {
	var w window
	begin := time.Duration(0)
	for _, p := range s.load.Phases {
		if p.Record {
			w = window{w.length + max(0, min(p.Duration, stopped-begin)), min(begin+p.Duration, stopped)}
		}
		begin += p.Duration
	}
	if w.length <= 0 {
		return 0, 0
	}
	return float64(s.recorded) / w.length.Seconds(), float64(s.sent) / w.until(s.lastSent).Seconds()
}
