cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "local"
    roles      = ["worker"]
  }
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
  duration = "1s"

  arrival "poisson" {
    rate = "10/s"
  }
}

trace "gone" {
  format   = "iluvatar"
  path     = "gone.csv"
  metadata = "gone-metadata.csv" # ERROR: trace "gone" cannot be read
  map_to   = function.f
}

trace "azure" {
  format        = "azure2019"
  path          = "gone" # ERROR: trace "azure" cannot be read
  within_minute = "poisson"
}

load "g" {
  target   = worker.w
  duration = "1s"

  arrival "trace" {
    trace = trace.gone
  }
}

trace "bare" {
  format   = "iluvatar"
  path     = "../../../loadgen/trace/testdata/small.csv"
  metadata = "../../../loadgen/trace/testdata/small.meta.csv"
  sha256   = "00" # ERROR: sha256 is of another file than ../../../loadgen/trace/testdata/small.csv
  map_to   = function.f
}

trace "unmapped" { # ERROR: trace "unmapped" needs map_to: what serves its calls?
  format   = "iluvatar"
  path     = "../../../loadgen/trace/testdata/small.csv"
  metadata = "../../../loadgen/trace/testdata/small.meta.csv"
}

load "u" {
  target   = worker.w
  duration = "1s"

  arrival "trace" {
    trace = trace.unmapped
  }
}
