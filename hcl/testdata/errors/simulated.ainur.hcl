#: engine simulated

cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "ssh"
    roles      = ["worker"]
  }
}

worker "w" {
  on = cluster.c.host.h
}

function "f" { # WARNING: function "f" is simulated with 10ms warm and 250ms to start: it has no profile
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"

  arrival "poisson" {
    rate = "10/s"
  }
}

experiment "e" { # WARNING: the hosts are simulated with 16 cores and 64 GiB: their facts are not known
  title   = "E"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  seed    = 1
}
