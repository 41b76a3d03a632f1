package worker

import "time"

// Event is something that happened.
type Event interface{ event() }

type (
	// Arrive is a new invocation; its id must not be in use.
	Arrive struct {
		Invocation InvocationID
		Function   FunctionID
	}
	// Cancel is an invocation whose caller has gone. It has no effect on one that runs.
	Cancel struct{ Invocation InvocationID }
	// Up is a created sandbox that is ready.
	Up struct{ Sandbox SandboxID }
	// StartFailed is a created sandbox that did not become ready and is gone.
	StartFailed struct{ Sandbox SandboxID }
	// Died is a sandbox that ended by itself. It has no effect on one that is
	// busy, whose invocation then ends with Usable false.
	Died struct{ Sandbox SandboxID }
	// Finished is the end of a started invocation, in whatever way.
	Finished struct {
		Invocation InvocationID
		Exec       time.Duration // of user code, 0 when it did not run; used where Usable
		Usable     bool          // its sandbox can serve again
	}
	// Removed is a sandbox of which nothing is left after a Remove.
	Removed struct{ Sandbox SandboxID }
	// Prewarm asks that Count sandboxes of Function be idle or in the making.
	Prewarm struct {
		Function FunctionID
		Count    int
	}
	// Drain refuses what arrives from now on.
	Drain struct{}
	// Clean removes every idle sandbox.
	Clean struct{}
	// Load is how much CPU the host has use for, in thousandths of a core: of what can run, whether it does or
	// not. It is wanted as often as Sampling says.
	Load struct{ MilliCPU int64 }
	// Tick is the passing of time.
	Tick struct{}
)

func (Arrive) event()      {}
func (Cancel) event()      {}
func (Up) event()          {}
func (StartFailed) event() {}
func (Died) event()        {}
func (Finished) event()    {}
func (Removed) event()     {}
func (Prewarm) event()     {}
func (Drain) event()       {}
func (Clean) event()       {}
func (Load) event()        {}
func (Tick) event()        {}

// Op is what to do.
type Op int

// The operations of an Action.
const (
	Start  Op = iota // run Invocation on Sandbox; Kind says in what state that is
	Create           // make Sandbox for Function
	Remove           // end Sandbox and all that belongs to it, then report Removed
	Fail             // Invocation ends here, for the reason Why
	Refuse           // the Prewarm being handled cannot be done, or not wholly, for the reason Why
)

func (o Op) String() string { return [...]string{"start", "create", "remove", "fail", "refuse"}[o] }

// Action is one thing the driver must do. Fields that do not apply are zero.
type Action struct {
	Op         Op
	Function   FunctionID
	Invocation InvocationID
	Sandbox    SandboxID
	Kind       Kind          // of Start
	Why        Reason        // of Remove, Fail and Refuse
	Dequeued   time.Duration // of Start and Fail with NoSandbox: when Invocation left the queue
	Device     int           // of Create and Start: the GPU, from 1; 0 is CPU
}

// Kind is the state in which an invocation finds its sandbox.
type Kind int

// The kinds of a Start.
const (
	Warm      Kind = iota // it has served before
	Prewarmed             // it was made ahead and has not served
	Cold                  // it was made on demand and the invocation waited for it
)

func (k Kind) String() string { return [...]string{"warm", "prewarmed", "cold"}[k] }

// Reason says why.
type Reason int

// The reasons in an Action.
const (
	NoReason        Reason = iota
	Expired                // Remove: idle for longer than the keep-alive policy allows
	Evicted                // Remove: its memory is needed
	Broken                 // Remove: its last invocation left it unusable
	Lost                   // Remove: it ended by itself while idle
	Cleaned                // Remove: Clean asked for it
	Buffered               // Remove: so that memory is free when it is needed
	Draining               // Fail: the worker takes no more
	Overdue                // Fail: the queue's policy refuses what is expected to miss its deadline
	Shed                   // Fail: the concurrency policy refuses some of what waits for too long
	UnknownFunction        // Fail, Refuse: no such function
	NoSandbox              // Fail: the sandbox it waited for did not start
	NoMemory               // Refuse: the memory is in use
)

func (r Reason) String() string {
	return [...]string{"", "expired", "evicted", "broken", "lost", "cleaned", "buffered", "draining", "it is expected to miss its deadline", "all that waits does so for too long", "unknown function", "no sandbox", "no memory"}[r]
}

// Status is the worker at one moment.
type Status struct {
	MilliCPU, MilliCPUUsed int64
	MilliCPULimit          int64 // that may be used now: the concurrency policy's
	Memory, MemoryUsed     int64 // bytes
	Waiting                int   // in the queue
	Pending                int   // dequeued, waiting for a sandbox
	Running                int
	Idle, Starting         int // sandboxes
	Sandboxes              int // all, those being removed included
	GPUs, GPUsWaiting      int // devices, and invocations that wait for them
	Draining               bool
}

// Status returns the ledgers and counts.
func (w *Worker) Status() Status {
	s := Status{
		MilliCPU: w.config.MilliCPU, MilliCPUUsed: w.cpuUsed, Memory: w.config.Memory, MemoryUsed: w.memUsed,
		MilliCPULimit: w.limitCPU, Waiting: w.waiting.Len() + w.held, Running: w.running, Idle: w.idle.Len(), Sandboxes: len(w.sandboxes), Draining: w.draining,
	}
	for _, f := range w.functions {
		s.Pending += len(f.pending)
		s.Starting += f.starting
		if f.gpu != nil {
			s.Starting += f.gpu.starting
		}
	}
	w.gpus.count(&s)
	return s
}

// Empty reports whether no invocation is waiting, pending or running.
func (w *Worker) Empty() bool { return len(w.calls) == 0 }

// Estimate predicts, for an invocation of the function that came now, its wait
// in the queue and its time in a sandbox. The wait is the fluid one, work
// ahead divided by capacity: exact when jobs are small against it.
func (w *Worker) Estimate(id FunctionID) (wait, service time.Duration) {
	f := w.functions[id-1]
	if f.gpu != nil {
		return w.estimateOnGPU(f)
	}
	return time.Duration(w.backlog / w.config.MilliCPU), w.item(0, f).Expected
}

// Sampling is how often a Load is wanted; 0 is never.
func (w *Worker) Sampling() time.Duration { return w.regulator.Every() }
