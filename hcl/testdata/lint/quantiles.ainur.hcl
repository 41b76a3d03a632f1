# A quantile needs 10 calls beyond it in one repeat: 10 000 for p99.9, 1 000 for
# p99, 200 for p95, 100 for p90.

locals {
  name  = "f"
  tails = ["p99"]
}

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

function "rare" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  warmup   = "10s"
  duration = "60s"

  mix = {
    f    = 99
    rare = 1
  }

  arrival "poisson" {
    rate = "50/s"
  }
}

load "steps" {
  target = worker.w
  call   = function.f

  phase "warm" {
    duration = "1h"
    record   = false

    arrival "constant" {
      rate = "50/s"
    }
  }

  phase "up" {
    duration = "10s"

    arrival "ramp" {
      from = "0/s"
      to   = "20/s"
    }
  }

  phase "high" {
    duration = "10s"

    arrival "ramp" {
      from  = "10/s"
      to    = "100/s"
      shape = "exponential"
    }
  }
}

load "unknown" {
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "1s"

  arrival "poisson" {
    rate = cluster.lab.host.w1.facts.cpu.physical_cores
  }
}

load "replies" {
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "1s"

  arrival "closed" {
    clients = 1
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = [load.l, load.steps, load.unknown, load.replies]
  seed    = 1
}

assert "p999" {
  that = load.l.latency.p999 < 1 # WARNING: p99.9 of about 3 000 calls cannot be estimated
}

assert "p99" {
  that = load.l.latency.p99 < 1 && load.l.latency.mean < 1 && load.l.latency.max < 1 && load.l.latency.p50 < 1
}

assert "of_a_function" {
  that = (
    load.l.latency["f"].p99 < 1 &&
    load.l.latency["rare"].p90 < 1 && # WARNING: p90 of about 30 calls of rare cannot be estimated
    load.l.latency["rare"].p50 < 1
  )
}

assert "computed" {
  that = (
    load.l.latency[local.name].p99 < 1 &&
    load.l.latency[local.name].p999 < 1 && # WARNING: p99.9 of about 2 970 calls of f cannot be estimated
    alltrue([for q in local.tails : load.l.latency["rare"][q] < 1])
  )
}

assert "of_a_phase" {
  that = (
    load.steps.phase.up.queue.p95 < 1 &&   # WARNING: p95 of about 100 calls cannot be estimated
    load.steps.phase.high.queue.p95 < 1 && # near: 391 calls
    load.steps.phase.warm.lag.p999 < 1     # near: 180 000 calls, though not in statistics
  )
}

assert "of_several_phases" {
  that = load.steps.exec.p99 < 1 # WARNING: p99 of about 490 calls cannot be estimated
}

assert "of_cold_starts" {
  that = load.l.start.p99 < 1 # near: how many calls are cold is not known
}

assert "not_known" {
  that = load.unknown.latency.p99 < 1 && load.replies.overhead.p99 < 1
}

assert "of_rows" {
  each = "run"
  that = alltrue([for p in result : p.load.l.latency.p999 < 1]) && max(result[*].load.steps.exec.p99...) < 1 # WARNING: p99.9 of about 3 000 calls cannot be estimated # WARNING: p99 of about 490 calls cannot be estimated
}

output "p999_ms" {
  value = load.l.latency.p999 * 1000 # WARNING: p99.9 of about 3 000 calls cannot be estimated
}
