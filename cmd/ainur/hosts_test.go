package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/internal/digest"
	"github.com/ainur-faas/ainur/orchestrator/deploy"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
)

// onHosts is a lab with an experiment on it, and what its hosts were like.
type onHosts struct {
	*testing.T
	lab    *labs.Lab
	dir    string   // of the experiment
	flags  []string // of every verb about the experiment
	before map[string]state
}

// newHosts makes a lab, in which onLab is about the cluster "lab".
func newHosts(t *testing.T, o labs.Options) *onHosts {
	t.Helper()
	testenv.Require(t, testenv.Root)
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		t.Skipf("needs sshd: %v", err)
	}
	parent, err := os.MkdirTemp("", "ainur-up-")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = filepath.Join(parent, "lab")
	l, err := labs.Up(t.Context(), o)
	if err != nil {
		t.Fatal(errors.Join(err, os.Remove(parent)))
	}
	t.Cleanup(func() {
		if err := errors.Join(labs.Remove(o.Dir), os.Remove(parent)); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("AINUR_DATA_DIR", t.TempDir())
	t.Setenv("AINUR_STATE_DIR", t.TempDir())
	t.Setenv("AINUR_CACHE", t.TempDir())
	s := &onHosts{T: t, lab: l, dir: t.TempDir(), before: map[string]state{}}
	t.Setenv("AINUR_RESULTS", filepath.Join(s.dir, "results"))
	fragment, err := os.ReadFile(l.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cluster.ainur.hcl", string(fragment))
	s.write("main.ainur.hcl", onLab)
	s.remember()
	return s
}

// remember takes the hosts as they are for what they were.
func (s *onHosts) remember() {
	s.Helper()
	for _, h := range s.lab.Hosts {
		s.before[h.Name] = s.state(h)
	}
}

func (s *onHosts) write(name, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// edit replaces texts in the experiment by others, in pairs.
func (s *onHosts) edit(pairs ...string) {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "main.ainur.hcl"))
	if err != nil {
		s.Fatal(err)
	}
	for pair := range slices.Chunk(pairs, 2) {
		if !bytes.Contains(text, []byte(pair[0])) {
			s.Fatalf("the experiment has no %q", pair[0])
		}
		text = bytes.ReplaceAll(text, []byte(pair[0]), []byte(pair[1]))
	}
	s.write("main.ainur.hcl", string(text))
}

// command is a verb on the experiment, as a process of its own.
func (s *onHosts) command(verb string, flags ...string) *exec.Cmd {
	return exec.Command("ainur", slices.Concat([]string{verb, s.dir}, s.flags, flags)...)
}

// ainur runs a verb on the experiment and returns what it printed.
func (s *onHosts) ainur(want int, verb string, flags ...string) (stdout, stderr string) {
	s.Helper()
	var out, said bytes.Buffer
	args := slices.Concat([]string{verb, s.dir}, s.flags, flags)
	if got := run(s.Context(), args, &out, &said); got != want {
		s.Fatalf("ainur %s exits with %d, want %d:\n%s%s", strings.Join(args, " "), got, want, &said, &out)
	}
	return out.String(), said.String()
}

// outcomes runs a verb and returns what it says of the hosts.
func (s *onHosts) outcomes(verb string, flags ...string) []deploy.Outcome {
	s.Helper()
	stdout, _ := s.ainur(0, verb, append(flags, "-o", "json")...)
	var said struct {
		Data struct{ Hosts []deploy.Outcome }
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		s.Fatal(err)
	}
	if len(said.Data.Hosts) != len(s.lab.Hosts) {
		s.Fatalf("%s is about %d hosts, want %d", verb, len(said.Data.Hosts), len(s.lab.Hosts))
	}
	return said.Data.Hosts
}

// inside runs a script on a host.
func (s *onHosts) inside(h *labs.Host, script string) string {
	s.Helper()
	out, err := exec.Command("nsenter", "--target", strconv.Itoa(h.PID), "--net", "--mount", "--pid", "sh", "-c", script).CombinedOutput()
	if err != nil {
		s.Fatalf("on %s: %s: %v\n%s", h.Name, script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// state is what must be the same again after destroy.
type state struct {
	Changes   []labs.Change
	Files     map[string]string // mode, owner, size and SHA-256 by path, where written says
	Processes []string          // number, start, arguments
	Spaces    []string          // namespaces of processes
	Cgroups   []string
	Mounts    string
	Network   string // links, routes and addresses
	Sysctls   []string
	Daemon    string // what containerd has, where it runs
}

// written are where things may be that Changes does not see for what they are: users, units,
// and what daemons have of ours.
var written = []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/systemd", "/opt/ainur", "/root", "/home", "/run", "/tmp", "/var/tmp", "/var/log", "/var/lib/ainur", "/var/lib/containerd"}

// sysctls are the settings of the kernel, but for those that count something.
const sysctls = `cd /proc/sys && find net vm kernel -type f ! -path 'kernel/random/*' ! -name ns_last_pid ! -name nr ! -name '*_count' -exec grep -sH '' {} + || true`

// daemon is what containerd has.
const daemon = `test -S /run/containerd/containerd.sock || exit 0
for space in $(ctr namespaces ls -q); do
	echo "namespace $space"
	for what in containers images leases content; do ctr -n "$space" $what ls -q | sed "s/^/$what /"; done
	ctr -n "$space" snapshots ls
done`

func (s *onHosts) state(h *labs.Host) (now state) {
	s.Helper()
	var err error
	if now.Changes, err = s.lab.Changes(h.Name); err != nil {
		s.Fatal(err)
	}
	root := filepath.Join("/proc", strconv.Itoa(h.PID), "root")
	now.Files = map[string]string{}
	for _, folder := range written {
		s.files(root, folder, now.Files)
	}
	now.Cgroups = strings.Split(s.inside(h, "find /sys/fs/cgroup -type d | sort"), "\n")
	for _, f := range []struct {
		name string
		to   *string
	}{{"mountinfo", &now.Mounts}, {"net/dev", &now.Network}, {"net/route", &now.Network}, {"net/fib_trie", &now.Network}} {
		text, err := os.ReadFile(filepath.Join(root, "proc/1", f.name))
		if err != nil {
			s.Fatal(err)
		}
		*f.to += counters.ReplaceAllString(string(text), "$1")
	}
	now.Sysctls = strings.Split(s.inside(h, sysctls), "\n")
	slices.Sort(now.Sysctls)
	now.Daemon = s.inside(h, daemon)
	now.Processes, now.Spaces = s.processes(h)
	return now
}

// counters are those of a link.
var counters = regexp.MustCompile(`(?m)^( *[a-z0-9]+:) .*$`)

// files describes those in a folder of a host. What a daemon has written of its own
// into its database is not looked at.
func (s *onHosts) files(root, folder string, all map[string]string) {
	s.Helper()
	err := filepath.WalkDir(root+folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%v %d:%d", info.Mode(), owner.Uid, owner.Gid)
		switch {
		case strings.HasSuffix(path, ".db"):
		case info.Mode().IsRegular():
			sum, err := digest.File(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d %s", info.Size(), sum)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + to
		}
		all[strings.TrimPrefix(path, root)] = text
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// processes are those of a host, and their namespaces, but for connections that end:
// sshd takes its time to see that.
func (s *onHosts) processes(h *labs.Host) (all, spaces []string) {
	s.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(h.PID), "root", "proc")
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		processes, err := s.lab.Processes(h.Name)
		if err != nil {
			s.Fatal(err)
		}
		if time.Since(began) < 10*time.Second && slices.ContainsFunc(processes, func(p labs.Process) bool { return strings.HasPrefix(p.Args[0], "sshd: root") }) {
			continue
		}
		for _, p := range processes {
			stat, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(p.PID), "stat"))
			if err != nil {
				continue // it has ended
			}
			fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
			all = append(all, fmt.Sprintf("%d %s %s", p.PID, fields[19], strings.Join(p.Args, " ")))
			links, err := filepath.Glob(filepath.Join(proc, strconv.Itoa(p.PID), "ns", "*"))
			if err != nil {
				s.Fatal(err)
			}
			for _, link := range links {
				if space, err := os.Readlink(link); err == nil {
					spaces = append(spaces, space)
				}
			}
		}
		slices.Sort(spaces)
		return all, slices.Compact(spaces)
	}
}

// unchanged checks that the hosts are as they were.
func (s *onHosts) unchanged() {
	s.Helper()
	for _, h := range s.lab.Hosts {
		diff := cmp.Diff(s.before[h.Name], s.state(h))
		for range 100 { // what a killed destroy had a host remove may take its time to end
			if diff == "" {
				break
			}
			time.Sleep(100 * time.Millisecond)
			diff = cmp.Diff(s.before[h.Name], s.state(h))
		}
		if diff != "" {
			s.Errorf("%s is not as it was (-was +is):\n%s", h.Name, diff)
		}
	}
}
