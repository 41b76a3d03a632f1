module "loop" {
  source = "../loop"
}
