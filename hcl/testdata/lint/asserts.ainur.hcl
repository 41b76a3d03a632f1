# Assertions that no run can fail, and experiments without one.

variable "limit" {
  default = 0
}

cluster "lab" {
  host "gen" {
    address = "10.0.0.1"
    roles   = ["load"]
  }

  host "w1" {
    address = "10.0.0.2"
  }
}

worker "w" {
  on     = cluster.lab.host.w1
  cores  = 4
  memory = "4GiB"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "other" {
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  seed    = 1
}

experiment "unchecked" { # WARNING: experiment "unchecked" asserts nothing
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.other
  seed    = 1
}

assert "never_negative" {
  that = load.l.errors.ratio >= 0 # WARNING: assert "never_negative" holds whatever is measured
}

assert "never_above_one" {
  that = 1 >= load.l.errors.ratio # WARNING: assert "never_above_one" holds whatever is measured
}

assert "part" {
  that = load.l.errors.count <= 1 && (load.l.completed > -1 && load.l.offered > 0) # WARNING: this part of assert "part" holds whatever is measured
}

assert "either" {
  that = load.l.errors.count == 0 || load.l.latency.p50 >= var.limit # WARNING: assert "either" holds whatever is measured
}

assert "constant" {
  experiment = experiment.e
  that       = var.limit < 1 # WARNING: assert "constant" holds whatever is measured
}

assert "different" {
  that = load.l.phase.main.status.ok != -1 # WARNING: assert "different" holds whatever is measured
}

assert "possible" {
  that = (
    load.l.errors.ratio > 0 && load.l.errors.ratio < 1 && load.l.errors.count >= 1 && load.l.errors.count <= 1 &&
    load.l.overhead.p50 >= 0 && load.l.completed + load.l.failed >= 0 && load.l.errors.ratio <= load.l.errors.count
  )
}

assert "not_known" {
  that = load.l.errors.ratio < cluster.lab.host.w1.facts.cpu.sockets
}

claim "always" {
  statement = "There are calls."
  that      = load.l.offered >= 0 # WARNING: claim "always" holds whatever is measured
}

output "any" {
  value = load.other.errors.ratio >= 0
}
