#: engine live
cluster "c" {
  host "h" {
    address = "10.0.0.1"
    nic     = "eno1" # ERROR: this version cannot run nic of host "h" of cluster "c" yet
  }

  tune {
    smt = "off"
  }
}

worker "w" {
  on    = cluster.c.host.h

  health { # ERROR: this version cannot run health of worker "w" yet
  }
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"

  instances = 2 # ERROR: this version cannot run instances of function "f" yet
}

load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"
  retries  = 0

  arrival "gamma" { # ERROR: this version cannot run arrival "gamma" of load "l" yet
    rate = "10/s"
    cv   = 2
  }
}

claim "c" { # ERROR: this version cannot run claim "c" yet
  statement = "It is fast."
  that      = alltrue([for r in result : r.latency.p99 < 1])
}

experiment "e" {
  title   = "E"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  seed    = 1
}

