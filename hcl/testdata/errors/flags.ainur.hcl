#: var rat=1
#: var novalue
#: nowhere ERROR: no variable "rat" is declared
#: nowhere ERROR: --var novalue has no value
variable "rate" {
  type    = numbr # ERROR: invalid type specification
  default = 1
}
