# policy-sweep.ainur.hcl: which queue and which balancer suit short and long
# functions on two workers? Four points, in virtual time:
#   ainur simulate examples/policy-sweep.ainur.hcl

cluster "here" {
  host "me" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "w" {
  for_each = toset(["a", "b"])
  on       = cluster.here.host.me
  cores    = 2
  memory   = "2GiB"
  queue    = sweep.policies.point.queue

  keepalive "ttl" {
    idle = "5m"
  }
}

balancer "lb" {
  on      = cluster.here.host.me
  workers = worker.w
  policy  = sweep.policies.point.balancer
}

function "short" {
  builtin = "busy"
  memory  = "64MiB"
  args    = { ms = 5 }

  profile {
    warm = { kind = "exponential", mean = "5ms" }
    cold = "20ms"
  }
}

function "long" {
  builtin = "busy"
  memory  = "128MiB"
  args    = { ms = 200 }

  profile {
    warm = { kind = "exponential", mean = "200ms" }
    cold = "40ms"
  }
}

load "mixed" {
  target   = balancer.lb
  from     = [cluster.here.host.me] # costs nothing in virtual time
  warmup   = "10s"
  duration = "60s"

  mix = {
    short = 9
    long  = 1
  }

  arrival "poisson" {
    rate = "130/s"
  }
}

sweep "policies" {
  axis "queue" {
    values = ["fcfs", "sjf"]
  }

  axis "balancer" {
    values = ["round_robin", "least_in_flight"]
  }
}

experiment "policies" {
  title   = "Queue and balancer under short and long functions"
  cluster = cluster.here
  workers = worker.w
  load    = load.mixed
  sweep   = sweep.policies
  repeat  = 5
  seed    = 7
}

assert "none_failed" {
  that  = load.mixed.errors.count == 0
  error = "${load.mixed.errors.count} calls failed."
}

output "short_p99_ms" {
  value       = load.mixed.latency["short"].p99 * 1000
  description = "p99 latency of the short function, in milliseconds."
}
