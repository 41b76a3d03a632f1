# Cold starts are those of the policy once sandboxes have had time to expire.

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
  memory = "4GiB"

  keepalive "ttl" {
    idle = sweep.s.point.idle
  }
}

worker "kept" {
  on        = cluster.lab.host.w1
  memory    = "4GiB"
  keepalive = "lru"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.f
  warmup   = "90s" # WARNING: load "l" warms up for 1m30s, and idle sandboxes live for 10m
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "long" {
  target   = worker.w
  call     = function.f
  warmup   = "10m"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "timed" {
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "kept" {
  target   = worker.kept
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

sweep "s" {
  axis "idle" {
    values = ["1m", "10m", "5m"]
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = [load.l, load.long, load.timed]
  sweep   = sweep.s
  seed    = 1
}

experiment "kept" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.kept
  load    = load.kept
  seed    = 1
}

assert "cold" {
  that = load.l.cold.ratio < 0.1 && load.long.cold["f"].ratio < 0.1
}

assert "timed" {
  that = load.timed.latency.p99 < 1
}

assert "kept" {
  that = load.kept.cold.count < 10 # near: nothing expires
}
