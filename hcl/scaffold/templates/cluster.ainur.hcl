# cluster.ainur.hcl: a balancer and its workers on hosts reached over SSH
#   ainur plan cluster.ainur.hcl
#   ainur run cluster.ainur.hcl

cluster "lab" {
  # Your hosts. `ainur init` writes them: --hosts, --from-ssh-config,
  # --from-ansible, --from-cloudlab.
  host "ctl" {
    address = "10.10.0.10"
    roles   = ["balancer", "load"]
  }

  host "w1" {
    address = "10.10.0.11"
    roles   = ["worker"]
  }

  host "w2" {
    address = "10.10.0.12"
    roles   = ["worker"]
  }
}

worker "pool" {
  for_each = cluster.lab.with_role["worker"]
  on       = each.value
  queue    = "fcfs"

  keepalive "ttl" {
    idle = "10m"
  }
}

balancer "lb" {
  on      = cluster.lab.host.ctl
  workers = worker.pool
  policy  = "ch_rlu"
}

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

function "busy" {
  builtin = "busy"
  memory  = "128MiB"
  args    = { ms = 50 }

  profile {
    warm = "50ms"
    cold = "20ms"
  }
}

load "mixed" {
  target = balancer.lb
  from   = cluster.lab.with_role["load"]

  mix = {
    hello = 9
    busy  = 1
  }

  phase "warm" {
    duration = "30s"
    record   = false

    arrival "poisson" {
      rate = "50/s"
    }
  }

  phase "steady" {
    duration = "5m"

    arrival "poisson" {
      rate = "100/s"
    }
  }
}

experiment "cluster" {
  title    = "A mix on the workers of a cluster"
  cluster  = cluster.lab
  workers  = worker.pool
  balancer = balancer.lb
  load     = load.mixed
  repeat   = 10
  cooldown = "30s"
  seed     = 7
}

assert "none_failed" {
  that  = load.mixed.errors.count == 0
  error = "${load.mixed.errors.count} of ${load.mixed.offered} calls failed."
}

assert "hello_is_fast" {
  that  = load.mixed.latency["hello"].p99 < seconds("50ms")
  error = "p99 latency of hello was ${format("%.1f ms", load.mixed.latency["hello"].p99 * 1000)}."
}
