// Package dispatch chooses which of the idle sandboxes of its function an invocation gets. Which
// go when memory is short is another question, that of agent/keepalive.
package dispatch

import "github.com/ainur-faas/ainur/hcl/registry"

// Policy is a way to choose.
type Policy struct {
	// Oldest chooses the sandbox that has been idle for longest rather than that used last.
	Oldest bool
}

// Builtin lists the dispatch policies that ship with ainur.
func Builtin() *registry.Registry[Policy] {
	r := registry.New[Policy]("dispatch policy")
	add := func(name string, p Policy, about registry.About) {
		r.Add(name, about, func(decode registry.Decoder) (Policy, error) { return p, decode(&struct{}{}) })
	}
	add("mru", Policy{}, registry.About{
		Doc:    "the most recently used: its caches are warm, and those that are not needed stay idle until they expire",
		Source: "M. Shahrad et al., Serverless in the Wild, ATC 2020, section 2; L. Wang et al., Peeking behind the curtains, ATC 2018, section 5",
	})
	add("lru", Policy{Oldest: true}, registry.About{
		Doc:    "the least recently used: all are used in turn, and none expires while the load needs it now and then",
		Source: "B. Sethi et al., LCS: Alleviating total cold start latency in serverless applications with LRU warm container approach, ICDCN 2023, doi:10.1145/3571306.3571404",
	})
	r.Alias("warm_first", "mru")
	return r
}
