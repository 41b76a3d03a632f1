package hcl_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
)

const inNative = `
variable "n" {
  type    = list(string)
  default = ["a", "b"]
}
locals {
  hosts = { for i, n in var.n : n => "10.0.0.${i + 1}" }
}
func "per_second" {
  params = [n]
  result = "${n}/s"
}
cluster "c" {
  dynamic "host" {
    for_each = local.hosts
    labels   = [host.key]
    content {
      address    = host.value
      connection = "local"
      roles      = ["worker"]
    }
  }
}
worker "w" {
  for_each = cluster.c.with_role["worker"]
  on       = each.value
  keepalive "ttl" {
    idle = "2m"
  }
}
balancer "lb" {
  on      = cluster.c.host.a
  workers = worker.w
}
function "f" {
  builtin = "hello"
  memory  = "64MiB"
  args    = { name = "x", n = [1, true, null] }
}
load "l" {
  target = balancer.lb
  mix    = { (function.f.name) = 1 }
  phase "one" {
    duration = "1s"
    arrival "poisson" {
      rate = per_second(3)
    }
  }
  phase "two" {
    duration = "2s"
    arrival "ramp" {
      from = "1/s"
      to   = sweep.s.point.rate
    }
  }
}
sweep "s" {
  axis "rate" {
    values = ["5/s", "6/s"]
  }
  exclude {
    when = point.rate == "6/s"
  }
}
experiment "e" {
  title   = "E"
  cluster = cluster.c
  workers = worker.w
  load    = load.l
  sweep   = sweep.s
  seed    = 1
}
assert "a" {
  that = load.l.errors.ratio == 0
}
`

const inJSON = `{
  "//": "the same",
  "variable": {"n": {"type": "list(string)", "default": ["a", "b"]}},
  "locals": {"hosts": "${{ for i, n in var.n : n => \"10.0.0.${i + 1}\" }}"},
  "func": {"per_second": {"params": ["n"], "result": "${n}/s"}},
  "cluster": {"c": {"dynamic": {"host": {
    "for_each": "${local.hosts}", "labels": ["${host.key}"],
    "content": {"address": "${host.value}", "connection": "local", "roles": ["worker"]}
  }}}},
  "worker": {"w": {"for_each": "${cluster.c.with_role[\"worker\"]}", "on": "${each.value}", "keepalive": {"ttl": {"idle": "2m"}}}},
  "balancer": {"lb": {"on": "${cluster.c.host.a}", "workers": "${worker.w}"}},
  "function": {"f": {"builtin": "hello", "memory": "64MiB", "args": {"name": "x", "n": [1, true, null]}}},
  "load": {"l": [{"target": "${balancer.lb}", "mix": {"${function.f.name}": 1}, "phase": [
    {"one": {"duration": "1s", "arrival": {"poisson": {"rate": "${per_second(3)}"}}}},
    {"two": {"duration": "2s", "arrival": {"ramp": {"from": "1/s", "to": "${sweep.s.point.rate}"}}}}
  ]}]},
  "sweep": {"s": {"axis": {"rate": {"values": ["5/s", "6/s"]}}, "exclude": {"when": "${point.rate == \"6/s\"}"}}},
  "experiment": {"e": {"title": "E", "cluster": "${cluster.c}", "workers": "${worker.w}", "load": "${load.l}", "sweep": "${sweep.s}", "seed": 1}},
  "assert": {"a": {"that": "${load.l.errors.ratio == 0}"}}
}`

// The same experiment in both syntaxes is the same.
func TestJSONIsTheSame(t *testing.T) {
	_, want := experiment(t, inNative)
	t.Chdir(t.TempDir())
	write(t, "exp.ainur.json", inJSON)
	m, diags := hcl.Load("exp.ainur.json", options())
	if diags = all(m, diags); diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	got, diags := m.Experiment("", 0)
	if diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	want.Sources, got.Sources = nil, nil
	text := func(e *spec.Experiment) string {
		b, err := json.MarshalIndent(e, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if diff := cmp.Diff(text(want), text(got)); diff != "" {
		t.Errorf("(-native +JSON):\n%s", diff)
	}
	if got.Points[0].Loads[0].Phases[1].Arrival.ToPerSecond != 5 || len(got.Skipped) != 1 || len(got.Points[0].Workers) != 2 {
		t.Errorf("%s", text(got))
	}
}
