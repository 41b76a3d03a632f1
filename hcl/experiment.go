package hcl

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Validate finds what is wrong whatever the hosts are like: their facts are unknown.
func (m *Module) Validate() hcl.Diagnostics {
	base := m.evaluator(false)
	base.everything()
	base.checkLate()
	for _, name := range m.names("sweep") {
		for _, sweep := range base.nodes[addr{"sweep", name}].instances {
			base.expand(sweep)
		}
	}
	var diags hcl.Diagnostics
	used := map[string]bool{}
	for _, name := range m.Experiments() {
		own := m.evaluator(false)
		diags = append(diags, own.eachPoint(name, unchecked, func(p spec.Point) { usedBy(used, p) })...)
		own.checkSeed(name)
		diags = append(diags, own.diags...)
	}
	base.checkUnused(used)
	return diag.Sort(append(diags, base.diags...))
}

// usedBy adds the loads and functions of a point to used.
func usedBy(used map[string]bool, p spec.Point) {
	for _, f := range p.Functions {
		used["function."+f.Name] = true
	}
	for _, l := range p.Loads {
		used["load."+l.Name] = true
	}
}

// checkUnused checks the loads and functions that no experiment reaches as if one did.
func (e *evaluator) checkUnused(used map[string]bool) {
	for _, a := range e.m.order {
		if a.kind != "load" && a.kind != "function" {
			continue
		}
		for _, in := range e.nodes[a].instances {
			b := &builder{evaluator: e, engine: unchecked}
			switch {
			case used[a.kind+"."+in.name]:
			case a.kind == "load":
				b.load(in)
			case a.kind == "function":
				b.function(in)
			}
		}
	}
}

// checkLate checks the expressions that are evaluated after their blocks, with
// what they name unknown.
func (e *evaluator) checkLate() {
	for _, a := range e.m.order {
		n := e.nodes[a]
		if n == nil {
			continue
		}
		for _, in := range n.instances {
			e.about = e.subject(in)
			e.checkLateBlock(in, in.Block)
			e.about = ""
		}
	}
}

// subject is the experiment whose results the expressions of a block see, ""
// when that is not known.
func (e *evaluator) subject(in *instance) string {
	if ids := decode.Get[[]string](in.Block, "experiment"); len(ids) == 1 && in.Type == "assert" {
		return strings.TrimPrefix(ids[0], "experiment.")
	}
	if names := e.m.Experiments(); len(names) == 1 {
		return names[0]
	}
	return ""
}

func (e *evaluator) checkLateBlock(top *instance, b *decode.Block) {
	for _, def := range b.Def.Attrs {
		expr := b.Exprs[def.Name]
		if expr == nil || def.Type.Sees == schema.SeesNothing {
			continue
		}
		v := e.expression(expr, e.lateScope(top, b, def.Type.Sees))
		want := map[schema.Kind]cty.Type{schema.Bool: cty.Bool, schema.String: cty.String}[def.Type.Want]
		if want == cty.NilType {
			continue
		}
		if _, err := convert.Convert(v, want); err != nil {
			at := expr.Range()
			e.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("%s of %s wants a %s, got %s", def.Name, b.Scope.Owner, want.FriendlyName(), v.Type().FriendlyName()), At: &at})
		}
	}
	for _, inner := range b.Blocks {
		e.checkLateBlock(top, inner)
	}
}

// lateScope is the names that an expression of a block may use.
func (e *evaluator) lateScope(top *instance, b *decode.Block, sees string) decode.Scope {
	scope := b.Scope
	switch sees {
	case schema.SeesSelf:
		return scope.With("self", e.node(addr{top.Type, top.Label}, top.Range).value)
	case schema.SeesCall:
		return scope.With("call", cty.ObjectVal(map[string]cty.Value{"index": cty.UnknownVal(cty.Number), "seed": cty.UnknownVal(cty.Number)}))
	case schema.SeesResults:
		scope.Results = true
		return scope.With("point", e.pointOf(e.about))
	}
	return scope
}

