worker "w" {
  on    = cluster.c.host.h

  gpu { # WARNING: this version cannot run gpu of worker "w" yet
    count = 1
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

