package concurrency

import "time"

// Shedder is controlled delay, CoDel, for invocations in the place of packets (K. Nichols and V. Jacobson, Controlling queue
// delay, 2012, doi:10.1145/2209249.2209264). A burst makes some wait for long, a queue that does not get shorter makes
// all: where the least wait of an Interval is over Target, what leaves the queue in the next after twice Target
// is refused and not started. That is the rule of B. Maurer, Fail at scale, 2015, doi:10.1145/2838344.2839461;
// CoDel's own, of one refusal at a time at ever shorter distances, is for senders that slow down when
// they lose a packet, as callers do not. The zero value refuses nothing.
type Shedder struct {
	Target, Interval time.Duration

	ends  time.Duration // of the interval
	least time.Duration // wait in it so far
	full  bool          // the least of the one before was over the target
}

// Drop reports whether to refuse, rather than to start, what has waited so long. Last says that nothing waits behind
// it. Now never decreases.
func (s *Shedder) Drop(now, waited time.Duration, last bool) bool {
	if s.Target <= 0 {
		return false
	}
	s.least = min(s.least, waited)
	if now >= s.ends {
		// An interval in which nothing left the queue tells nothing, for nothing may have waited.
		s.full = s.least > s.Target && now < s.ends+s.Interval
		s.ends, s.least = now+s.Interval, waited
	}
	return s.full && waited > 2*s.Target && !last
}
