variable "none" { # ERROR: variable "none" has no value
  type = number
}

variable "kind" {
  type    = number
  default = "many" # ERROR: variable "kind" wants number: a number is required
}

variable "rate" {
  type    = number
  default = -1 # ERROR: variable "rate" is refused

  validation {
    condition     = var.rate > 0
    error_message = "rate is calls per second, from 1."
  }
}

variable "other" {
  default = var.rate # ERROR: var.rate cannot be used here
}

variable "null" {
  nullable = false
  default  = null # ERROR: variable "null" may not be null
}
