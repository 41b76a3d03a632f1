module "again" {
  source = "../again"
}
