// Package remote is what the orchestrator needs of a host: commands that run,
// files that arrive whole, and connections to what listens there.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
)

// Conn is a host. Its methods may be called at the same time. What a method does
// ends with its context, also when the host no longer answers.
type Conn interface {
	// Run executes a command and waits for its end, not for what it leaves behind. The
	// error is an *ExitError where the command ended badly, ErrUnreachable where the
	// connection was lost before it began, and ErrUnknown where it was lost since. A
	// command whose context ends is ended with what it has started.
	Run(ctx context.Context, c Command) error
	// Push makes the file that f describes, unless it is there with the same content,
	// and reports whether it had to. Whoever reads the path finds the old file or the new one, never a part.
	Push(ctx context.Context, f File) (changed bool, err error)
	// Dial connects to an address as the host itself sees it: "tcp" or "unix".
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Close ends everything that runs through it.
	Close() error
}

// Command is a program with its arguments. No shell sees them.
type Command struct {
	Args   []string  // the first is the program
	Root   bool      // as root, by whatever way the host has to become it
	Stdin  io.Reader // nil is empty
	Stdout io.Writer // nil drops it
	Stderr io.Writer // nil keeps its end for the ExitError
	Lasts  bool      // as long as it wants: no limit of time that the host has for commands
}

// File is what Push makes.
type File struct {
	Path    string // absolute, in a folder that is made if need be
	Mode    fs.FileMode
	Root    bool // owned by root, in a folder that root alone may write to
	Content io.ReadSeeker
	SHA256  string // of the file, hex; "" is computed, unless it comes packed
	Unpack  string // command there, words and spaces, that makes the file of Content: "zstd -dc"; "" is none
	Keep    bool   // the file before stays beside it, as Path.prev, and comes back from there when it is wanted again
}

// ExitError is the end of a command that did not go well.
type ExitError struct {
	Program string
	Status  int    // of exit; -1 where a signal ended it
	Signal  string // "" or a name such as "KILL"
	Stderr  string // its end, where nobody else read it
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit status %d", e.Status)
	if e.Signal != "" {
		how = "signal " + e.Signal
	}
	if e.Stderr == "" {
		return fmt.Sprintf("%s: %s", e.Program, how)
	}
	return fmt.Sprintf("%s: %s: %s", e.Program, how, e.Stderr)
}

// Kinds of failure, for errors.Is. Unreachable may be tried again; Unknown only
// where the step can be repeated; Refused never.
var (
	ErrUnreachable = errors.New("host cannot be reached")
	ErrRefused     = errors.New("host refused us")                                            // its key or ours
	ErrUnknown     = errors.New("connection lost: what was under way may or may not be done") // in the middle of a command
)
