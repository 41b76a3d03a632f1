package hcl

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Requirements are what must hold of the hosts of an experiment, and what is only
// checked, each with whether it does by the facts of the hosts.
func (m *Module) Requirements(name string) (all []spec.Requirement, diags hcl.Diagnostics) {
	clusters, diags := m.Clusters(name)
	if diags.HasErrors() {
		return nil, diags
	}
	e := m.evaluator(true)
	for _, c := range clusters {
		in := e.find("cluster." + c.Name)
		if in == nil {
			continue
		}
		for _, b := range in.All("require") {
			if e.holds(b, "when", e.lateScope(in, b, schema.SeesSelf), true) {
				all = append(all, e.requirement(in, b, schema.SeesSelf))
			}
		}
	}
	for _, a := range m.order {
		if a.kind != "check" {
			continue
		}
		for _, in := range e.node(a, m.blocks[a].DefRange()).instances {
			r := e.requirement(in, in.Block, schema.SeesFacts)
			r.Check = true
			all = append(all, r)
		}
	}
	return all, diag.Sort(e.diags)
}

// requirement is a require or check block with its verdict.
func (e *evaluator) requirement(top *instance, b *decode.Block, sees string) spec.Requirement {
	scope := e.lateScope(top, b, sees)
	r := spec.Requirement{Name: b.Label, Holds: e.holds(b, "that", scope, false)}
	if b.Def.Attr("fix") != nil {
		r.Fix = decode.Get[string](b, "fix")
	}
	if r.Holds {
		return r
	}
	r.Message = "it does not hold that " + e.m.text(b.Exprs["that"].Range())
	if expr := b.Exprs["error"]; expr != nil {
		v := e.expression(expr, scope)
		if v, err := convert.Convert(v, cty.String); err == nil && v.IsKnown() && !v.IsNull() {
			r.Message = spec.Redacted
			if !v.IsMarked() {
				r.Message = v.AsString()
			}
		}
	}
	return r
}

// holds evaluates a condition, which is otherwise where it is not given.
func (e *evaluator) holds(b *decode.Block, name string, scope decode.Scope, otherwise bool) bool {
	expr := b.Exprs[name]
	if expr == nil {
		return otherwise
	}
	v := e.expression(expr, scope)
	v, _ = v.UnmarkDeep()
	verdict, err := convert.Convert(v, cty.Bool)
	if err == nil && verdict.IsKnown() && !verdict.IsNull() {
		return verdict.True()
	}
	at := expr.Range()
	e.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("%s of %s is neither true nor false", name, b.Scope.Owner), At: &at})
	return false
}

// Forget makes the module ask for the facts of hosts again.
func (m *Module) Forget() { m.top.facts = map[string]hostFacts{} }
