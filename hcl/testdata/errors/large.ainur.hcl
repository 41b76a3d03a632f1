locals {
  a = join("", [for i in linspace(1, 50000, 50000) : "0123456789"])
  b = [for i in range(12) : local.a] # ERROR: this value is too large: more than 1048576 elements and bytes of text
  c = "${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}" # ERROR: this value is too large: more than 1048576 elements and bytes of text
  d = [for i in range(1000) : [for j in range(1000) : 1]] # ERROR: for expressions go through more than 300000 elements, or all together more than 1200000
}

cluster "c" {
  dynamic "host" {
    for_each = toset(hostlist("n[00001-20000]")) # ERROR: for_each makes 20000 blocks, and at most 10000 are made
    labels   = [host.key]

    content {
      address = host.key
    }
  }
}
