# functionbench.ainur.hcl: the functions of FunctionBench that need nothing but
# Python, at a low rate on one worker of this machine. See docs/functionbench.md.
#   ainur run examples/functionbench.ainur.hcl
#   ainur simulate examples/functionbench.ainur.hcl
#   ainur bench functions examples/functions/functionbench

variable "isolation" {
  type        = string
  default     = "process"
  description = "What a sandbox is made of: process, containerd or docker."
}

# The memory has room for the files that a function writes: /tmp is in memory.
# The warm times are what `ainur simulate` goes by; `ainur run` measures.
locals {
  functions = {
    hello            = { args = {}, memory = "64MiB", warm = "50us" }
    float_operation  = { args = { n = 100000 }, memory = "64MiB", warm = "20ms" }
    pyaes            = { args = { num_of_iterations = 100 }, memory = "64MiB", warm = "30ms" }
    json_dumps_loads = { args = {}, memory = "64MiB", warm = "1ms" }
    gzip_compression = { args = { file_size = 2 }, memory = "64MiB", warm = "50ms" }
    dd               = { args = { count = 500 }, memory = "128MiB", warm = "30ms" }
  }
}

cluster "here" {
  host "me" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "node" {
  on        = cluster.here.host.me
  isolation = var.isolation
  memory    = "1GiB"
}

function "bench" {
  for_each = local.functions
  runtime  = "python3"
  source   = "functions/functionbench/${each.key}"
  memory   = each.value.memory
  args     = each.value.args
  timeout  = "30s"
  prewarm  = 1

  profile {
    warm = { kind = "lognormal", mean = each.value.warm, cv = 0.3 }
    cold = "70ms"
  }
}

# Five repeats of two seconds: whether all of them work, in 10 s of load.
load "some" {
  target    = worker.node
  from      = [cluster.here.host.me] # beside the functions, and meant so
  duration  = "2s"
  lag_limit = "100ms" # the generator shares the cores with the functions
  mix       = { for f in function.bench : f.name => 1 }

  arrival "poisson" {
    rate = "10/s"
  }
}

experiment "functionbench" {
  title   = "FunctionBench without packages and downloads"
  cluster = cluster.here
  worker  = worker.node
  load    = load.some
  repeat  = 5
  seed    = 1
}

assert "none_failed" {
  that  = load.some.errors.count == 0 && load.some.completed == load.some.offered
  error = "${load.some.offered - load.some.completed} of ${load.some.offered} calls have no result; `ainur show` says why."
}
