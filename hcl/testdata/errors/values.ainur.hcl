cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    connection = "ssh"
  }
}

worker "w" {
  on        = "ctl"        # ERROR: on wants a host, got string
  isolation = "containerd"
  cores     = 0            # ERROR: cores: want more than 0
  memory    = 512          # ERROR: a size needs a unit
  queue     = "sfj"        # ERROR: unknown queue policy "sfj"
  log_level = "trace"      # ERROR: "trace" is no log_level
  env       = "A=1"        # ERROR: env: want map of string, got string
}

worker "x" {
  on    = worker.w # ERROR: on wants a host, got worker.w
  queue = "fcfs"

  queue "sjf" { # ERROR: queue is given twice
  }

  keepalive "ttl" {
    idle = 10   # ERROR: a duration needs a unit
    ilde = "1m" # ERROR: unknown option "ilde" of this keepalive
  }
}

balancer "lb" {
  on      = [] # ERROR: on names no host: the list is empty
  workers = worker.w
  port    = 70000 # ERROR: port: want at most 65535, got 70000

  policy "bounded" { # ERROR: policy bounded: ceil is 0.5, want 1 or more
    ceil = 0.5
  }
}

function "f" {
  builtin = "helo"    # ERROR: "helo" is no builtin
  memory  = "64MB2"   # ERROR: memory: "64MB2" is not a number with a unit
  timeout = "5sec"    # ERROR: timeout: unknown unit "sec" in "5sec", want one of ns us µs ms s m h d
  prewarm = 1.5       # ERROR: prewarm: want a whole number, got 1.5
  cpus    = -1        # ERROR: cpus: want no negative value
  args    = [1]       # ERROR: args wants an object, got tuple

  profile {
    warm = { kind = "normal", mean = "1ms" } # ERROR: "normal" is no kind of distribution
    cold = { mean = 20 }                     # ERROR: a duration needs a unit
  }
}

load "l" {
  target   = worker.w
  mix      = { f = 1, g = 2 } # ERROR: there is no function "g"
  duration = "-1s"            # ERROR: duration: want no negative value

  arrival "poisson" {
    rate = "10/d" # ERROR: rate: unknown unit "/d" in "10/d", want one of /s /m /h
  }
}
