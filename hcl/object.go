package hcl

import (
	"maps"

	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// object is what a reference to a block sees: its arguments, its id and name,
// and what its kind exports.
func (e *evaluator) object(in *instance, n *node) map[string]cty.Value {
	o := in.Object()
	o["id"], o["name"] = cty.StringVal(in.id), cty.StringVal(in.name)
	switch in.Type {
	case "cluster":
		e.hosts(in, o)
	case "sweep":
		o["point"] = e.pointValue(in)
		n.moving = true
	case "trace":
		maps.Copy(o, e.traceObject(in))
	}
	return o
}

// hosts exports the hosts of a cluster: as a list, by name, and by role and name.
func (e *evaluator) hosts(in *instance, o map[string]cty.Value) {
	byName := map[string]cty.Value{}
	byRole := map[string]map[string]cty.Value{}
	var list []cty.Value
	for _, b := range in.All("host") {
		h := hostOf(b)
		object := b.Object()
		object["id"], object["name"] = cty.StringVal(in.id+".host."+b.Label), cty.StringVal(b.Label)
		facts, known := e.factsOf(h)
		object["facts"] = factsValue(facts, known)
		v := cty.ObjectVal(object)
		list = append(list, v)
		byName[b.Label] = v
		for _, role := range h.Roles {
			if byRole[role] == nil {
				byRole[role] = map[string]cty.Value{}
			}
			byRole[role][b.Label] = v
		}
	}
	roles := map[string]cty.Value{}
	for role, hosts := range byRole {
		roles[role] = cty.ObjectVal(hosts)
	}
	o["hosts"], o["host"], o["with_role"] = cty.TupleVal(list), cty.ObjectVal(byName), cty.ObjectVal(roles)
}

func hostOf(b *decode.Block) spec.Host {
	return spec.Host{
		Name: b.Label, Address: decode.Get[string](b, "address"), Connection: decode.Get[string](b, "connection"),
		Roles: decode.Get[[]string](b, "roles"), Labels: decode.Get[map[string]string](b, "labels"),
	}
}

// pointValue is the value of sweep.NAME.point: unknown for each axis while no
// point is chosen.
func (e *evaluator) pointValue(in *instance) cty.Value {
	if e.sweep == in.Label && e.axes.IsKnown() {
		return e.axes
	}
	axes := map[string]cty.Value{}
	for _, axis := range in.All("axis") {
		axes[axis.Label] = cty.DynamicVal
	}
	return cty.ObjectVal(axes)
}

// factsValue is the facts of a host as expressions see them. They are unknown
// before plan, and their names are checked all the same.
func factsValue(f spec.Facts, known bool) cty.Value {
	text := func(s string) cty.Value { return leaf(cty.StringVal(s), known) }
	number := func(n int64) cty.Value { return leaf(cty.NumberIntVal(n), known) }
	turbo := cty.NullVal(cty.Bool)
	if f.Turbo != nil {
		turbo = cty.BoolVal(*f.Turbo)
	}
	object := cty.ObjectVal
	return object(map[string]cty.Value{
		"hostname": text(f.Hostname), "arch": text(f.Arch), "os": text(f.OS), "virt": text(f.Virt), "cgroup": text(f.Cgroup),
		"kernel": object(map[string]cty.Value{"release": text(f.Kernel), "cmdline": text(f.Cmdline)}),
		"cpu": object(map[string]cty.Value{
			"model": text(f.CPUModel), "sockets": number(int64(f.Sockets)), "physical_cores": number(int64(f.PhysicalCores)),
			"logical_cores": number(int64(f.LogicalCores)), "numa_nodes": number(int64(f.NUMANodes)), "smt": text(f.SMT),
			"governor": text(f.Governor), "turbo": leaf(turbo, known),
		}),
		"memory": object(map[string]cty.Value{
			"total": number(int64(f.MemoryTotal)), "swap": number(int64(f.SwapTotal)), "thp": text(f.THP),
		}),
	})
}

func leaf(v cty.Value, known bool) cty.Value {
	if known {
		return v
	}
	return cty.UnknownVal(v.Type())
}
