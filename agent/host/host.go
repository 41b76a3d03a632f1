// Package host finds and removes what ainur has made on this host.
package host

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/network"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
)

// Sockets are those of the daemons that may have containers of ours. Where nothing
// is at the path there is no daemon.
type Sockets struct{ Containerd, Docker string }

// DefaultSockets are where daemons listen.
var DefaultSockets = Sockets{containerd.DefaultSocket, docker.DefaultSocket}

const cgroups = "/sys/fs/cgroup"

// List is all that is ours on this host, of every run. What cannot be looked at is
// in err, beside what was found.
func List(ctx context.Context, s Sockets) (found []sandbox.Thing, err error) {
	var errs []error
	add := func(things []sandbox.Thing, err error) {
		found = append(found, things...)
		errs = append(errs, err)
	}
	add(process.List(), nil)
	if there(s.Containerd) {
		add(containerd.List(ctx, s.Containerd))
	}
	if there(s.Docker) {
		add(docker.List(ctx, s.Docker))
	}
	runs := resource.Runs(cgroups)
	for dir, run := range runs {
		found = append(found, sandbox.Thing{What: "cgroup " + dir, Run: run})
	}
	if os.Getuid() == 0 { // others make no networks
		add(network.List(""))
	}
	slices.SortStableFunc(found, func(a, b sandbox.Thing) int { return strings.Compare(a.Run, b.Run) })
	return found, errors.Join(errs...)
}

func there(socket string) bool {
	info, err := os.Stat(socket)
	return err == nil && info.Mode()&fs.ModeSocket != 0
}

// Sweep removes all that is ours of runs that are not to be kept, and names it.
// The agents of those runs must be dead.
func Sweep(ctx context.Context, s Sockets, keep func(run string) bool) (removed []string, err error) {
	var errs []error
	add := func(names []string, err error) {
		removed = append(removed, names...)
		errs = append(errs, err)
	}
	add(resource.Sweep(cgroups, keep)) // with what runs in them, also what is frozen: daemons only find it gone
	add(process.Sweep(keep))
	if there(s.Containerd) {
		add(containerd.Sweep(ctx, s.Containerd, keep))
	}
	if there(s.Docker) {
		add(docker.Sweep(ctx, s.Docker, keep))
	}
	if os.Getuid() == 0 {
		add(network.Sweep("", keep))
	}
	return removed, errors.Join(errs...)
}

// madeBy is the process id in the id of a run that is no experiment's.
var madeBy = regexp.MustCompile(`^[a-z]+-([0-9]+)(-|$)`)

// Alive reports for a run whether its agents live: an ainur agent has it among its
// arguments, or the process lives that its id names.
func Alive() func(run string) bool {
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		panic("host: the pattern is ours: " + err.Error())
	}
	agents := map[string]bool{}
	for _, path := range cmdlines {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		args := strings.Split(string(bytes.TrimRight(b, "\x00")), "\x00")
		if !slices.Contains(args, "agent") {
			continue
		}
		for i, arg := range args {
			if run, ok := strings.CutPrefix(arg, "--run="); ok {
				agents[run] = true
			} else if arg == "--run" && i+1 < len(args) {
				agents[args[i+1]] = true
			}
		}
	}
	return func(run string) bool {
		if m := madeBy.FindStringSubmatch(run); m != nil {
			pid, err := strconv.Atoi(m[1])
			return err == nil && syscall.Kill(pid, 0) == nil
		}
		return agents[run]
	}
}
