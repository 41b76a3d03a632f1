// Package arrival makes schedules: when which function is called. It is pure:
// the live load generator and the simulator read the same schedule, and the
// same seed gives the same one to the nanosecond.
package arrival

import "time"

// Arrival is one intended call.
type Arrival struct {
	At       time.Duration // since the phase began
	Function string        // registered name
}

// Schedule yields arrivals in order of At, ties in a fixed order. Next returns
// false when the schedule has ended.
type Schedule interface{ Next() (Arrival, bool) }
