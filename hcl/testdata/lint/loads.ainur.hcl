# Loads whose numbers are not what they seem.

cluster "lab" {
  host "gen" {
    address = "10.0.0.1"
    roles   = ["load"]
  }

  host "w1" {
    address = "10.0.0.2"
  }
}

worker "w" {
  on     = cluster.lab.host.w1
  cores  = 4
  memory = "4GiB"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

function "slow" {
  builtin = "sleep"
  memory  = "64MiB"
  timeout = "30s"
}

load "closed" {
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "closed" {
    clients = sweep.s.point.clients
  }
}

load "cold" { # WARNING: load "cold" has no warm-up, and its times are asserted
  target   = worker.w
  call     = function.f
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "counted" { # near: its calls are counted, not timed
  target   = worker.w
  call     = function.f
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "phases" {
  target = worker.w
  call   = function.f

  phase "first" {
    duration = "60s"

    arrival "poisson" {
      rate = "50/s"
    }
  }

  phase "second" {
    duration = "60s"

    arrival "closed" {
      clients = 4
    }
  }
}

load "unrecorded" {
  target = worker.w
  call   = function.f

  phase "warm" {
    duration = "10s"
    record   = false

    arrival "poisson" {
      rate = "50/s"
    }
  }

  phase "steady" {
    duration = "60s"

    arrival "poisson" {
      rate = "50/s"
    }
  }
}

load "recorded" {
  target        = worker.w
  call          = function.f
  duration      = "60s"
  on_saturation = "record" # WARNING: load "recorded" counts also when its generator is saturated

  arrival "poisson" {
    rate = "50/s"
  }
}

load "aborted" {
  target        = worker.w
  call          = function.f
  duration      = "60s"
  on_saturation = "abort"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "capped" {
  target        = worker.w
  call          = function.f
  duration      = "60s"
  max_in_flight = 49 # WARNING: about 50 calls of load "capped" may be in flight, and its cap is 49

  arrival "constant" {
    rate = "50/s"
  }
}

load "roomy" {
  target        = worker.w
  call          = function.f
  duration      = "60s"
  max_in_flight = 50

  arrival "constant" {
    rate = "50/s"
  }
}

load "slow" { # WARNING: about 12 000 calls of load "slow" may be in flight, and its cap is 10 000
  target   = worker.w
  call     = function.slow
  duration = "60s"

  arrival "ramp" {
    from = "10/s"
    to   = "400/s"
  }
}

load "impatient" {
  target   = worker.w
  call     = function.slow
  duration = "60s"
  timeout  = "10s"

  arrival "ramp" {
    from = "10/s"
    to   = "400/s"
  }
}

sweep "s" {
  axis "clients" {
    values = [1, 2, 4]
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = [load.closed, load.cold, load.counted, load.phases, load.unrecorded, load.recorded, load.aborted, load.capped, load.roomy, load.slow, load.impatient]
  sweep   = sweep.s
  seed    = 1
}

assert "closed" {
  that = load.closed.latency.p99 < 1 # WARNING: load "closed" is a closed loop: its p99 leaves out the calls that had to wait
}

assert "closed_mean" {
  that = load.closed.latency.mean < 1 && load.closed.throughput > 10 && load.closed.overhead.p50 < 1
}

assert "cold" {
  that = load.cold.overhead.p99 < 1
}

assert "counted" {
  that = load.counted.errors.ratio == 0
}

assert "open_phase" {
  that = load.unrecorded.latency.p99 < 1
}

claim "closed_phase" {
  statement = "It is fast."
  that      = load.phases.phase.second.latency.p50 < 1 # WARNING: load "phases" is a closed loop: its p50 leaves out the calls that had to wait
}

output "closed_ms" {
  value = load.closed.latency.p99 * 1000
}

output "recorded_ms" { # near: no assertion
  value = load.recorded.latency.p99 * 1000
}
