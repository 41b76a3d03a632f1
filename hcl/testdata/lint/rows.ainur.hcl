# Quantiles of result rows: of the only load.

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

sweep "s" {
  axis "queue" {
    values = ["fcfs", "sjf"]
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.s
  seed    = 1
}

claim "faster" {
  statement = "Shortest first is faster."
  that      = ratio(result, "latency.p999", { queue = "sjf" }, { queue = "fcfs" }).max < 1 # WARNING: p99.9 of about 3 000 calls cannot be estimated
}

claim "same" {
  statement = "The middle is the same."
  that      = ratio(result, "latency.p99", { queue = "sjf" }, { queue = "fcfs" }).max < 2 && max([for p in where(result, { queue = "sjf" }) : p.latency.p999]...) < 1 # WARNING: p99.9 of about 3 000 calls cannot be estimated
}

claim "grouped" {
  statement = "Every group is fast."
  that      = alltrue([for g in group(result, ["queue"]) : alltrue([for p in g.rows : p.latency.p99 < 1 && p.latency.p999 < 2])]) # WARNING: p99.9 of about 3 000 calls cannot be estimated
}
