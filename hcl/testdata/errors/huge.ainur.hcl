locals {
  a = 1e999 # ERROR: this number has over 400 digits, or an exponent over that
}
