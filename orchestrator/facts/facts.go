// Package facts reads what hosts are, each in one round trip.
package facts

import (
	"bufio"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

//go:embed gather.sh
var gather string

// Query is what is asked of a host beside what it is.
type Query struct {
	Deployment string
	Program    string   // folder of the deployment's programs
	Home       string   // folder of the deployment's state
	Exists     []string // paths to look for, without spaces
	Programs   []string // to look for
	Packages   []string // to look for
	Files      []string // whose text is wanted, in lines
	Full       bool     // also versions of programs, and what listens
}

// Host is what a host said.
type Host struct {
	spec.Facts
	Systemd   bool              `json:"systemd,omitempty"` // it is process 1
	Files     map[string]string `json:"-"`                 // by path, those that there are and that are not empty
	Exists    []string          `json:"-"`                 // of the query
	Programs  map[string]string `json:"programs,omitempty"`
	Packages  []string          `json:"-"`                     // of the query, which are installed
	Binary    string            `json:"-"`                     // SHA-256 of the program, hex; "" where there is none, or Unchanged
	Unchanged bool              `json:"-"`                     // the program is as its manifest says
	Stat      string            `json:"-"`                     // of the program: size, inode, times
	Processes []Process         `json:"-"`                     // of programs of the deployment
	FreeKiB   []int64           `json:"free_kib,omitempty"`    // of the file systems of Program and Home
	Users     []string          `json:"users,omitempty"`       // who is logged in
	Versions  map[string]string `json:"versions,omitempty"`    // of a full query
	Listening []string          `json:"listening,omitempty"`   // of a full query: address:port
	Holder    string            `json:"holder,omitempty"`      // who has the lock of the deployment, when nobody asked for it
	LockFile  string            `json:"-"`                     // of the Holder
	NoLock    string            `json:"no_lock,omitempty"`     // why there can be no lock
	Offset    time.Duration     `json:"clock_offset_ns"`       // its clock is so much ahead of this one
	OffsetErr time.Duration     `json:"clock_offset_error_ns"` // give or take
}

// Process is one on a host.
type Process struct {
	PID     int
	Started uint64 // since boot, in clock ticks
}

// Has reports whether a path of the query is there.
func (h *Host) Has(path string) bool { return slices.Contains(h.Exists, path) }

// command is the script for a query. The owner, if there is one, takes the lock.
func (q Query) command(marker, owner string) remote.Command {
	full := ""
	if q.Full {
		full = "full"
	}
	args := []string{
		"sh", "-s", "--", marker, owner, q.Deployment, q.Program, q.Home,
		strings.Join(slices.Concat(q.Exists, resource.CgroupPaths), " "), strings.Join(q.Programs, " "), strings.Join(q.Packages, " "), full,
	}
	return remote.Command{Root: true, Args: slices.Concat(args, resource.FactsPaths, []string{"/proc/self/mountinfo"}, q.Files)}
}

// newMarker is what no banner of a host says.
func newMarker() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // it does not fail
	return "ainur-" + hex.EncodeToString(b)
}

// Runner runs commands on a host: a remote.Conn does.
type Runner interface {
	Run(ctx context.Context, c remote.Command) error
}

// Read asks a host.
func Read(ctx context.Context, conn Runner, q Query) (*Host, error) {
	marker := newMarker()
	c := q.command(marker, "")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var said strings.Builder
	c.Stdin, c.Stdout = strings.NewReader(gather), &atMost{&said, mostSaid, cancel}
	if err := conn.Run(ctx, c); err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	h := &Host{}
	ended, err := h.read(strings.NewReader(said.String()), marker, nil)
	if err == nil && !ended {
		err = fmt.Errorf("read facts: the host said only %q", said.String())
	}
	return h, err
}

// mostSaid bounds what a host says of itself, in bytes.
const mostSaid = 16 << 20

// atMost passes on so many bytes, and has who says more ended.
type atMost struct {
	to   io.Writer
	left int
	end  func(error)
}

func (a *atMost) Write(b []byte) (int, error) {
	if a.left -= len(b); a.left < 0 {
		err := fmt.Errorf("the host says more than %d MiB of itself", mostSaid>>20)
		a.end(err)
		return 0, err
	}
	return a.to.Write(b)
}

