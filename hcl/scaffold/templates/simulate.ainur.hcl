# simulate.ainur.hcl: a cluster that does not exist, in virtual time
#   ainur simulate simulate.ainur.hcl

cluster "lab" {
  hosts = hostlist("node[01-04]")
  roles = ["worker"]

  host "ctl" {
    address = "ctl"
    roles   = ["balancer", "load"]
  }
}

worker "pool" {
  for_each = cluster.lab.with_role["worker"]
  on       = each.value
  cores    = 4
  memory   = "8GiB"
  queue    = "fcfs"

  keepalive "ttl" {
    idle = "10m"
  }
}

balancer "lb" {
  on      = cluster.lab.host.ctl
  workers = worker.pool
  policy  = "least_in_flight"
}

# The profiles are the model: how long a warm execution and a start take.
function "short" {
  builtin = "busy"
  memory  = "128MiB"
  args    = { ms = 20 }

  profile {
    warm = { kind = "exponential", mean = "20ms" }
    cold = "150ms"
  }
}

function "long" {
  builtin = "busy"
  memory  = "256MiB"
  args    = { ms = 400 }

  profile {
    warm = { kind = "lognormal", mean = "400ms", cv = 0.5 }
    cold = "600ms"
  }
}

load "mixed" {
  target   = balancer.lb
  from     = cluster.lab.with_role["load"]
  warmup   = "30s"
  duration = "5m"

  mix = {
    short = 9
    long  = 1
  }

  arrival "poisson" {
    rate = "150/s"
  }
}

simulate "fast" {
  host_model {
    cores  = 8
    memory = "16GiB"
  }
}

experiment "simulate" {
  title    = "Short and long functions on four workers, simulated"
  simulate = simulate.fast
  workers  = worker.pool
  balancer = balancer.lb
  load     = load.mixed
  repeat   = 6
  seed     = 1
}

assert "none_failed" {
  that  = load.mixed.errors.count == 0
  error = "${load.mixed.errors.count} calls failed."
}

output "short_p99_ms" {
  value       = load.mixed.latency["short"].p99 * 1000
  description = "p99 latency of the short function, in milliseconds."
}
