# Repeats: of the experiment, else of the sweep.

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

load "l" {
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

sweep "few" {
  repeat = 4 # WARNING: experiment "swept" has 4 repeats

  axis "a" {
    values = [1, 2]
  }
}

sweep "narrow" {
  repeat = 2

  axis "a" {
    values = [1, 2]
  }

  adaptive {
    metric     = "latency.p99"
    half_width = 0.05
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  repeat  = 1 # WARNING: experiment "e" has 1 repeat
  seed    = 1
}

experiment "enough" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  repeat  = 5
  seed    = 1
}

experiment "swept" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.few
  seed    = 1
}

experiment "own" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.few
  repeat  = 5
  seed    = 1
}

experiment "adaptive" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.narrow
  seed    = 1
}

experiment "not_known" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  repeat  = cluster.lab.host.w1.facts.cpu.sockets
  seed    = 1
}

assert "no_errors" {
  that = load.l.errors.count == 0
}
