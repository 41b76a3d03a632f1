package hcl_test

import (
	"os"
	"testing"

	"github.com/ainur-faas/ainur/hcl"
)

// large is an experiment over 1 000 hosts with a sweep of 10 000 points, on
// all axes of which the load depends.
const large = `
experiment "e" {
  title    = "Large"
  cluster  = cluster.c
  workers  = worker.w
  balancer = balancer.lb
  load     = load.l
  sweep    = sweep.s
  seed     = 1
}

cluster "c" {
  dynamic "host" {
    for_each = toset(hostlist("node[0001-1000]"))
    labels   = [host.key]

    content {
      address = host.key
      roles   = host.key == "node0001" ? ["balancer", "load"] : ["worker"]
    }
  }
}

worker "w" {
  for_each = cluster.c.with_role["worker"]
  on       = each.value
  cores    = each.value.facts.cpu.physical_cores
  memory   = "48GiB"
  queue    = sweep.s.point.queue
}

balancer "lb" {
  on      = cluster.c.host.node0001
  workers = worker.w
}

function "f" {
  builtin = "hello"
  memory  = sweep.s.point.memory
}

load "l" {
  target   = balancer.lb
  call     = function.f
  duration = "10s"

  arrival "poisson" {
    rate = sweep.s.point.rate
  }
}

sweep "s" {
  axis "queue" {
    values = ["fcfs", "sjf"]
  }

  axis "memory" {
    values = [for i in range(1, 51) : "${i}MiB"]
  }

  axis "rate" {
    values = [for i in range(1, 101) : "${i}/s"]
  }
}
`

func BenchmarkValidate(b *testing.B) {
	quickstart, err := os.ReadFile("../examples/quickstart.ainur.hcl")
	if err != nil {
		b.Fatal(err)
	}
	for name, src := range map[string]string{"quickstart": string(quickstart), "1000 hosts 10000 points": large} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, diags := hcl.Load("exp.ainur.hcl", withSource(src))
				if diags = all(m, diags); diags.HasErrors() {
					b.Fatal(diags)
				}
			}
		})
	}
}
