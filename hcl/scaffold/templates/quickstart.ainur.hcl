# quickstart.ainur.hcl: one function on this machine, no root, no SSH
#   ainur run quickstart.ainur.hcl

cluster "here" {
  host "me" {
    address    = "127.0.0.1"
    connection = "local"
    roles      = ["worker", "load"]
  }
}

worker "node" {
  on        = cluster.here.host.me
  isolation = "process"
  memory    = "1GiB"
  queue     = "fcfs"
}

# Your own code: runtime = "python3" and source = "a folder with main.py".
function "hello" {
  builtin = "hello"
  memory  = "64MiB"
  timeout = "5s"
  prewarm = 1

  # What `ainur simulate` goes by; `ainur run` measures.
  profile {
    warm = "50us"
    cold = "10ms"
  }
}

load "minute" {
  target   = worker.node
  from     = cluster.here.with_role["load"]
  call     = function.hello
  warmup   = "2s"
  duration = "20s"

  # The default, 1ms, is for a generator on a machine of its own.
  lag_limit = "100ms"

  arrival "poisson" {
    rate = "100/s"
  }
}

experiment "quickstart" {
  title   = "Hello on one node"
  cluster = cluster.here
  worker  = worker.node
  load    = load.minute
  repeat  = 5
  seed    = 42
}

assert "no_errors" {
  that  = load.minute.errors.ratio == 0
  error = "${load.minute.errors.count} of ${load.minute.offered} calls failed; `ainur show` says how."
}

assert "fast_enough" {
  that  = load.minute.overhead.p99 < seconds("250ms")
  error = "p99 platform overhead was ${format("%.1f ms", load.minute.overhead.p99 * 1000)}."
}
