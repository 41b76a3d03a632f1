cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on     = cluster.lab.host.ctl
  queue  = sweep.s.point.queue # ERROR: unknown queue policy "lifo"
  memory = "1GiB"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"

  arrival "poisson" {
    rate = "10/s"
  }
}

experiment "e" {
  title   = "An experiment"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.s
  seed    = 1
}

sweep "s" {
  axis "queue" {
    values = ["fcfs", "lifo"]
  }
}

sweep "wrong" {
  mode = "zip"

  axis "a" {
    values = [1, 2]
  }

  exclude {
    when = point.b > 1 # ERROR: point has no "b"
  }
}

sweep "big" { # ERROR: sweep "big" has more than 10000 points
  axis "a" {
    values = range(200)
  }

  axis "b" {
    values = range(200)
  }
}

experiment "wrong" {
  title   = "t"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
  sweep   = sweep.big
  seed    = 1
}
