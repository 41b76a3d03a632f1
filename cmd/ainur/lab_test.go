package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/agent/testenv"
	labs "github.com/ainur-faas/ainur/orchestrator/lab"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]uint64{"10mbit": 10e6, "1.5gbit": 15e8, "800kbit": 8e5, "9600bit": 9600, "10": 0, "mbit": 0, "-1mbit": 0, "1e99gbit": 0, "NaNbit": 0} {
		if got, err := parseRate(text); got != want || (err != nil) != (want == 0) {
			t.Errorf("%s is %d bit/s, error %v, want %d", text, got, err, want)
		}
	}
}

// TestLab makes a lab, validates an experiment on its hosts, and removes it.
func TestLab(t *testing.T) {
	testenv.Require(t, testenv.Root)
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		t.Skipf("needs sshd: %v", err)
	}
	parent, err := os.MkdirTemp("", "ainur-lab-")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "lab")
	ainur := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), args, &stdout, &stderr); got != want {
			t.Errorf("ainur %s exits with %d, want %d:\n%s", strings.Join(args, " "), got, want, &stderr)
		}
		return stdout.String()
	}
	t.Cleanup(func() {
		ainur(0, "lab", "down", "--dir", dir)
		if err := os.Remove(parent); err != nil {
			t.Error(err)
		}
	})
	var said struct{ Data *labs.Lab }
	if err := json.Unmarshal([]byte(ainur(0, "lab", "up", "--dir", dir, "--hosts", "2", "--bastion", "-o", "json")), &said); err != nil {
		t.Fatal(err)
	}
	if l := said.Data; len(l.Hosts) != 2 || l.Bastion == nil || l.Dir != dir {
		t.Errorf("made %d hosts in %s, and the bastion %v", len(l.Hosts), l.Dir, l.Bastion)
	}
	ainur(0, "lab", "link", "lab", "n2", "--dir", dir, "--loss", "0.5")
	ainur(0, "lab", "link", "lab", "n2", "--dir", dir, "--heal")
	ainur(0, "fmt", "--check", said.Data.Cluster)

	folder := t.TempDir()
	fragment, err := os.ReadFile(said.Data.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cluster.ainur.hcl": string(fragment), "main.ainur.hcl": onLab} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ainur(0, "validate", folder)
	ainur(1, "lab", "up", "--dir", dir)
	ainur(0, "lab", "down", "--dir", dir)
	ainur(0, "lab", "down", "--dir", dir)
	if _, err := os.Lstat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
}

// onLab is an experiment for the cluster that a lab describes.
const onLab = `
worker "w" {
  on = cluster.lab.host.n2
}

balancer "b" {
  on      = cluster.lab.host.n1
  workers = worker.w
}

function "hello" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target = balancer.b
  mix = {
    (function.hello.name) = 1
  }
  phase "steady" {
    duration = "1s"
    arrival "poisson" {
      rate = "10/s"
    }
  }
}

experiment "e" {
  title    = "hello on a lab"
  seed     = 7
  cluster  = cluster.lab
  workers  = worker.w
  balancer = balancer.b
  load     = load.l
}
`
