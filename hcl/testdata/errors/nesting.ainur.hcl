#: elsewhere testdata/errors/modules/again/again.ainur.hcl:2 ERROR: module "loop" leads back to itself
#: elsewhere testdata/errors/modules/wrong/wrong.ainur.hcl:1 ERROR: a module cannot have experiment blocks
module "loop" {
  source = "./modules/loop"
}

module "wrong" {
  source = "./modules/wrong"
}
