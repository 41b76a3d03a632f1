# sweep.ainur.hcl: every combination of queue and load, simulated first and then run
#   ainur simulate sweep.ainur.hcl
#   ainur run sweep.ainur.hcl

cluster "lab" {
  host "me" {
    address    = "127.0.0.1"
    connection = "local"
    roles      = ["balancer", "load", "worker"]
  }
}

worker "pool" {
  for_each = cluster.lab.with_role["worker"]
  on       = each.value
  cores    = 2
  memory   = "2GiB"
  queue    = sweep.grid.point.queue
}

balancer "lb" {
  on      = cluster.lab.host.me
  workers = worker.pool
  policy  = "least_in_flight"
}

function "short" {
  builtin = "busy"
  memory  = "64MiB"
  args    = { ms = 2 }

  profile {
    warm = "2ms"
    cold = "20ms"
  }
}

function "long" {
  builtin = "busy"
  memory  = "128MiB"
  args    = { ms = 50 }

  profile {
    warm = "50ms"
    cold = "40ms"
  }
}

load "mixed" {
  target    = balancer.lb
  from      = cluster.lab.with_role["load"]
  warmup    = "5s"
  duration  = "20s"
  lag_limit = "100ms" # the generator shares the cores with the functions

  mix = {
    short = 9
    long  = 1
  }

  arrival "poisson" {
    rate = "${sweep.grid.point.rate}/s"
  }
}

sweep "grid" {
  axis "queue" {
    values = ["fcfs", "sjf"]
  }

  axis "rate" {
    values = [20, 60, 100]
    unit   = "calls/s"
  }
}

experiment "sweep" {
  title   = "Queue and load"
  cluster = cluster.lab
  workers = worker.pool
  load    = load.mixed
  sweep   = sweep.grid
  repeat  = 5
  seed    = 7
}

assert "none_failed" {
  that  = load.mixed.errors.count == 0
  error = "${load.mixed.errors.count} calls failed."
}

output "short_p95_ms" {
  value       = load.mixed.latency["short"].p95 * 1000
  description = "p95 latency of the short function, in milliseconds."
}
