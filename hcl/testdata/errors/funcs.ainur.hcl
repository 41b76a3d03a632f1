func "max" { # ERROR: the language has a function "max" already
  params = [a]
  result = a
}

func "twice" {
  params = [x]
  result = x + y # ERROR: func "twice" has no parameter "y"
}

func "again" {
  params = [x]
  result = twice(x) # ERROR: a func cannot call the func "twice"
}

locals {
  a = env("HOME") # ERROR: env() is for the default of a variable
  b = twice()
  c = random() # ERROR: there is no function "random"
}
