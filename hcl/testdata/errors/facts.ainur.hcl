#: facts none
cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on    = cluster.c.host.h
  cores = cluster.c.host.h.facts.cpu.physical_cores # ERROR: cores of worker "w" is not known
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
