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

locals {
  late  = load.l.latency.p99 # ERROR: load.l.latency is not known before a run
  run   = run.id             # ERROR: run.id is not known before a run
  rows  = result             # ERROR: result is not known before a run
  first = local.second # ERROR: these blocks need each other
  second = local.first
}
