variable "rate" {
  type    = number
  default = "fast" # ERROR: variable "rate" wants number: a number is required
}

locals {
  cores = cluster.lab.host.ctr.facts.cpu.logical_cores # ERROR: cluster "lab" has no host "ctr"
  half  = lenght([1, 2])                               # ERROR: there is no function "lenght"
}

cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    conection  = "local" # ERROR: unknown argument "conection" in host "ctl"
    roles      = ["balancer", "load"]
  }

  host "w1" {
    address    = "10.0.0.2"
    connection = "telnet" # ERROR: "telnet" is no connection
  }
}

workr "extra" { # ERROR: unknown block "workr"
  on = cluster.lab.host.w1
}

worker "pool" {
  on     = cluster.lab.host.w1
  cores  = -1     # ERROR: cores: want no negative value
  memory = "2GiX" # ERROR: memory: unknown unit "GiX" in "2GiX", want one of B KB KiB MB MiB GB GiB TB TiB
  queue  = "sfj"  # ERROR: unknown queue policy "sfj"

  keepalive "ttl" {
    idel = "1m" # ERROR: unknown option "idel" of this keepalive
  }
}

balancer "lb" {
  on      = worker.pool # ERROR: on wants a host, got worker.pool
  workers = worker.pool
}

function "f" { # ERROR: function "f" needs "memory"
  builtin = "helo" # ERROR: "helo" is no builtin
}

load "l" {
  target        = balancer.lb
  call          = function.f
  duration      = 60     # ERROR: a duration needs a unit
  max_in_flight = "many" # ERROR: max_in_flight: want number, got string

  arrival "poison" { # ERROR: unknown arrival model "poison"
    rate = "1/s"
  }
}

load "m" {
  target   = worker.pool
  call     = function.f
  warmup   = "1s" + 2 # ERROR: invalid operand
  duration = "1s"

  arrival "poisson" {
    rate = "0/s" # ERROR: rate: want more than 0
  }
}

assert "fast" {
  that     = load.m.latency.p98 < 1 # ERROR: load.m.latency has no "p98"
  severity = "fatal"                # ERROR: "fatal" is no severity
}
