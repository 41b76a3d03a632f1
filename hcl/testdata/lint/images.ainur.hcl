# Images by tag.

cluster "lab" {
  host "gen" {
    address = "10.0.0.1"
    roles   = ["load"]
  }

  host "w1" {
    address = "10.0.0.2"
  }
}

worker "w" {
  on        = cluster.lab.host.w1
  cores     = 4
  isolation = "containerd"
  memory    = "4GiB"
}

function "tag" {
  image  = "registry.example.edu:5000/lab/json:1.4" # WARNING: image "registry.example.edu:5000/lab/json:1.4" has no digest, and pin is false
  pin    = false
  memory = "64MiB"
}

function "untagged" {
  image  = "json" # WARNING: image "json" has no digest, and pin is false
  pin    = false
  memory = "64MiB"
}

function "latest" {
  image  = "docker.io/lab/json:latest" # WARNING: image "docker.io/lab/json:latest" is whatever is latest
  memory = "64MiB"
}

function "unnamed" {
  image  = "registry.example.edu:5000/lab/json" # WARNING: image "registry.example.edu:5000/lab/json" is whatever is latest
  memory = "64MiB"
}

function "swept" {
  image  = "lab/json:${sweep.s.point.tag}" # WARNING: image "lab/json:latest" is whatever is latest
  memory = "64MiB"
}

function "pinned" {
  image  = "docker.io/lab/json:1.4"
  memory = "64MiB"
}

function "digest" {
  image  = "lab/json:latest@sha256:4f1c9bb1d2bb1f8a6c1f3d7d2a0a3a0f6d1f1d7a7f6b9c0f5e1c2d3b4a596877"
  pin    = false
  memory = "64MiB"
}

function "folder" {
  image  = "oci-dir:images/json"
  pin    = false
  memory = "64MiB"
}

sweep "s" {
  axis "tag" {
    values = ["1.4", "latest", "2.0"]
  }
}

load "l" {
  target   = worker.w
  warmup   = "10s"
  duration = "60s"

  mix = {
    tag = 1, untagged = 1, latest = 1, unnamed = 1, swept = 1, pinned = 1, digest = 1, folder = 1
  }

  arrival "poisson" {
    rate = "50/s"
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

assert "no_errors" {
  that = load.l.errors.count == 0
}
