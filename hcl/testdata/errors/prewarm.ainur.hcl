cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    connection = "local"
  }
}

worker "w" { # ERROR: the prewarmed sandboxes need 1.2 GiB, worker w has 1 GiB
  on     = cluster.lab.host.ctl
  memory = "1GiB"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
  prewarm = 20
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
