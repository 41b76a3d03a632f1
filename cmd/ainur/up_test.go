package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/orchestrator/deploy"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// onHosts is a lab with an experiment on it, and what its hosts were like.
type onHosts struct {
	*testing.T
	lab    *labs.Lab
	dir    string // of the experiment
	before map[string]state
}

// state is what must be the same again after destroy.
type state struct {
	Changes   []labs.Change
	Processes []string
	Mounts    string
	Links     string
	Sysctl    string
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
	s := &onHosts{T: t, lab: l, dir: t.TempDir(), before: map[string]state{}}
	fragment, err := os.ReadFile(l.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cluster.ainur.hcl", string(fragment))
	s.write("main.ainur.hcl", onLab)
	for _, h := range l.Hosts {
		s.before[h.Name] = s.state(h)
	}
	return s
}

func (s *onHosts) write(name, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// ainur runs a verb on the experiment and returns what it printed.
func (s *onHosts) ainur(want int, verb string, flags ...string) (stdout, stderr string) {
	s.Helper()
	var out, said bytes.Buffer
	args := append([]string{verb, s.dir}, flags...)
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

func (s *onHosts) state(h *labs.Host) state {
	s.Helper()
	changes, err := s.lab.Changes(h.Name)
	if err != nil {
		s.Fatal(err)
	}
	processes, err := s.lab.Processes(h.Name)
	if err != nil {
		s.Fatal(err)
	}
	now := state{Changes: changes}
	for _, p := range processes {
		if !strings.HasPrefix(p.Args[0], "sshd: root") { // of a connection that ends
			now.Processes = append(now.Processes, strings.Join(p.Args, " "))
		}
	}
	root := filepath.Join("/proc", strconv.Itoa(h.PID), "root")
	for path, to := range map[string]*string{"/proc/1/mountinfo": &now.Mounts, "/proc/1/net/dev": &now.Links} {
		text, err := os.ReadFile(root + path)
		if err != nil {
			s.Fatal(err)
		}
		*to = string(text)
	}
	now.Links = counters(now.Links)
	now.Sysctl = s.sysctl(h)
	return now
}

// sysctl is the settings of a host's network.
func (s *onHosts) sysctl(h *labs.Host) string {
	s.Helper()
	out, err := exec.Command("nsenter", "--target", strconv.Itoa(h.PID), "--net", "--mount", "cat", "/proc/sys/net/core/somaxconn", "/proc/sys/net/ipv4/ip_local_port_range").Output()
	if err != nil {
		s.Fatal(err)
	}
	return string(out)
}

// counters leaves the names alone of /proc/net/dev.
func counters(text string) string {
	var names []string
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// unchanged checks that the hosts are as they were.
func (s *onHosts) unchanged() {
	s.Helper()
	for _, h := range s.lab.Hosts {
		if diff := cmp.Diff(s.before[h.Name], s.state(h)); diff != "" {
			s.Errorf("%s is not as it was (-was +is):\n%s", h.Name, diff)
		}
	}
}

// TestUp sets hosts up, sets them up again, and removes all.
func TestUp(t *testing.T) {
	s := newHosts(t, labs.Options{})
	pids := map[string]int{}
	for _, o := range s.outcomes("up", "--yes") {
		if o.Supervisor == nil || o.Supervisor.PID == 0 || len(o.Changes) < 4 {
			t.Errorf("%s: %+v", o.Host, o)
			continue
		}
		pids[o.Host] = o.Supervisor.PID
	}
	for _, o := range s.outcomes("up") { // nobody is asked for nothing
		if len(o.Changes) > 0 || o.Supervisor == nil || o.Supervisor.PID != pids[o.Host] {
			t.Errorf("again on %s: %+v", o.Host, o)
		}
	}
	for _, o := range s.outcomes("destroy", "--yes") {
		if len(o.Left) > 0 || !slices.ContainsFunc(o.Changes, func(c setup.Change) bool { return c.Kind == setup.Remove }) {
			t.Errorf("destroy on %s: %+v", o.Host, o)
		}
	}
	s.unchanged()
	for _, o := range s.outcomes("destroy") {
		if len(o.Changes) > 0 {
			t.Errorf("destroy again on %s: %+v", o.Host, o)
		}
	}
	s.unchanged()
}

// TestUpKilled kills up and destroy at moments of chance. The same again completes,
// and nothing is there twice, nor left.
func TestUpKilled(t *testing.T) {
	s := newHosts(t, labs.Options{Hosts: 2})
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("AINUR_TEST_KILLS")); err == nil {
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	for n := range kills {
		verb := []string{"up", "destroy"}[n/2%2]
		began := time.Now()
		s.killed(verb, time.Duration(moments.Int64N(int64(700*time.Millisecond))), moments.IntN(2) == 0)
		t.Logf("%s was killed after %v", verb, time.Since(began))
		for _, o := range s.outcomes([]string{"up", "destroy"}[n%2], "--yes") {
			if len(o.Left) > 0 {
				t.Errorf("left on %s: %v", o.Host, o.Left)
			}
		}
		if n%2 == 1 {
			s.unchanged()
			continue
		}
		for _, h := range s.lab.Hosts {
			if got := s.supervisors(h); got != 1 {
				t.Errorf("%s has %d supervisors", h.Name, got)
			}
		}
	}
	s.outcomes("destroy", "--yes")
	s.unchanged()
}

// killed runs a verb and kills it after a while, there also what it does on the hosts.
func (s *onHosts) killed(verb string, after time.Duration, there bool) {
	s.Helper()
	cmd := exec.Command("ainur", verb, s.dir, "--yes")
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	time.Sleep(after)
	for _, h := range s.lab.Hosts {
		if there {
			_ = exec.Command("nsenter", "--target", strconv.Itoa(h.PID), "--pid", "--mount", "pkill", "-KILL", "-f", "ainur setup -|sh -s|ainur-push").Run() // it may have ended
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()         // it was killed
}

// supervisors is how many run on a host.
func (s *onHosts) supervisors(h *labs.Host) (n int) {
	s.Helper()
	processes, err := s.lab.Processes(h.Name)
	if err != nil {
		s.Fatal(err)
	}
	for _, p := range processes {
		if slices.Contains(p.Args, "supervise") {
			n++
		}
	}
	return n
}
