cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on     = cluster.lab.host.ctl
  memory = "1GiB"
}

function "f" { # ERROR: function "f" can never run on worker w: it needs 5 cores of CPU, the worker has 4
  builtin = "hello"
  memory  = "64MiB"
  cpus    = 5
}

load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"

  arrival "poisson" {
    rate = "10/s"
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  seed    = 1
}
