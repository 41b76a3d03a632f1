variable "token" {
  sensitive = true
  default   = "s3cret"
}

cluster "lab" {
  host "ctl" {
    address    = "10.0.0.1"
    connection = "local"
    labels     = { token = "is ${var.token}" } # ERROR: a sensitive value cannot be used here
  }
}
