locals {
  a = join("", [for i in linspace(1, 100000, 100000) : "0123456789"])
  b = [for i in range(12) : local.a] # ERROR: this value is too large: more than 8388608 elements and bytes of text
  c = "${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}${local.a}" # ERROR: this value is too large: more than 8388608 elements and bytes of text
  d = [for i in range(1000) : [for j in range(1000) : 1]] # ERROR: for expressions go through more than 500000 elements, or all together more than 2000000
}
