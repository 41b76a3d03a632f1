# quickstart.ainur.hcl: three functions on this machine, no root, no SSH.
#   ainur run examples/quickstart.ainur.hcl
#   ainur simulate examples/quickstart.ainur.hcl

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
  keepalive = "ttl"
}

# The profile is what `ainur simulate` goes by; `ainur run` measures.
function "hello" {
  builtin = "hello"
  memory  = "64MiB"
  timeout = "5s"
  prewarm = 1

  profile {
    warm = "50us"
    cold = "10ms"
  }
}

function "hello_py" {
  runtime = "python3"
  source  = "functions/hello-py"
  memory  = "128MiB"
  timeout = "5s"
  prewarm = 1
  args    = { name = "Ilúvatar" }

  profile {
    warm = { kind = "lognormal", mean = "200us", cv = 0.3 }
    cold = "80ms"
  }
}

function "hello_go" {
  runtime = "go"
  source  = "functions/hello-go"
  memory  = "64MiB"
  timeout = "5s"
  prewarm = 1
  args    = { name = "Ainur" }

  profile {
    warm = "50us"
    cold = "15ms"
  }
}

load "minute" {
  target   = worker.node
  from     = [cluster.here.host.me] # beside the functions, and meant so
  warmup   = "2s"
  duration = "10s"

  # The default, 1ms, is for a generator on a machine of its own. Here it shares
  # a laptop's cores with the functions it calls.
  lag_limit = "100ms"

  mix = {
    hello    = 2
    hello_py = 1
    hello_go = 1
  }

  arrival "poisson" {
    rate = "40/s"
  }
}

experiment "quickstart" {
  title   = "Hello in three languages on one node"
  cluster = cluster.here
  worker  = worker.node
  load    = load.minute
  repeat  = 2
  seed    = 42
}

assert "no_errors" {
  that  = load.minute.errors.ratio == 0
  error = "${load.minute.errors.count} of ${load.minute.offered} calls failed; `ainur show` says how."
}

assert "fast_enough" {
  that  = load.minute.overhead.p95 < seconds("250ms")
  error = "p95 platform overhead was ${format("%.1f ms", load.minute.overhead.p95 * 1000)}."
}

output "python_p50_ms" {
  value       = load.minute.latency["hello_py"].p50 * 1000
  description = "Median latency of the Python function, in milliseconds."
}
