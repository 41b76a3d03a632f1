package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/deploy"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

func TestLimit(t *testing.T) {
	hosts := []spec.Host{
		{Name: "ctl", Roles: []string{"balancer", "load"}},
		{Name: "w1", Roles: []string{"worker"}},
		{Name: "w2", Roles: []string{"worker"}},
		{Name: "w10", Roles: []string{"worker", "big"}},
	}
	for pattern, want := range map[string]string{
		"": "ctl w1 w2 w10", "w1": "w1", "w?": "w1 w2", "w*": "w1 w2 w10", "@worker": "w1 w2 w10", "~^w1": "w1 w10", "ctl:w2": "ctl w2",
		"@worker:&@big": "w10", "@worker:!w1": "w2 w10", "!@worker": "ctl", "w2:ctl": "ctl w2",
		"w3":        `"w3" fits no host; did you mean w1 or w2 or w10?`,
		"@wrker":    `"@wrker" fits no host; did you mean @worker?`,
		"zzz":       `"zzz" fits no host; there are @balancer, @big, @load, @worker, ctl, w1, w10, w2`,
		"w1:&ctl":   `"w1:&ctl" leaves no host`,
		"~(":        "\"~(\": error parsing regexp: missing closing ): `(`",
		"ctl:![a-c": `"[a-c": syntax error in pattern`,
	} {
		got, err := limit(hosts, pattern)
		var names []string
		for _, h := range got {
			names = append(names, h.Name)
		}
		said := strings.Join(names, " ")
		if err != nil {
			said = err.Error()
		}
		if said != want {
			t.Errorf("%q: %s, want %s", pattern, said, want)
		}
	}
}

