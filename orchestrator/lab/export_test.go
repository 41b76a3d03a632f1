package lab

// OnThread is for tests that enter the network of a host.
var OnThread = onThread

// IDOf and LinkOf are the names on the machine of the lab in a folder.
func IDOf(dir string) string   { return (&Lab{Dir: dir}).id() }
func LinkOf(dir string) string { return (&Lab{Dir: dir}).link() }