// Experiment evaluates one experiment at every point of its sweep, with the
// facts of its hosts. The name may be "" when there is only one. What the
// engine does not have yet is an error; the engine 0 is none and makes it a
// warning.
func (m *Module) Experiment(name string, engine schema.Engine) (*spec.Experiment, hcl.Diagnostics) {
	name, p := m.choose(name)
	if p != nil {
		return nil, hcl.Diagnostics{p.Diagnostic()}
	}
	base := m.evaluator(true)
	simulated := base.simulation(name)
	if engine == schema.Simulated || engine == 0 && simulated != nil {
		base.simulate(name, simulated)
	}
	m.hosts = base.hosts
	exp := &spec.Experiment{}
	diags := base.eachPoint(name, engine, func(p spec.Point) { exp.Points = append(exp.Points, p) })
	if in := base.find("experiment." + name); in != nil {
		base.fill(exp, in)
		if simulated != nil {
			exp.Simulate = simulated.simulate(exp.Points)
		}
		base.checkSeed(name)
	}
	diags = diag.Sort(append(diags, base.diags...))
	if diags.HasErrors() {
		return nil, diags
	}
	return exp, diags
}

// Lacking is what of an experiment the engine does not have yet, as far as that is known
// before anything is known of the hosts.
func (m *Module) Lacking(name string, engine schema.Engine) (diags hcl.Diagnostics) {
	name, p := m.choose(name)
	if p != nil {
		return hcl.Diagnostics{p.Diagnostic()}
	}
	base := m.evaluator(false)
	all := base.eachPoint(name, engine, func(spec.Point) {})
	for _, d := range diag.Sort(append(all, base.diags...)) {
		if d.Extra.(*diag.Problem).ID == "AIN1111" {
			diags = append(diags, d)
		}
	}
	return diags
}

// LackingHosts is what of its clusters no ainur on their hosts has yet.
func (m *Module) LackingHosts(name string) (diags hcl.Diagnostics) {
	clusters, diags := m.Clusters(name)
	if diags.HasErrors() {
		return diags
	}
	base := m.evaluator(false)
	for _, c := range clusters {
		if in := base.find("cluster." + c.Name); in != nil {
			for _, p := range in.Lacking(schema.Live) {
				diags = append(diags, p.Diagnostic())
			}
		}
	}
	return diag.Sort(diags)
}

// choose is the experiment called name, or the only one.
func (m *Module) choose(name string) (string, *diag.Problem) {
	names := m.Experiments()
	known := "there is " + strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		return "", &diag.Problem{ID: "AIN1604", Summary: "no experiment is declared", Notes: []diag.Note{diag.Help("add experiment \"NAME\" { ... }")}}
	case name == "" && len(names) > 1:
		return "", &diag.Problem{ID: "AIN1604", Summary: "several experiments are declared: say which", Notes: []diag.Note{diag.Remark("%s", known)}}
	case name != "" && m.blocks[addr{"experiment", name}] == nil:
		return "", &diag.Problem{ID: "AIN1604", Summary: fmt.Sprintf("there is no experiment %q", name), Suggest: diag.Suggest(name, names), Notes: []diag.Note{diag.Remark("%s", known)}}
	case name == "":
		return names[0], nil
	}
	return name, nil
}

// Simulated reports whether an experiment says that it runs in virtual time.
func (m *Module) Simulated(name string) bool {
	name, p := m.choose(name)
	return p == nil && m.blocks[addr{"experiment", name}].Body.Attributes["simulate"] != nil
}