// TestTestbed is what verbs say of hosts, one after the other.
func TestTestbed(t *testing.T) {
	s := newHosts(t, labs.Options{Hosts: 2})
	fragment, err := os.ReadFile(s.lab.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cluster.ainur.hcl", strings.Replace(string(fragment), "  install {", `  tune {
    governor = "of-the-test"
  }
  require "memory" {
    that  = self.hosts[0].facts.memory.total > 0 && self.clock_skew_max < 60
    error = "it has none"
  }
  install {`, 1))
	file := filepath.Join(t.TempDir(), "plan")
	s.ainur(0, "plan", "--offline", "--detailed-exitcode")
	out, _ := s.ainur(exitChanges, "plan", "--detailed-exitcode", "--out", file)
	for _, want := range []string{"+ ainur dev", "not installed", "net.core.somaxconn 4096 -> 65535", "! tune.governor", "experiment.e", "to add"} {
		if !strings.Contains(out, want) {
			t.Errorf("plan does not say %q:\n%s", want, out)
		}
	}
	s.unchanged() // by plan
	up := func(want int) {
		t.Helper()
		var stdout, stderr strings.Builder
		if got := run(t.Context(), []string{"up", file}, &stdout, &stderr); got != want {
			t.Errorf("up of a plan exits with %d, want %d:\n%s", got, want, &stderr)
		}
	}
	up(0)
	up(exitFailed) // it is stale
	s.ainur(0, "plan", "--detailed-exitcode")
	s.ainur(exitUsage, "up", "--limit", "n7")
	if o := s.limited("up", "n2"); len(o) != 1 || o[0].Host != "n2" || len(o[0].Changes) > 0 {
		t.Errorf("up of n2: %+v", o)
	}
	for _, h := range s.lab.Hosts {
		if got := s.inside(h, `grep -rl "PRIVATE[ ]KEY" /var/lib/ainur /run /tmp /var/log 2>/dev/null; ps axeww | grep "PRIVATE[ ]KEY" || true`); got != "/run/ainur/lab/tls/key.pem" {
			t.Errorf("private keys on %s: %s", h.Name, got)
		}
	}
	if saved, err := os.ReadFile(file); err != nil || strings.Contains(string(saved), "PRIVATE") {
		t.Errorf("the plan has a key, %v", err)
	}
	if out, _ := s.ainur(0, "facts", "-o", "json"); !strings.Contains(out, `"kernel"`) || !strings.Contains(out, `"listening"`) {
		t.Errorf("facts: %s", out)
	}
	s.ainur(0, "lock")
	s.held(func() {
		if out, _ := s.ainur(exitLocked, "lock"); !strings.Contains(out, "(pid ") {
			t.Errorf("lock says %s", out)
		}
		_, said := s.ainur(exitLocked, "up", "--lock-timeout", "100ms")
		if !strings.Contains(said, "the lock is held") || !strings.Contains(said, " since ") {
			t.Errorf("up says %s", said)
		}
	})
	s.outcomes("destroy", "--yes")
	s.unchanged()
}

// limited is the outcomes of a verb on some of the hosts.
func (s *onHosts) limited(verb, limit string) []deploy.Outcome {
	s.Helper()
	stdout, _ := s.ainur(0, verb, "--limit", limit, "-o", "json")
	var said struct {
		Data struct{ Hosts []deploy.Outcome }
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		s.Fatal(err)
	}
	return said.Data.Hosts
}

// held does something while another has the lock of the hosts.
func (s *onHosts) held(do func()) {
	s.Helper()
	c := &cli{stdout: s.Output(), stderr: s.Output(), color: "never"}
	b, err := c.openTestbed(context.Background(), []string{s.dir}, &clusterFlags{lockWait: time.Second}, true)
	if err != nil {
		s.Fatal(err)
	}
	do()
	if err := b.Close(); err != nil {
		s.Error(err)
	}
}

// systemctl stands for the one of a host that systemd does not run on.
const systemctl = `#!/bin/sh
unit=/run/systemd/system/$2
case $1 in
start)
	(
		exec </dev/null >/dev/null 2>&1
		eval "exec setsid $(sed -n 's/^ExecStart=//p' "$unit")"
	) &
	echo $! >/run/fake.pid
	;;
stop) kill "$(cat /run/fake.pid)"; while kill -0 "$(cat /run/fake.pid)" 2>/dev/null; do sleep 0.02; done; rm /run/fake.pid ;;
daemon-reload) ;;
*) exit 3 ;;
esac
`

// TestUpSystemd sets a host up on which systemd starts the supervisor.
func TestUpSystemd(t *testing.T) {
	s := newHosts(t, labs.Options{Hosts: 1})
	h := s.lab.Hosts[0]
	s.inside(h, "mkdir -p /run/systemd/system && cat >/usr/local/bin/systemctl <<'END'\n"+systemctl+"END\nchmod +x /usr/local/bin/systemctl")
	s.remember()
	fragment, err := os.ReadFile(s.lab.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cluster.ainur.hcl", strings.Replace(string(fragment), `via = "process"`, `via = "auto"`, 1))
	s.write("main.ainur.hcl", strings.ReplaceAll(onLab, "n2", "n1"))
	first := s.outcomes("up", "--yes")[0]
	if !slices.ContainsFunc(first.Changes, func(c setup.Change) bool { return strings.HasPrefix(c.What, "unit ainur-lab") }) {
		t.Errorf("up: %+v", first.Changes)
	}
	again := s.outcomes("up")[0]
	if diff := cmp.Diff(first.Supervisor, again.Supervisor); diff != "" || len(again.Changes) > 0 {
		t.Errorf("up again: %+v\n%s", again.Changes, diff)
	}
	s.outcomes("destroy", "--yes")
	s.unchanged()
}

// TestCopies copies to hosts and back, and shows that OpenSSH takes what ssh-config prints.
func TestCopies(t *testing.T) {
	s := newHosts(t, labs.Options{Hosts: 2, Bastion: true})
	t.Chdir(s.dir)
	s.write("x", "content\n")
	verb := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr strings.Builder
		if got := run(t.Context(), args, &stdout, &stderr); got != want {
			t.Errorf("ainur %s exits with %d, want %d:\n%s", strings.Join(args, " "), got, want, &stderr)
		}
		return stdout.String()
	}
	verb(0, "cp", "x", "/tmp/there")
	verb(0, "cp", ":/tmp/there/x", "back", "--limit", "n2")
	if got, err := os.ReadFile("back/n2-x"); err != nil || string(got) != "content\n" {
		t.Errorf("came back: %q, %v", got, err)
	}
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skipf("needs ssh: %v", err)
	}
	if got := verb(0, "ssh", "n1", "--", "hostname"); got != "n1\n" {
		t.Errorf("the host is called %q", got)
	}
	verb(3, "ssh", "n1", "--", "exit", "3")
	verb(exitUsage, "ssh", "n*")
}
