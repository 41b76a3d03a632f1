// Package trace reads recorded workloads: which function was called when.
package trace

import (
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Trace is a recorded workload, held in 8 bytes a call.
type Trace struct {
	Functions []Function    // in the order of the metadata
	Calls     int           // at least 1
	Duration  time.Duration // 1 ms more than the time of the last call: every call is before it
	SHA256    string        // of the invocations file, hex

	calls []call
}

// Function is one function of a trace.
type Function struct {
	Name       string
	Warm, Cold time.Duration // execution time in a warm sandbox, and in a new one with its start; 0 when not recorded
	Memory     spec.Bytes
	Calls      int // in this trace, 0 when it is never called
}

// call is one call, compact: traces have millions.
type call struct {
	ms       uint32 // since the trace began
	function uint32 // index into Functions
}

// Arrivals returns a reader of the calls in order: the time since the trace
// began and the function's name, and false at the end.
func (t *Trace) Arrivals() func() (at time.Duration, function string, ok bool) {
	next := 0
	return func() (time.Duration, string, bool) {
		if next == len(t.calls) {
			return 0, "", false
		}
		c := t.calls[next]
		next++
		return time.Duration(c.ms) * time.Millisecond, t.Functions[c.function].Name, true
	}
}
