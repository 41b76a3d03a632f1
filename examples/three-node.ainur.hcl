# Two workers behind a balancer, on hosts that are reached by SSH.
#
#   ainur lab up                                    # or three machines of yours, and their ssh_config
#   ainur plan examples/three-node.ainur.hcl        # what would change on them, and why
#   ainur run examples/three-node.ainur.hcl         # sets them up, runs, brings the results home
#   ainur destroy examples/three-node.ainur.hcl     # as they were
#   ainur lab down

variable "ssh_config" {
  type        = string
  default     = "/run/ainur-lab/lab/ssh_config"
  description = "How the hosts n1, n2 and n3 are reached, as for ssh -F."
}

variable "isolation" {
  type        = string
  default     = "process"
  description = "process, or containerd with hosts that have it: ainur lab up --containerd."
}

variable "duration" {
  type        = string
  default     = "12s"
  description = "How long the load lasts."
}

cluster "lab" {
  ssh {
    config = var.ssh_config
    user   = "root"
  }

  host "n1" {
    address = "n1"
    roles   = ["balancer", "load"]
  }

  host "n2" {
    address = "n2"
    roles   = ["worker"]
  }

  host "n3" {
    address = "n3"
    roles   = ["worker"]
  }
}

worker "pool" {
  for_each  = cluster.lab.with_role["worker"]
  on        = each.value
  isolation = var.isolation
  cores     = 2
  memory    = "1GiB"
}

balancer "lb" {
  on      = cluster.lab.host.n1
  workers = worker.pool
  policy  = "round_robin"
}

function "hello" {
  builtin = "hello"
  memory  = "64MiB"
  timeout = "5s"

  profile {
    warm = "1ms"
    cold = "10ms"
  }
}

load "steady" {
  target    = balancer.lb
  call      = function.hello
  warmup    = "2s"
  duration  = var.duration
  lag_limit = "100ms" # hosts of a lab share the processors of one machine

  arrival "poisson" {
    rate = "50/s"
  }
}

experiment "three_node" {
  title    = "Hello on two workers behind a balancer"
  cluster  = cluster.lab
  workers  = worker.pool
  balancer = balancer.lb
  load     = load.steady
  repeat   = 5
  seed     = 7
}

assert "no_errors" {
  that  = load.steady.errors.ratio == 0
  error = "Some calls failed; see ainur logs."
}
