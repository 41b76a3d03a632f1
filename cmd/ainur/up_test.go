package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	labs "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

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

// TestNoPlace has no place for the program: nothing is sent.
func TestNoPlace(t *testing.T) {
	s := newHosts(t, labs.Options{Hosts: 2})
	for i, options := range []string{"noexec", "size=4m"} {
		s.inside(s.lab.Hosts[i], "mkdir /opt/place && mount -t tmpfs -o "+options+" place /opt/place")
	}
	s.remember()
	fragment, err := os.ReadFile(s.lab.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cluster.ainur.hcl", strings.Replace(string(fragment), "  install {", "  install {\n    prefix = \"/opt/place\"", 1))
	_, said := s.ainur(exitFailed, "up", "--yes", "--keep-going")
	for _, want := range []string{"host n1: push: /opt/place is on a file system from which nothing can be executed (noexec): give another install.prefix", "host n2: push: 4 MiB are free in /opt/place"} {
		if !strings.Contains(said, want) {
			t.Errorf("up does not say %q:\n%s", want, said)
		}
	}
	s.unchanged()
}