// fill sets what is the same at all points.
func (e *evaluator) fill(exp *spec.Experiment, in *instance) {
	for _, name := range []string{"title", "description", "seed", "repeat", "order", "cooldown", "timeout"} {
		if in.Unknown(name) && !e.diags.HasErrors() {
			at := in.Attrs[name].Range
			e.report(diag.Problem{
				ID: "AIN1311", Summary: fmt.Sprintf("%s of %s is not known", name, in.Scope.Owner), At: &at,
				Notes: []diag.Note{diag.Remark("it is the same at all points, so it cannot depend on a sweep")},
			})
		}
	}
	exp.Name, exp.Title, exp.Description = in.Label, decode.Get[string](in.Block, "title"), decode.Get[string](in.Block, "description")
	exp.Seed, exp.Repeat, exp.Order = uint64(decode.Get[int64](in.Block, "seed")), int(decode.Get[int64](in.Block, "repeat")), decode.Get[string](in.Block, "order")
	exp.Cooldown, exp.Timeout, exp.OnFailure = decode.Get[time.Duration](in.Block, "cooldown"), decode.Get[time.Duration](in.Block, "timeout"), "continue"
	exp.Sources, exp.Variables = e.m.sources, e.m.variableSpecs()
	for _, s := range e.refs(in.Block, "sweep") {
		l := e.expand(s)
		exp.Skipped, exp.OnFailure = l.skipped, decode.Get[string](s.Block, "on_failure")
		if exp.Order == "" {
			exp.Order = decode.Get[string](s.Block, "order")
		}
		if exp.Repeat == 0 {
			exp.Repeat = int(decode.Get[int64](s.Block, "repeat"))
		}
	}
	if exp.Order == "" {
		exp.Order = "interleaved"
	}
	if exp.Repeat == 0 {
		exp.Repeat = 10
	}
	if b := in.One("budget"); b != nil {
		e.settled(b)
		exp.Budget = spec.Budget{Time: decode.Get[time.Duration](b, "time"), Calls: decode.Get[int64](b, "calls")}
	}
}

// checkSeed warns of an experiment that has the seed of those that say nothing.
func (e *evaluator) checkSeed(name string) {
	in := e.find("experiment." + name)
	if in == nil || in.Unknown("seed") || decode.Get[int64](in.Block, "seed") != 0 {
		return
	}
	e.report(diag.Problem{
		ID: "AIN3001", Warning: true, Summary: fmt.Sprintf("experiment %q has seed 0", name), At: &in.Range,
		Notes: []diag.Note{diag.Help("give it a seed of its own, such as seed = 42: the same seed gives the same load")},
	})
}

// eachPoint builds the points of an experiment, one after the other. What is
// wrong in the blocks all points share is in e, the rest is returned.
func (e *evaluator) eachPoint(name string, engine schema.Engine, f func(spec.Point)) (diags hcl.Diagnostics) {
	a := addr{"experiment", name}
	n := e.node(a, e.m.blocks[a].DefRange())
	if len(n.instances) == 0 {
		return nil
	}
	in := n.instances[0]
	l, sweep := &lattice{points: []combination{{}}}, ""
	for _, s := range e.refs(in.Block, "sweep") {
		sweep, l = s.Label, e.expand(s)
	}
	same := !slices.ContainsFunc(in.Def.Attrs, func(def schema.Attr) bool { return in.Unknown(def.Name) })
	for _, c := range l.points {
		at := e.at(l.position(sweep, c))
		b := &builder{evaluator: at, engine: engine}
		if !same {
			in = at.node(a, in.Range).instances[0]
		}
		p := b.build(in)
		if len(l.axes) > 0 {
			p.Axes = l.values(c)
		}
		if engine != unchecked {
			p.ID = b.pointID(p)
		}
		f(p)
		if len(l.axes) > 0 {
			for _, d := range at.diags {
				p := d.Extra.(*diag.Problem)
				p.Notes = append(p.Notes, diag.Remark("at the point %s", at.point.describe()))
			}
		}
		diags = append(diags, at.diags...)
	}
	return diags
}

// simulation is the simulate block of an experiment, or nil. It is evaluated
// without facts, for it says what they are.
func (e *evaluator) simulation(name string) *instance {
	static := e.m.evaluator(false)
	a := addr{"experiment", name}
	n := static.node(a, e.m.blocks[a].DefRange())
	for _, in := range n.instances {
		for _, s := range static.refs(in.Block, "simulate") {
			return s
		}
	}
	return nil
}

