worker "w" {
  on    = cluster.c.host.h

  health { # WARNING: this version cannot run health of worker "w" yet
  }
}

cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "local"
    roles      = ["worker"]
  }
}


function "f" {
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

experiment "e" {
  title   = "E"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  seed    = 1
}

