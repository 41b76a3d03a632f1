# azure-trace.ainur.hcl: five minutes of the Azure Functions trace, ten times
# faster, on one worker of this machine.
#   ainur run examples/azure-trace.ainur.hcl --var trace_dir=DIR
# DIR holds the CSV pair paper-repro.*: 11 868 calls of 21 functions in 300 s.

variable "trace_dir" {
  type        = string
  description = "Folder of paper-repro.trace.csv and paper-repro.metadata-trace.csv."
}

variable "speed" {
  type        = number
  default     = 10
  description = "How many times faster than recorded."

  validation {
    condition     = var.speed > 0 && var.speed <= 100
    error_message = "Speed is above 0, up to 100."
  }
}

variable "memory" {
  type    = string
  default = "16GiB"
}

variable "isolation" {
  type        = string
  default     = "process"
  description = "What a sandbox is made of: process, containerd or docker."
}

variable "socket" {
  type        = string
  default     = null
  description = "Where the daemon of containerd or docker listens, when that is not where it usually does."
}

trace "azure" {
  format   = "iluvatar"
  path     = "${var.trace_dir}/paper-repro.trace.csv"
  metadata = "${var.trace_dir}/paper-repro.metadata-trace.csv"
  map_to   = function.busy

  # The recorded durations keep 28.6 cores busy, and at ten times the speed 286.
  # Scaled by 0.002 it is 0.57 of a core: 29 % of a machine with two.
  scale_duration = 0.002
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
  cores     = 2
  memory    = var.memory

  container {
    socket = var.socket
  }
}

function "busy" {
  builtin = "busy"
  memory  = "64MiB"
  timeout = "30s"
}

load "replay" {
  target    = worker.node
  from      = [cluster.here.host.me]
  duration  = trace.azure.duration / var.speed
  lag_limit = "50ms" # the generator shares the cores with the functions

  arrival "trace" {
    trace = trace.azure
    speed = var.speed
  }
}

experiment "azure_trace" {
  title   = "Azure trace on one worker"
  cluster = cluster.here
  worker  = worker.node
  load    = load.replay
  repeat  = 1
  seed    = 2019
}

assert "none_lost" {
  that  = load.replay.offered == trace.azure.calls && load.replay.completed + load.replay.failed == load.replay.offered
  error = "${trace.azure.calls} calls are in the trace, ${load.replay.offered} were offered, ${load.replay.completed + load.replay.failed} have a status."
}

output "cold_ratio" {
  value       = load.replay.cold.ratio
  description = "Share of calls that waited for a new sandbox."
}
