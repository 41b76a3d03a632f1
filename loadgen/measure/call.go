// Package measure records calls and computes what is reported of them.
package measure

import "strconv"

// Missing marks a time that never came, such as the execution of a call that was refused.
const Missing = int64(-1)

// Statuses of a call. A failed invocation is never reported as a success.
const (
	OK          = "ok"
	UserError   = "user_error"    // the function raised or returned an error; its sandbox stays warm
	Crashed     = "crashed"       // the sandbox ended during the call
	OutOfMemory = "out_of_memory" // the sandbox was over its memory limit
	Timeout     = "timeout"       // the function's time limit or the caller's deadline passed
	StartFailed = "start_failed"  // no sandbox became ready: the import failed, say
	TooLarge    = "too_large"     // the request or the reply is over the frame limit
	Refused     = "refused"       // unknown function, draining, over the worker's capacity
	Cancelled   = "cancelled"     // the caller gave up
	Platform    = "platform"      // the agent or balancer failed, or could not be reached
	Dropped     = "dropped"       // never sent: the load generator was at max_in_flight or was stopped
)

// Statuses lists every status, in the order they are reported.
var Statuses = []string{OK, UserError, Crashed, OutOfMemory, Timeout, StartFailed, TooLarge, Refused, Cancelled, Platform, Dropped}

// Call is one row of calls.parquet: one call with the times of its phases.
//
// Times are nanoseconds since the load started, on the clock of its
// Generator, and Missing when they never came. Those present never decrease in the
// order of the fields from Intended to Received, so consecutive differences
// are the phases, and they sum to the end-to-end latency Received - Intended.
type Call struct {
	Point    string // ID
	Repeat   int    // from 1
	Load     string
	Phase    string
	Record   bool   // counts in statistics
	Seq      int64  // position in the load's schedule, from 0
	Function string // registered name
	TID      string // transaction id, unique in the run
	Host     string // worker that ran it, "" if none did
	// Generator is the host that made the call, "" where nobody said. Times are on its clock.
	Generator string

	Intended     int64 // when the schedule says
	Sent         int64 // when the generator sent it
	Accepted     int64 // agent received it
	Queued       int64 // its function was known and it joined the queue
	Dequeued     int64 // the scheduler chose it
	SandboxReady int64 // its sandbox was ready
	ExecStart    int64 // user code began
	ExecEnd      int64 // user code ended
	Replied      int64 // agent sent the reply
	Received     int64 // generator received the reply, or learned that none will come

	ColdKind string // "cold", "prewarmed", "warm", or "" when it never had a sandbox
	Device   string // "cpu" or "gpu0" to, that its sandbox was on; "" on a worker without GPUs
	Status   string
	Error    string // bounded to 512 bytes
	BytesIn  int64  // of the reply
	BytesOut int64  // of the request
	Memory   int64  // bytes used by the sandbox after the call, Missing when unknown
}

// TID is the transaction id of a call: unique in the run, and telling where in it.
func TID(point string, repeat int, load string, seq int64) string {
	return point + "." + strconv.Itoa(repeat) + "." + load + "." + strconv.FormatInt(seq, 10)
}
