# functionbench.ainur.hcl: the functions of FunctionBench that need nothing but
# Python, on this machine. See docs/functionbench.md.
#   ainur run examples/functionbench.ainur.hcl
#   ainur simulate examples/functionbench.ainur.hcl

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
  memory    = "2GiB"
}

# The profiles are what `ainur simulate` goes by; `ainur run` measures. The
# memory holds the files that a function writes, too: /tmp is in memory.
function "hello" {
  runtime = "python3"
  source  = "functions/functionbench/hello"
  memory  = "64MiB"
  timeout = "10s"
  prewarm = 1

  profile {
    warm = "50us"
    cold = "60ms"
  }
}

function "float_operation" {
  runtime = "python3"
  source  = "functions/functionbench/float_operation"
  memory  = "64MiB"
  timeout = "10s"
  prewarm = 1
  args    = { n = 100000 }

  profile {
    warm = "20ms"
    cold = "60ms"
  }
}

function "pyaes" {
  runtime = "python3"
  source  = "functions/functionbench/pyaes"
  memory  = "64MiB"
  timeout = "10s"
  prewarm = 1

  profile {
    warm = { kind = "lognormal", mean = "60ms", cv = 0.2 }
    cold = "65ms"
  }
}

function "dd" {
  runtime = "python3"
  source  = "functions/functionbench/dd"
  memory  = "256MiB"
  timeout = "10s"
  prewarm = 1

  profile {
    warm = { kind = "lognormal", mean = "40ms", cv = 0.3 }
    cold = "65ms"
  }
}

function "gzip_compression" {
  runtime = "python3"
  source  = "functions/functionbench/gzip_compression"
  memory  = "128MiB"
  timeout = "10s"
  prewarm = 1

  profile {
    warm = { kind = "lognormal", mean = "120ms", cv = 0.2 }
    cold = "65ms"
  }
}

function "json_dumps_loads" {
  runtime = "python3"
  source  = "functions/functionbench/json_dumps_loads"
  memory  = "64MiB"
  timeout = "10s"
  prewarm = 1

  profile {
    warm = { kind = "lognormal", mean = "2ms", cv = 1 }
    cold = "80ms"
  }
}

# Five repeats of two seconds: a check that all of them run, in 10 s of load.
load "light" {
  target    = worker.node
  from      = [cluster.here.host.me] # beside the functions, and meant so
  duration  = "2s"
  lag_limit = "100ms" # the generator shares the cores with the functions

  mix = {
    hello            = 1
    float_operation  = 1
    pyaes            = 1
    dd               = 1
    gzip_compression = 1
    json_dumps_loads = 1
  }

  arrival "poisson" {
    rate = "9/s"
  }
}

experiment "functionbench" {
  title   = "FunctionBench without packages on one node"
  cluster = cluster.here
  worker  = worker.node
  load    = load.light
  repeat  = 5
  seed    = 2019
}

assert "none_failed" {
  that  = load.light.errors.count == 0 && load.light.completed == load.light.offered
  error = "${load.light.errors.count} of ${load.light.offered} calls failed; `ainur show` says how."
}

output "gzip_p50_ms" {
  value       = load.light.latency["gzip_compression"].p50 * 1000
  description = "Median latency of compressing 5 MB, in milliseconds."
}
