module "gone" {
  source = "./modules/gone" # ERROR: module "gone": there is no folder testdata/errors/modules/gone
}

module "branch" {
  source = "git::https://example.com/x.git//net?ref=main" # ERROR: module "branch": ref is "main", want a commit of 40 hex digits: branches and tags move
}

module "far" {
  source = "git::https://example.com/x.git//net?ref=0123456789012345678901234567890123456789" # ERROR: module "far" has not been fetched
}

module "computed" {
  source = local.where # ERROR: the source of module "computed" is written out: it is read before everything else
}

module "net" {
  source = "./modules/net"
  sise   = 3 # ERROR: module "net" has no variable "sise"
}

module "bare" { # ERROR: module "bare" needs "size"
  source = "./modules/net"
}

locals {
  where = "./modules/net"
  g     = module.net.g # ERROR: module.net has no "g"
}
