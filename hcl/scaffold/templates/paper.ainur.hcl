# paper.ainur.hcl: a figure of a paper and its claims, for others to reproduce
#   ainur simulate paper.ainur.hcl
#   ainur run paper.ainur.hcl

variable "seed" {
  type        = number
  default     = 2026
  description = "Seed of everything random."
}

cluster "lab" {
  host "me" {
    address    = "127.0.0.1"
    connection = "local"
    roles      = ["balancer", "load", "worker"]
  }
}

worker "pool" {
  for_each = cluster.lab.with_role["worker"]
  on       = each.value
  cores    = 2
  memory   = "2GiB"
  queue    = sweep.figure.point.queue
}

balancer "lb" {
  on      = cluster.lab.host.me
  workers = worker.pool
}

function "short" {
  builtin = "busy"
  memory  = "64MiB"
  args    = { ms = 2 }

  profile {
    warm = "2ms"
    cold = "20ms"
  }
}

function "long" {
  builtin = "busy"
  memory  = "128MiB"
  args    = { ms = 50 }

  profile {
    warm = "50ms"
    cold = "40ms"
  }
}

load "mixed" {
  target    = balancer.lb
  from      = cluster.lab.with_role["load"]
  warmup    = "5s"
  duration  = "20s"
  lag_limit = "100ms" # the generator shares the cores with the functions

  mix = {
    short = 9
    long  = 1
  }

  arrival "poisson" {
    rate = "${sweep.figure.point.rate}/s"
  }
}

sweep "figure" {
  axis "queue" {
    values = ["fcfs", "sjf"]
  }

  axis "rate" {
    values = [20, 60, 100, 140]
    label  = "offered load"
    unit   = "calls/s"
  }
}

experiment "figure_1" {
  title    = "Figure 1: latency over load"
  cluster  = cluster.lab
  workers  = worker.pool
  load     = load.mixed
  sweep    = sweep.figure
  repeat   = 10
  seed     = var.seed
  cooldown = "5s"
  authors  = ["Your Name"]
  license  = "CC-BY-4.0"

  paper {
    title  = "The title of the paper"
    doi    = "10.1145/0000000.0000000"
    figure = "1"
    notes  = "What the authors' machines were. Those of a run are in its manifest."
  }

  budget {
    time = "2h"
  }
}

assert "none_failed" {
  that  = load.mixed.errors.count == 0
  error = "${load.mixed.errors.count} calls failed."
}

claim "C1" {
  statement = "At every load the short function waits no longer under sjf than under fcfs."
  that      = ratio(result, "latency.p50", { queue = "sjf" }, { queue = "fcfs" }).max <= 1
  tolerance = 0.1
  figure    = "1"
  evidence  = [report.figures]
}

report "figures" {
  format = ["html", "md", "csv"]

  table "latency" {
    rows    = ["queue", "rate"]
    columns = ["latency.p50", "latency.p99"]
  }

  plot "latency_over_load" {
    x      = "rate"
    y      = "latency.p99"
    series = "queue"
    band   = "ci95"
    unit   = "ms"
  }
}
