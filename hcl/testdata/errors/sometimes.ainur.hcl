cluster "c" {
  host "a" {
    address = "127.0.0.1"
    connection = "local"
  }
}
cluster "d" {
  host "a" {
    address = "127.0.0.2"
    connection = "local"
  }
}

worker "w" { on = cluster.c.host.a }
function "f" {
  for_each = sweep.s.point.k == 1 ? { a = "64MiB" } : { b = "64MiB" }
  builtin = "hello"
  memory = "64MiB"
}
load "l" { # ERROR: load "l" calls function.f["a"], which there is not
  target = worker.w
  mix = { "f[\"a\"]" = 1 }
  duration = "5s"
  arrival "poisson" { rate = "1/s" }
}
sweep "s" {
  axis "k" { values = [1, 2] }
}
experiment "e" {
  title = "x"
  seed = 1
  repeat = 1
  cluster = cluster.c
  worker = worker.w
  load = load.l
  sweep = sweep.s
}
