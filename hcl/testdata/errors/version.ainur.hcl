#: version 0.2.0
ainur {
  required_version = ">= 0.3, < 1.0" # ERROR: this file needs ainur >= 0.3, < 1.0, and this is 0.2.0
}
