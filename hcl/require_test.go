package hcl_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestRequirements(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "exp.ainur.hcl", `
variable "token" {
  type      = string
  default   = "s3cret"
  sensitive = true
}
cluster "lab" {
  host "a" { address = "10.0.0.1" }
  host "b" { address = "10.0.0.2" }
  require "quiet" {
    that  = alltrue([for h in self.hosts : h.facts.cpu.governor == "performance"])
    error = "somebody saves power"
  }
  require "large" {
    that  = self.host["a"].facts.memory.total > 1000 * 1024 * 1024 * 1024
    error = "a has only ${self.host["a"].facts.memory.total} bytes"
    fix   = "buy memory"
  }
  require "clocks" { that = self.clock_skew_max <= 0.001 }
  require "never" {
    that = false
    when = length(self.hosts) > 2
  }
  require "hidden" {
    that  = false
    error = "not ${var.token}"
  }
}
check "many" { that = cluster.lab.host.b.facts.cpu.logical_cores >= 64 }
worker "w" { on = cluster.lab.host.a }
function "f" {
  builtin = "hello"
  memory  = "64MiB"
}
load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"
  arrival "constant" { rate = "1/s" }
}
experiment "e" {
  title   = "E"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
}
`)
	o := options()
	o.Facts = func(h spec.Host) (spec.Facts, bool) {
		f, ok := host(h)
		offset := -2 * time.Millisecond
		f.ClockOffset = &offset
		return f, ok
	}
	m, diags := hcl.Load("exp.ainur.hcl", o)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	got, diags := m.Requirements("")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := []spec.Requirement{
		{Name: "quiet", Holds: true},
		{Name: "large", Message: "a has only 8589934592 bytes", Fix: "buy memory"},
		{Name: "clocks", Message: "it does not hold that self.clock_skew_max <= 0.001"},
		{Name: "hidden", Message: spec.Redacted},
		{Name: "many", Check: true, Message: "it does not hold that cluster.lab.host.b.facts.cpu.logical_cores >= 64"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What cannot be told is an error, not a failure.
func TestRequirementUnknown(t *testing.T) {
	m, diags := load(t, `
cluster "lab" {
  host "a" { address = "10.0.0.1" }
  require "clocks" { that = self.clock_skew_max <= 0.001 }
}
worker "w" { on = cluster.lab.host.a }
function "f" {
  builtin = "hello"
  memory  = "64MiB"
}
load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"
  arrival "constant" { rate = "1/s" }
}
experiment "e" {
  title   = "E"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
}
`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if _, diags := m.Requirements(""); !diags.HasErrors() {
		t.Error("the clocks are unknown, and nobody says so")
	}
}
