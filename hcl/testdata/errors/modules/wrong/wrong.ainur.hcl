experiment "e" {
  title   = "E"
  cluster = null
  worker  = null
  load    = null
}
