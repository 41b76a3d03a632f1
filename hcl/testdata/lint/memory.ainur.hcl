# A sandbox of each function, and the memory for them.

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
  memory = sweep.s.point.memory # WARNING: a sandbox of each of 2 functions needs 1.5 GiB, and worker "w" has 1 GiB
}

worker "enough" {
  on     = cluster.lab.host.w1
  memory = "1.5GiB"
}

worker "not_known" {
  on     = cluster.lab.host.w1
  memory = cluster.lab.host.w1.facts.memory.total
}

function "f" {
  builtin = "hello"
  memory  = "512MiB"
}

function "g" {
  builtin = "hello"
  memory  = "1GiB"
}

load "l" {
  target   = worker.w
  warmup   = "10s"
  duration = "60s"

  mix = {
    f = 1
    g = 1
  }

  arrival "poisson" {
    rate = "50/s"
  }
}

load "half" {
  target   = worker.enough
  warmup   = "10s"
  duration = "60s"

  mix = {
    f = 1
    g = 1
  }

  arrival "poisson" {
    rate = "50/s"
  }
}

load "not_known" {
  target   = worker.not_known
  call     = function.g
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

sweep "s" {
  axis "memory" {
    values = ["2GiB", "1GiB"]
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.s
  seed    = 1
}

experiment "enough" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.enough
  load    = load.half
  seed    = 1
}

experiment "not_known" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.not_known
  load    = load.not_known
  seed    = 1
}

assert "no_errors" {
  that = load.l.errors.count == 0
}

assert "half" {
  that = load.half.errors.count == 0
}

assert "not_known" {
  that = load.not_known.errors.count == 0
}
