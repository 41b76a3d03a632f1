func "f" {
  params = "x" # ERROR: invalid expression
  result = 1
}
