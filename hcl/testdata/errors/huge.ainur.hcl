locals {
  a = 1e999 # ERROR: this number has an exponent over 400
}
