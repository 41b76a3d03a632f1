# Hosts that are one machine, keys that nobody compared, and generators beside workers.

cluster "lab" {
  ssh {
    host_key = "accept_new" # WARNING: cluster "lab" accepts host keys that nobody has compared
  }

  host "a" {
    address = "Node1.example.edu"
  }

  host "b" { # WARNING: hosts "a" and "b" of cluster "lab" have one address, node1.example.edu
    address = "node1.example.edu"

    ssh {
      host_key = "accept_new" # WARNING: host "b" of cluster "lab" accepts host keys that nobody has compared
    }
  }

  host "c" {
    address    = "10.0.0.3"
    connection = "local"
    roles      = ["load"]
  }

  host "d" { # WARNING: hosts "c" and "d" of cluster "lab" are both this machine
    address    = "10.0.0.4"
    connection = "local"
  }

  host "e" {
    address = "10.0.0.4" # near: d is reached another way

    ssh {
      host_key = "strict"
    }
  }
}

# Its hosts differ, and nothing generates load on that of the worker.
cluster "apart" {
  host "a" {
    address = "10.0.0.1"
  }

  host "b" {
    address    = "10.0.0.2"
    connection = "local"
  }
}

worker "w" {
  on     = cluster.lab.host.d
  memory = "4GiB"
}

worker "x" {
  on     = cluster.apart.host.a
  memory = "4GiB"
}

worker "y" {
  on     = cluster.apart.host.b
  memory = "4GiB"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" { # WARNING: load "l" is made on host "c", which has the role load, and so is the work of worker "w"
  target   = worker.w
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "meant" {
  target   = worker.w
  from     = [cluster.lab.host.c]
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "away" {
  target   = worker.x
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "beside" { # WARNING: load "beside" is made on this machine, and so is the work of worker "y"
  target   = worker.y
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

load "modelled" {
  target   = worker.y
  call     = function.f
  warmup   = "10s"
  duration = "60s"

  arrival "poisson" {
    rate = "50/s"
  }
}

simulate "s" {
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = [load.l, load.meant]
  seed    = 1
}

experiment "apart" {
  title   = "An experiment"
  cluster = cluster.apart
  worker  = worker.x
  load    = load.away
  seed    = 1
}

experiment "beside" {
  title   = "An experiment"
  cluster = cluster.apart
  worker  = worker.y
  load    = load.beside
  seed    = 1
}

experiment "modelled" {
  title    = "An experiment"
  simulate = simulate.s
  worker   = worker.y
  load     = load.modelled
  seed     = 1
}

assert "no_errors" {
  that = load.l.errors.count == 0
}

assert "away" {
  that = load.away.errors.count == 0
}

assert "beside" {
  that = load.beside.errors.count == 0
}

assert "modelled" {
  that = load.modelled.errors.count == 0
}
