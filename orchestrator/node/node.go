// Package node is one host of a deployment: the daemons of runs that are started,
// watched and ended there, and the folder of each run.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Host is where daemons of runs are. Its methods may be called at the same time.
type Host interface {
	// Facts are what the host is now.
	Facts(ctx context.Context) (spec.Facts, error)
	// Clock compares its clocks with those here.
	Clock(ctx context.Context) (Clock, error)
	// Start starts a daemon. The same again starts nothing and is no error.
	Start(ctx context.Context, t Task) error
	// Follow calls line for each line of a daemon's standard output but the first
	// from, and returns how the daemon ended.
	Follow(ctx context.Context, run, name string, from int, line func([]byte)) (Exit, error)
	// Stop asks a daemon to end, ends it after its Grace, and returns how it ended.
	Stop(ctx context.Context, run, name string) (Exit, error)
	// Put writes a file into the folder of a run: it is there when all of it is.
	Put(ctx context.Context, run, path string, content io.Reader) error
	// Files are those below a folder of a run, by path. One that is not there has none.
	Files(ctx context.Context, run, path string) ([]File, error)
	// Get copies a file from an offset on.
	Get(ctx context.Context, run, path string, offset int64, to io.Writer) error
	// Forget ends what runs of a run and removes all that is left of it, and names it.
	Forget(ctx context.Context, run string) (removed []string, err error)
}

// Copy is Get of most bytes at most: a file may have grown since it was listed, and a host
// may not be what it says.
func Copy(ctx context.Context, h Host, run, path string, offset int64, to io.Writer, most int64) error {
	err := h.Get(ctx, run, path, offset, &atMost{to, most})
	if errors.Is(err, errWhole) {
		return nil
	}
	return err
}

// errWhole ends the reading of a file of which all that is wanted is there.
var errWhole = errors.New("all of it is there")

// atMost takes so many bytes and no more.
type atMost struct {
	w    io.Writer
	left int64
}

func (a *atMost) Write(b []byte) (int, error) {
	n := min(int64(len(b)), max(0, a.left))
	a.left -= n
	written, err := a.w.Write(b[:n])
	if err == nil && written < len(b) {
		err = errWhole
	}
	return written, err
}

// Errors that a caller may tell apart.
var (
	ErrNotFound = errors.New("there is no such run, daemon or file here")
	ErrExists   = errors.New("there is another daemon of that name")
	ErrLocked   = errors.New("another ainur run holds the lock")
)

// StopGrace is how long a daemon may take to clean up when nothing else is said.
const StopGrace = 10 * time.Second

// Task is a daemon to start.
type Task struct {
	Run   string            `json:"run"`
	Name  string            `json:"name"`            // one name is one daemon in the run
	Args  []string          `json:"args"`            // of ainur; {dir} is the daemon's folder, which is Name in that of the run
	Env   []string          `json:"env,omitempty"`   // KEY=value
	Files map[string][]byte `json:"files,omitempty"` // in its folder
	Lease time.Duration     `json:"lease,omitempty"` // it is ended when nobody followed it for so long; 0 = never
	Grace time.Duration     `json:"grace,omitempty"` // to clean up when it is asked to end; 0 = StopGrace
}

// Clock is how far the clocks of a host are ahead of those here.
type Clock struct {
	Ahead     time.Duration // the wall clock
	Monotonic time.Duration // CLOCK_MONOTONIC, which of another boot began at another time
	Within    time.Duration // the error of both: half of the shortest of several round trips
}

// Ready is the first line that a daemon prints on its standard output: it serves.
type Ready struct {
	Address string `json:"address"`        // host:port of its gRPC server
	HTTP    string `json:"http,omitempty"` // host:port of a balancer's HTTP front
}

// Exit is how a daemon ended.
type Exit struct {
	Status    int    `json:"status"`
	Signal    string `json:"signal,omitempty"`     // "" or a name such as "killed"
	LastWords string `json:"last_words,omitempty"` // the end of its standard error, where it ended badly
	Forced    bool   `json:"forced,omitempty"`     // it did not end when it was asked to
	Lost      bool   `json:"lost,omitempty"`       // its supervisor ended before it; nothing else is known
}

// Err is nil where the daemon ended well.
func (e Exit) Err() error {
	var err error
	switch {
	case e.Lost:
		err = errors.New("lost with its supervisor")
	case e.Forced:
		err = errors.New("did not stop when it was asked to, and was killed")
	case e.Signal != "":
		err = errors.New("signal: " + e.Signal)
	case e.Status != 0:
		err = fmt.Errorf("exit status %d", e.Status)
	default:
		return nil
	}
	if e.LastWords != "" {
		err = fmt.Errorf("%w\n%s", err, e.LastWords)
	}
	return err
}

// How is what happened, in a few words.
func (e Exit) How() string {
	e.LastWords = ""
	if err := e.Err(); err != nil {
		return err.Error()
	}
	return "exit status 0"
}

// File is one file of a run.
type File struct {
	Path   string // from the folder of the run, with slashes
	Size   int64  // bytes
	SHA256 string // hex
}

// Config is how a supervisor is set up, the file that `ainur supervise` reads.
type Config struct {
	Deployment string `json:"deployment"`
	Dir        string `json:"dir"`              // for runs
	Cache      string `json:"cache,omitempty"`  // AINUR_CACHE of the daemons: images and what was compiled; "" is as they have it by default
	Socket     string `json:"socket"`           // of its own host, for root alone
	Listen     string `json:"listen,omitempty"` // host:port for other hosts, "" is not at all; takes TLS
	TLS        string `json:"tls,omitempty"`    // folder of ca.pem, cert.pem and key.pem
}

// Description is what a supervisor says of itself.
type Description struct {
	Deployment       string    `json:"deployment"`
	ExecutableSHA256 string    `json:"executable_sha256"`
	ConfigSHA256     string    `json:"config_sha256"`
	PID              int       `json:"pid"`
	BootID           string    `json:"boot_id"`
	Address          string    `json:"address,omitempty"` // where other hosts reach it
	Time             time.Time `json:"time"`              // of its clock
	Runs             []Run     `json:"runs,omitempty"`
}

// Run is what is on a host of a run.
type Run struct {
	ID      string   `json:"id"`
	Daemons []Status `json:"daemons,omitempty"` // by name
}

// Status is how a daemon stands.
type Status struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Lines int    `json:"lines"` // on its standard output until now
	Exit  *Exit  `json:"exit,omitempty"`
}
