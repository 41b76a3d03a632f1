# What nothing refers to.

variable "used" {
  default = 1

  validation {
    condition     = var.used > 0
    error_message = "It is above 0."
  }
}

variable "unused" { # WARNING: nothing uses variable "unused"
  default = 1

  validation {
    condition     = var.unused > 0
    error_message = "It is above 0."
  }
}

locals {
  used   = var.used
  unused = 1 # WARNING: nothing uses local "unused"
  queues = ["fcfs", "sjf"]
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

worker "pool" {
  for_each = toset(local.queues)
  on       = cluster.lab.host.w1
  cores    = 4
  queue    = each.value
  memory   = "4GiB"
}

worker "forgotten" { # WARNING: nothing uses worker "forgotten"
  on     = cluster.lab.host.w1
  cores  = 4
  memory = "4GiB"
}

balancer "lb" {
  on      = cluster.lab.host.gen
  workers = worker.pool
}

function "named" {
  builtin = "hello"
  memory  = "64MiB"
}

function "every" {
  for_each = toset(["a", "b"])
  builtin  = "hello"
  memory   = "64MiB"
}

function "of_the_unused" {
  builtin = "hello"
  memory  = "64MiB"
}

function "forgotten" { # WARNING: nothing uses function "forgotten"
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = balancer.lb
  warmup   = "10s"
  duration = "60s"

  mix = {
    "named"        = local.used
    "every[\"a\"]" = 1
  }

  arrival "poisson" {
    rate = "50/s"
  }
}

load "forgotten" { # WARNING: nothing uses load "forgotten"
  target   = balancer.lb
  duration = "60s"

  mix = {
    of_the_unused = 1
  }

  arrival "poisson" {
    rate = "50/s"
  }
}

sweep "forgotten" { # WARNING: nothing uses sweep "forgotten"
  axis "a" {
    values = [1]
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  workers = worker.pool
  load    = load.l
  seed    = 1
}

assert "no_errors" {
  that = load.l.errors.count == 0
}

assert "of_the_unused" {
  that = load.forgotten.errors.count == 0
}
