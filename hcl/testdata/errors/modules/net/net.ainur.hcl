variable "size" {
  type = number
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

output "f" {
  value = function.f
}