// simulate is how the block says that points are simulated.
func (in *instance) simulate(points []spec.Point) spec.Simulate {
	s := spec.Simulate{Jobs: int(decode.Get[int64](in.Block, "jobs")), Records: decode.Get[string](in.Block, "records")}
	if file := decode.Get[string](in.Block, "calibrate"); file != "" {
		s.Calibration = in.in.m.path(file)
	}
	if n := decode.Get[*decode.Block](in.Block, "network"); n != nil {
		s.Network = spec.Network{RTT: decode.Get[time.Duration](n, "rtt"), Bandwidth: decode.Get[int64](n, "bandwidth")}
	}
	if b := in.One("cold_start"); b != nil {
		model := decode.Get[spec.Dist](b, "model")
		s.ColdStart = &model
	}
	for _, p := range points {
		for _, w := range p.Workers {
			if b := in.hostModel(w.Host); b != nil && decode.Get[float64](b, "speed") != 1 {
				if s.Speeds == nil {
					s.Speeds = map[string]float64{}
				}
				s.Speeds[w.Host] = decode.Get[float64](b, "speed")
			}
		}
	}
	return s
}

// hostModel is the block with the facts of a host: the first that names it, or the first that names
// none. It is nil without one, and of a nil instance.
func (in *instance) hostModel(host string) (model *decode.Block) {
	if in == nil {
		return nil
	}
	for _, b := range in.All("host_model") {
		named := decode.Get[[]string](b, "hosts")
		if slices.ContainsFunc(named, func(id string) bool { return strings.HasSuffix(id, ".host."+host) }) {
			return b
		}
		if model == nil && !b.Attrs["hosts"].Given {
			model = b
		}
	}
	return model
}

// Facts of a simulated host that says nothing about itself.
const (
	modelCores  = 16
	modelMemory = 64 * spec.GiB
)

// simulate makes the facts of hosts those of the model where they cannot be
// asked, and says so where no model is declared.
func (e *evaluator) simulate(name string, s *instance) {
	ask := e.hosts
	model := spec.Facts{PhysicalCores: modelCores, LogicalCores: modelCores, Sockets: 1, NUMANodes: 1, MemoryTotal: modelMemory}
	warned := false
	e.hosts = func(h spec.Host) (spec.Facts, bool) {
		if ask != nil && h.Connection == "local" {
			if facts, ok := ask(h); ok {
				return facts, true
			}
		}
		if b := s.hostModel(h.Name); b != nil {
			model := model
			cores := int(decode.Get[int64](b, "cores"))
			model.PhysicalCores, model.LogicalCores, model.MemoryTotal = cores, cores, decode.Get[spec.Bytes](b, "memory")
			return model, true
		}
		if !warned {
			warned = true
			at := e.m.blocks[addr{"experiment", name}].DefRange()
			e.report(diag.Problem{
				ID: "AIN3005", Warning: true, At: &at,
				Summary: fmt.Sprintf("the hosts are simulated with %d cores and 64 GiB: their facts are not known", modelCores),
				Notes:   []diag.Note{diag.Help("declare them: simulate \"NAME\" { host_model { cores = 8  memory = \"32GiB\" } }, and simulate = simulate.NAME")},
			})
		}
		return model, true
	}
}

// jsonValue is a value as marshal wrote it.
func jsonValue(text json.RawMessage) (cty.Value, error) {
	t, err := ctyjson.ImpliedType(text)
	if err != nil {
		return cty.DynamicVal, err
	}
	return ctyjson.Unmarshal(text, t)
}

// settled reports arguments that are unknown though the facts are not.
func (e *evaluator) settled(in *decode.Block) {
	if !e.facts {
		return
	}
	for _, def := range in.Def.Attrs {
		a := in.Attrs[def.Name]
		if a.Given && a.Go == nil && !e.diags.HasErrors() && !e.top().diags.HasErrors() {
			e.report(diag.Problem{
				ID: "AIN1311", Summary: fmt.Sprintf("%s of %s is not known", def.Name, in.Scope.Owner), At: &a.Range,
				Notes: []diag.Note{diag.Remark("it depends on facts of a host that has not been reached")},
			})
		}
	}
}

// sortByPlace orders instances as they are in the files.
func sortByPlace(all []*instance) {
	slices.SortFunc(all, func(a, b *instance) int {
		if c := strings.Compare(a.Range.Filename, b.Range.Filename); c != 0 {
			return c
		}
		if c := a.Range.Start.Byte - b.Range.Start.Byte; c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
}
