# What the rules find nothing in.

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

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  seed    = 1
}

assert "no_errors" {
  that = load.l.errors.count == 0
}
