cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "local"
    roles      = ["worker"]
  }
}

worker "w" {
  on = cluster.c.host.h
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

cluster "other" {
  host "o" {
    address    = "127.0.0.2"
    connection = "local"
  }
}

worker "far" {
  on = cluster.other.host.o # ERROR: worker "far" is on a host of cluster.other, and the experiment uses cluster.c
}

load "astray" {
  target   = worker.w # ERROR: load "astray" goes to worker.w, which experiment "e" does not start
  call     = function.f
  duration = "1s"

  arrival "poisson" {
    rate = "10/s"
  }
}

experiment "e" {
  title   = "E"
  cluster = cluster.c
  worker  = worker.far
  load    = load.astray
  seed    = 1
}
