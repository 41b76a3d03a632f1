cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on     = cluster.lab.host.ctl
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
  seed    = 1
}

load "both" {
  target   = worker.w
  call     = function.f
  mix      = { f = 1 } # ERROR: load "both" has call and mix: keep one
  duration = "1s"

  arrival "constant" {
    rate = 50 # ERROR: a rate needs a unit
  }
}

load "none" { # ERROR: load "none" needs call or mix: what does it call?
  target   = worker.w
  duration = "1s"

  arrival "constant" {
    rate = "50/s"
  }
}

load "silent" { # ERROR: load "silent" needs an arrival block
  target   = worker.w
  call     = function.f
  duration = "1s"
}

load "phases" { # ERROR: load "phases" has phases: duration and arrival belong into them
  target   = worker.w
  call     = function.f
  duration = "1s"

  phase "warmup" { # ERROR: load "phases" has another phase called "warmup"
    duration = "1s"

    arrival "constant" {
      rate = "50/s"
    }
  }
}

load "zero" {
  target   = worker.w
  mix      = { f = 0 } # ERROR: the weights of the mix are all 0
  duration = "1s"

  arrival "closed" {
    clients = 0 # ERROR: clients: want at least 1, got 0
  }
}

function "nothing" { # ERROR: function "nothing" needs image, builtin or runtime
  memory = "1MiB"
}

function "gone" {
  runtime = "python3"
  source  = "gone" # ERROR: ROOT/testdata/errors/gone does not exist
  memory  = "1MiB"
}

function "twice" {
  builtin = "hello"
  runtime = "python3" # ERROR: function "twice" has builtin and runtime: keep one
  source  = "gone"
  memory  = "1MiB"
}

function "p99" { # ERROR: a function cannot be called "p99"
  builtin = "hello"
  memory  = "1MiB"
}
