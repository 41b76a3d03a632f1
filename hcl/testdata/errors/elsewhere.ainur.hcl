cluster "c" {
  host "h" { address = "10.0.0.1" }
}

cluster "other" {
  host "o" { address = "10.0.0.2" }
}

worker "w" {
  on = cluster.c.host.h
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.f
  from     = cluster.other.hosts # ERROR: load "l" names a host of cluster.other, and the experiment uses cluster.c
  duration = "1s"

  arrival "constant" {
    rate = "10/s"
  }
}

collect "k" {
  from  = [cluster.c.host.h, cluster.other.host.o] # ERROR: collect "k" names a host of cluster.other, and the experiment uses cluster.c
  files = ["/etc/hostname"]
}

experiment "e" {
  title   = "E"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  collect = collect.k
  seed    = 1
}
