cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on = cluster.c.host.h
}

function "thumb" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  mix      = { thumb = 1 }

  phase "own" {
    duration = "1s"

    arrival "poisson" {
      rate = "10/s"
    }
  }

  phase "theirs" {
    duration = "1s"

    arrival "trace" {
      trace = trace.t
    }
  }
}

function "busy" {
  builtin = "busy"
  memory  = "1MiB"
}

trace "t" {
  format   = "iluvatar"
  path     = "../../../loadgen/trace/testdata/small.csv"
  metadata = "../../../loadgen/trace/testdata/small.meta.csv"
  map_to   = function.busy # ERROR: trace "t" has a function "thumb", and there is another of that name
}

experiment "e" {
  title   = "E"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  seed    = 1
}
