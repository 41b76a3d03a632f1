# Sweeps that take long.

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

sweep "many" { # WARNING: sweep "many" makes 1 001 executions: 143 points, 7 repeats of each
  axis "a" {
    values = range(11)
  }

  axis "b" {
    values = range(13)
  }
}

sweep "enough" {
  axis "a" {
    values = range(50)
  }
}

sweep "wide" {
  axis "a" {
    values = range(51) # WARNING: axis "a" has 51 values
  }
}

sweep "sampled" {
  mode   = "latin"
  sample = 10

  axis "a" {
    values = range(200)
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.many
  repeat  = 7
  seed    = 1
}

experiment "enough" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.enough
  repeat  = 20
  seed    = 1
}

experiment "wide" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.wide
  seed    = 1
}

experiment "sampled" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.sampled
  seed    = 1
}

assert "no_errors" {
  that = load.l.errors.count == 0
}
