# poisson-mix.ainur.hcl: three functions, called at random, on one worker of this
# machine: how near a simulation is to it.
#   ainur calibrate examples/poisson-mix.ainur.hcl
#   ainur run       examples/poisson-mix.ainur.hcl
#   ainur simulate  examples/poisson-mix.ainur.hcl --from calibration.json
#   ainur fidelity  SIMULATED LIVE

variable "rate" {
  type    = string
  default = "100/s"
}

locals {
  duration = { short = 2, middle = 8, long = 30 } # ms of CPU time; the mean is 6
}

cluster "here" {
  host "me" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "node" {
  on     = cluster.here.host.me
  cores  = 2
  memory = "4GiB"
}

function "busy" {
  for_each = local.duration

  builtin = "busy"
  args    = { ms = each.value }
  memory  = "64MiB"
}

load "mix" {
  target    = worker.node
  from      = [cluster.here.host.me]
  duration  = "30s"
  lag_limit = "50ms" # the generator shares the cores with the functions

  mix = {
    for name, weight in { short = 7, middle = 2, long = 1 } : "busy[\"${name}\"]" => weight
  }

  arrival "poisson" {
    rate = var.rate
  }
}

experiment "poisson_mix" {
  title   = "A mix of three functions, called at random"
  cluster = cluster.here
  worker  = worker.node
  load    = load.mix
  repeat  = 5
  seed    = 7
}

assert "none_lost" {
  that  = load.mix.failed == 0
  error = "${load.mix.failed} calls failed."
}
