// Package sandbox is one isolated instance that runs invocations of one
// function, whatever isolates it.
package sandbox

import (
	"context"
	"errors"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// MaxPayload bounds the arguments and the result of an invocation, in bytes.
const MaxPayload = 16 << 20

// Kind says why a sandbox or an invocation failed.
type Kind string

// The kinds of Error.
const (
	UserError   Kind = "user_error"    // user code raised; the sandbox is fine and stays
	Crashed     Kind = "crashed"       // the sandbox ended
	OutOfMemory Kind = "out_of_memory" // the sandbox went over its memory limit and was ended
	StartFailed Kind = "start_failed"  // it never became ready
	TooLarge    Kind = "too_large"     // arguments over MaxPayload; the sandbox stays (a result over it is a UserError)
	Protocol    Kind = "protocol"      // it sent something that is no frame; it is ended
)

// Error is a failure of a sandbox. After every kind but UserError and TooLarge
// the sandbox is unusable and must be removed.
type Error struct {
	Kind    Kind
	Message string // for the user; ends with the last lines of stderr where there are any
}

func (e *Error) Error() string { return string(e.Kind) + ": " + e.Message }

// Usable reports whether the sandbox may serve another invocation after err.
// A context that ended leaves the sandbox busy with unknown work: not usable.
func Usable(err error) bool {
	if err == nil {
		return true
	}
	var e *Error
	return errors.As(err, &e) && (e.Kind == UserError || e.Kind == TooLarge)
}

// Config describes a sandbox to create.
type Config struct {
	ID       string        // unique in the run, fit for a file name
	Function spec.Function // limits, environment, builtin or runtime
	Code     string        // folder of the staged code on this host; "" for a builtin and for a function that is an image
	Image    string        // digest of the image manifest in the host's store that is its root, such as "sha256:..."; "" for none
	Stdout   func([]byte)  // receives what the sandbox prints, in pieces; nil drops it
	Stderr   func([]byte)
}

// Reply is the result of an invocation, with the sandbox's own times.
type Reply struct {
	Result    []byte        // JSON
	ExecStart time.Duration // after Invoke was called
	ExecEnd   time.Duration // after Invoke was called; never before ExecStart
}

// Sandbox runs one invocation at a time. Its creator owns it and must call
// Remove, also after an error. Methods other than Invoke are safe for
// concurrent use.
type Sandbox interface {
	// Invoke runs args, a JSON object. If ctx ends first it returns
	// context.Cause(ctx) and the sandbox is no longer usable. Failures are *Error.
	// A user error comes with the Reply's times.
	Invoke(ctx context.Context, args []byte) (Reply, error)
	// Memory is the bytes in use, or -1 when unknown.
	Memory() int64
	// CPU is the processor time used so far, or -1 when unknown.
	CPU() time.Duration
	// Freeze stops the sandbox, which keeps its memory and takes no CPU, and Thaw
	// lets it go on. They return when it is so, and are for a sandbox that runs nothing.
	Freeze() error
	Thaw() error
	// Done is closed when the sandbox has ended by itself or was removed.
	Done() <-chan struct{}
	// Remove ends the sandbox and everything made for it; it is total and may
	// be called twice.
	Remove() error
}

// Thing is something of ours on this host, such as "process 7".
type Thing struct {
	What string `json:"what"`
	Run  string `json:"run"` // whose it is
}

// Preparer is an Isolation that can do ahead what the first sandbox of a function
// would wait for, such as unpacking its image.
type Preparer interface {
	// Prepare returns when that is done. The Config has no ID.
	Prepare(ctx context.Context, c Config) error
}

// Isolation makes sandboxes of one kind on this host.
type Isolation interface {
	// Create returns when the sandbox is ready: user code is imported. On error
	// nothing is left behind. A failure of the function's code is an *Error of kind StartFailed.
	Create(ctx context.Context, c Config) (Sandbox, error)
	// Limitations says, one sentence each, what this kind promises and could not
	// apply on this host with these rights. Empty means all of it.
	Limitations() []string
	// Reclaim removes whatever other processes of this run have left, which must
	// be dead; it names what it removed.
	Reclaim() (removed []string, err error)
	// Close removes what Create shares between sandboxes. All sandboxes must be removed.
	Close() error
}
