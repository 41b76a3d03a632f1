cluster "lab" {
  host "ctl" {
    address = "10.0.0.1 # ERROR: invalid multi-line string
  }
}
