# An experiment like any other: validate warns of it too.

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

experiment "e" { # WARNING: experiment "e" has seed 0
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
}

assert "no_errors" {
  that = load.l.errors.count == 0
}
