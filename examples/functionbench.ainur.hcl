# functionbench.ainur.hcl: the functions of FunctionBench that need nothing but
# Python, at a low rate on one worker of this machine.
#   ainur run examples/functionbench.ainur.hcl
#   ainur bench functions examples/functions/functionbench

variable "isolation" {
  type        = string
  default     = "process"
  description = "What a sandbox is made of: process, containerd or docker."
}

locals {
  functions = {
    float_operation  = { args = { n = 100000 }, memory = "64MiB" }
    pyaes            = { args = { length_of_message = 200, num_of_iterations = 20 }, memory = "64MiB" }
    json_dumps_loads = { args = { times = 2 }, memory = "64MiB" }
    gzip_compression = { args = { file_size = 0.5 }, memory = "64MiB" }
    dd               = { args = { bs = 128, count = 100 }, memory = "96MiB" }
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
    warm = "30ms"
    cold = "60ms"
  }
}

load "some" {
  target    = worker.node
  from      = [cluster.here.host.me]
  duration  = "10s"
  lag_limit = "100ms" # the generator shares the cores with the functions
  mix       = { for f in function.bench : f.name => 1 }

  arrival "poisson" {
    rate = "5/s"
  }
}

experiment "functionbench" {
  title   = "FunctionBench without downloads"
  cluster = cluster.here
  worker  = worker.node
  load    = load.some
  repeat  = 1
  seed    = 1
}

assert "all_answer" {
  that  = load.some.failed == 0
  error = "${load.some.failed} calls failed."
}
