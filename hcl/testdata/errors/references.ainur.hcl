locals {
  cores  = cluster.lab.host.ctl.facts.cpu.coers   # ERROR: cluster.lab.host.ctl.facts.cpu has no "coers"
  role   = cluster.lab.with_role["wrker"]         # ERROR: cluster.lab.with_role has no "wrker"
  other  = local.coers                            # ERROR: there is no local "coers"
  third  = lcoal.cores                            # ERROR: nothing is called "lcoal"
  after  = local.cores + 1
  memory = "a" * 2                                # ERROR: invalid operand
}

cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    connection = "local"
    roles      = ["worker"]
  }
}

worker "w" {
  on = cluster.lab.host.ctl
}

worker "v" {
  on = cluster.lbx.host.ctl # ERROR: there is no cluster "lbx"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.g # ERROR: there is no function "g"
  duration = "1s"

  arrival "poisson" {
    rate = "10/s"
  }
}

load "m" {
  target   = worker.w
  call     = function.f
  duration = "1s"

  arrival "poisson" {
    rate = "10/s"
  }
}

experiment "e" { # WARNING: experiment "e" has seed 0
  title   = "t"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.m
}

assert "typo" {
  that = load.m.overhead.p98 < 1 # ERROR: load.m.overhead has no "p98"
}

assert "function" {
  that = load.m.latency["g"].p99 < 1 # ERROR: load.m.latency has no "g"
}

assert "number" {
  that = load.m.errors.count # ERROR: that of assert "number" wants a bool, got number
}
