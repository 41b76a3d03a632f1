package hcl

import (
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// object is what a reference to a block sees: its arguments, its id and name,
// and what its kind exports.
func (e *evaluator) object(in *instance) map[string]cty.Value {
	o := in.Object()
	o["id"], o["name"] = cty.StringVal(in.id), cty.StringVal(in.name)
	switch in.Type {
	case "cluster":
		e.exportHosts(in, o)
	case "trace":
		maps.Copy(o, e.traceObject(in))
	case "worker":
		o["endpoint"], o["version"], o["pid"] = cty.UnknownVal(cty.String), cty.UnknownVal(cty.String), cty.UnknownVal(cty.Number)
	}
	return o
}

// exportHosts exports the hosts of a cluster: as a list, by name, and by role and name.
func (e *evaluator) exportHosts(in *instance, o map[string]cty.Value) {
	byName := map[string]cty.Value{}
	byRole := map[string]map[string]cty.Value{}
	var list []cty.Value
	var offsets []*time.Duration // of clocks, nil where that is not known
	for _, b := range hostBlocks(in) {
		h := hostOf(in, b)
		object := b.Object()
		object["id"], object["name"] = cty.StringVal(in.id+".host."+b.Label), cty.StringVal(b.Label)
		facts, known := e.factsOf(h)
		if h.Connection == "local" && e.facts {
			facts.ClockOffset = new(time.Duration) // it is this one
		}
		offsets = append(offsets, facts.ClockOffset)
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
	o["clock_skew_max"] = cty.UnknownVal(cty.Number)
	if !slices.Contains(offsets, nil) {
		skew := time.Duration(0)
		for _, offset := range offsets {
			skew = max(skew, offset.Abs())
		}
		o["clock_skew_max"] = cty.NumberFloatVal(skew.Seconds())
	}
	o["hosts"], o["host"], o["with_role"] = cty.TupleVal(list), cty.ObjectVal(byName), cty.ObjectVal(roles)
}

// hostBlocks are the hosts of a cluster: its host blocks, and one for each of
// the addresses in hosts.
func hostBlocks(in *instance) []*decode.Block {
	blocks := in.All("host")
	attr := in.Attrs["hosts"]
	def := in.Def.Block("host")
	for _, address := range decode.Get[[]string](in.Block, "hosts") {
		b := in.in.decoder.Standard(def, attr.Range)
		b.Type, b.Label, b.Scope = "host", address, in.Scope
		b.Attrs["address"] = decode.Attr{Go: address, Value: cty.StringVal(address), Range: attr.Range, Given: true}
		b.Attrs["roles"] = in.Attrs["roles"]
		blocks = append(blocks, b)
	}
	return blocks
}

// pointValue is the value of sweep.NAME.point: unknown for each axis while no
// point is chosen.
func (e *evaluator) pointValue(in *instance, ref hcl.Traversal) cty.Value {
	if e.point.sweep == in.Label && e.point.value.IsKnown() {
		axes := allAxes
		if len(ref) > 3 && isAttr(ref[2], "point") {
			if name, ok := stepName(ref[3]); ok {
				axes = e.point.axis(name)
			}
		} else if len(ref) > 2 && !isAttr(ref[2], "point") {
			axes = 0
		}
		e.depend(axes)
		return e.point.value
	}
	if e.point.sweep == "" || e.point.sweep == in.Label {
		e.depend(allAxes)
	}
	axes := map[string]cty.Value{}
	for _, name := range e.axisNames(in) {
		axes[name] = cty.DynamicVal
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
