package hcl

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/ainur-faas/ainur/hcl/diag"
)

// ofUse are the kinds of block that something refers to, or they do nothing.
var ofUse = []string{"variable", "secret", "trace", "cluster", "worker", "balancer", "function", "load", "sweep", "simulate", "collect", "local"}

// started are the kinds that an experiment leads to: to ask for their results
// is not to use them.
var started = []string{"worker", "balancer", "function", "load"}

// asking are the kinds of block that look at results.
var asking = []string{"assert", "claim", "report", "check"}

// unused warns of blocks and locals that nothing refers to.
func (l *linter) unused() {
	used := l.m.used()
	for _, a := range l.m.order {
		if a.kind != "load" {
			continue
		}
		for _, in := range l.base.nodes[a].instances { // what an unused load calls is not unused too
			l.reach((&builder{evaluator: l.base, engine: unchecked}).load(in))
		}
	}
	library := len(l.m.Experiments()) == 0
	places := map[addr]hcl.Range{}
	for _, a := range l.m.order {
		places[a] = l.m.blocks[a].DefRange()
	}
	for name, attr := range l.m.locals {
		places[addr{"local", name}] = attr.NameRange
	}
	for a, at := range places {
		switch {
		case !slices.Contains(ofUse, a.kind), used[a], used[addr{kind: a.kind}]:
		case library && a.kind != "variable" && a.kind != "local": // others may use it
		case a.kind == "function" && (l.reached[a] || l.vague):
		default:
			p := diag.Problem{Summary: "nothing uses " + a.owner(), At: &at, Notes: []diag.Note{diag.Help("refer to it, or take it out")}}
			l.warn(nil, p)
		}
	}
}

// used are the blocks and locals that others refer to. One without a name stands
// for all of its kind: worker[local.x] may be any of them.
func (m *Module) used() map[addr]bool {
	used := map[addr]bool{}
	for _, a := range m.order {
		m.uses(used, a, m.blocks[a].Body)
	}
	for _, name := range slices.Sorted(maps.Keys(m.locals)) {
		m.uses(used, addr{"local", name}, m.locals[name].Expr)
	}
	return used
}

// uses adds what the expressions in a node refer to, which belongs to a.
func (m *Module) uses(used map[addr]bool, a addr, n hclsyntax.Node) {
	_ = hclsyntax.VisitAll(n, func(n hclsyntax.Node) hcl.Diagnostics {
		ref, ok := n.(*hclsyntax.ScopeTraversalExpr)
		if !ok {
			return nil
		}
		kind := kindOf(ref.Traversal.RootName())
		if slices.Contains(asking, a.kind) && slices.Contains(started, kind) {
			return nil
		}
		name, _ := second(ref.Traversal)
		if to := (addr{kind, name}); to != a {
			used[to] = true
		}
		return nil
	})
}
