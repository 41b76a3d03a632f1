wroker "w" { # ERROR: unknown block "wroker"
}

simulate "fast" {
}

duration = 3 # ERROR: argument "duration" outside any block

cluster { # ERROR: cluster needs a name
}

cluster "a" "b" { # ERROR: cluster has too many labels
}

cluster "2 b" { # ERROR: "2 b" cannot be a name
}

cluster "empty" { # ERROR: cluster "empty" needs a host block
}

cluster "c" {
  host "h" {
    address = "10.0.0.1"
  }

  hots "i" { # ERROR: unknown block "hots" in cluster "c"
  }
}

cluster "c" { # ERROR: cluster "c" is declared twice
  host "h" {
    address    = "10.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on = cluster.c.host.h

  env { # ERROR: "env" is an argument in worker "w"
  }

  qeue = "fcfs" # ERROR: unknown argument "qeue" in worker "w"
  zzz  = 1      # ERROR: unknown argument "zzz" in worker "w"
}

function "f" {
  image   = "docker.io/x"
  memory  = "64MiB"
  profile = {} # ERROR: "profile" is a block in function "f"
}

load "l" { # ERROR: load "l" needs "target"
  duration = "1s"

  arrival "poison" { # ERROR: unknown arrival model "poison"
    rate = "1/s"
  }

  arrival "constant" { # ERROR: only one arrival block is allowed in load "l"
    rate = "1/s"
  }
}

locals {
  a = 1

  b { # ERROR: locals takes no blocks
  }
}

locals {
  a = 2 # ERROR: local "a" is declared twice
  c = timestamp() # ERROR: there is no function "timestamp"
  d = linspce(1, 2, 3) # ERROR: there is no function "linspce"
}

experiment "latest" { # WARNING: experiment "latest" has seed 0 # ERROR: an experiment cannot be called "latest"
  title = "Latest"
}