// read takes the lines of the script until its end, and calls busy when another
// holds the lock.
func (h *Host) read(from io.Reader, marker string, busy func(holder string)) (ended bool, err error) {
	h.Files, h.Programs, h.Versions = map[string]string{}, map[string]string{}, map[string]string{}
	lines, ok := from.(*bufio.Reader)
	if !ok {
		lines = bufio.NewReader(from)
	}
	var files []string
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		said, ours := strings.CutPrefix(strings.TrimSuffix(line, "\n"), marker+" ")
		if !ours {
			continue // a banner
		}
		word, value, _ := strings.Cut(said, " ")
		switch word {
		case "busy":
			if busy != nil {
				busy(value)
			}
		case "file":
			files = append(files, value)
		case "end":
			h.files(files)
			h.complete()
			return true, nil
		default:
			if err := h.word(word, value); err != nil {
				return false, fmt.Errorf("the host said %q: %w", said, err)
			}
		}
	}
}

// architectures as Go names them, by what uname says.
var architectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

// word takes one of the words of the script.
func (h *Host) word(word, value string) (err error) {
	name, rest, _ := strings.Cut(value, " ")
	switch word {
	case "machine":
		if h.Arch = architectures[value]; h.Arch == "" {
			h.Arch = value
		}
	case "uid":
		h.UID, err = strconv.Atoi(value)
	case "cores":
		h.LogicalCores, err = strconv.Atoi(value)
	case "systemd":
		h.Systemd = true
	case "exists":
		h.Exists = append(h.Exists, value)
	case "program":
		h.Programs[name] = rest
	case "package":
		h.Packages = append(h.Packages, rest)
	case "stat":
		h.Stat = value
	case "sha256":
		h.Binary = value
	case "unchanged":
		h.Unchanged = true
	case "process":
		p := Process{}
		if p.PID, p.Started = stat(value); p.Started > 0 {
			h.Processes = append(h.Processes, p)
		}
	case "free":
		if fields := strings.Fields(value); len(fields) > 3 {
			var free int64
			free, err = strconv.ParseInt(fields[len(fields)-3], 10, 64)
			h.FreeKiB = append(h.FreeKiB, free)
		}
	case "user":
		h.Users = append(h.Users, value)
	case "version":
		h.Versions[name] = rest
	case "listens":
		if fields := strings.Fields(value); len(fields) > 1 {
			if at := listener(fields[1]); !slices.Contains(h.Listening, at) {
				h.Listening = append(h.Listening, at)
			}
		}
	case "lock":
		h.LockFile, h.Holder = name, rest
	case "nolock":
		h.NoLock = value
	}
	return err
}

// stat is the number and the start of a process from the text of its stat; the
// start is 0 where it has ended.
func stat(text string) (pid int, started uint64) {
	number, _, _ := strings.Cut(text, " ")
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	pid, err := strconv.Atoi(number)
	if err != nil || len(fields) < 20 || fields[0] == "Z" {
		return 0, 0
	}
	started, _ = strconv.ParseUint(fields[19], 10, 64) // 0 where it is no number
	return pid, started
}

// files takes lines of a file each, with the path before it.
func (h *Host) files(lines []string) {
	texts := map[string]*strings.Builder{}
	for _, line := range lines {
		path, text, _ := strings.Cut(line, ":")
		if texts[path] == nil {
			texts[path] = &strings.Builder{}
		}
		texts[path].WriteString(text + "\n")
	}
	for path, text := range texts {
		h.Files[path] = text.String()
	}
}

// complete fills in the facts that files tell.
func (h *Host) complete() {
	known := h.Facts
	h.Facts = resource.FactsOf(resource.Files{Read: func(path string) []byte { return []byte(h.Files[path]) }, Exists: h.Has})
	h.Arch, h.UID, h.LogicalCores, h.GoVersion = known.Arch, known.UID, known.LogicalCores, runtime.Version()
}

// listener is an address of /proc/net/tcp: hex, each four bytes in the order of the host.
func listener(text string) string {
	address, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(address)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return text
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	return fmt.Sprintf("%s:%d", ip(b), number)
}
