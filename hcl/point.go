package hcl

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

// builder makes a spec.Point of what an experiment refers to. What is unknown
// or wrong stays zero: wrong values have been reported, and unknown ones are
// an error only when the facts are known.
type builder struct {
	*evaluator
	point     spec.Point
	functions []*instance
	traced    map[string]tracing // by id of the trace
	places    map[string]hcl.Range
}

// find is the block that an id names; the reference that gave it has evaluated it.
func (e *evaluator) find(id string) *instance {
	kind, rest, _ := strings.Cut(id, ".")
	name, _, _ := strings.Cut(rest, "[")
	name, _, _ = strings.Cut(name, ".")
	for _, in := range e.node(addr{kind, name}, hcl.Range{}).instances {
		if in.id == id || strings.HasPrefix(id, in.id+".host.") {
			return in
		}
	}
	return nil
}

// refs are the blocks that an argument refers to.
func (e *evaluator) refs(b *decode.Block, name string) []*instance {
	var all []*instance
	for _, id := range decode.Get[[]string](b, name) {
		if in := e.find(id); in != nil {
			all = append(all, in)
		}
	}
	return all
}

// build makes the point of experiment exp.
func (e *evaluator) build(exp *instance, axes []spec.AxisValue) spec.Point {
	b := &builder{evaluator: e, point: spec.Point{Axes: axes}, places: map[string]hcl.Range{}}
	for _, c := range e.refs(exp.Block, "cluster") {
		b.point.Cluster.Name = c.name
		for _, h := range c.All("host") {
			b.point.Cluster.Hosts = append(b.point.Cluster.Hosts, hostOf(h))
		}
		b.checkHosts(c)
	}
	for _, w := range append(e.refs(exp.Block, "worker"), e.refs(exp.Block, "workers")...) {
		b.worker(w)
	}
	loads := e.refs(exp.Block, "load")
	for _, l := range loads {
		load, _ := b.load(l)
		b.point.Loads = append(b.point.Loads, load)
	}
	b.balancer(exp, loads)
	b.checkTargets(exp, loads)
	for _, name := range e.m.names("function") {
		for _, f := range b.functions {
			if f.Label == name && b.point.Function(f.name) == nil {
				b.point.Functions = append(b.point.Functions, b.function(f))
				b.places[f.name] = f.Range
			}
		}
	}
	b.traceFunctions()
	b.checkCapacity()
	b.point.ID = pointID(b.point)
	return b.point
}

// pointID identifies a point by its axes and content: not by where its files
// are, which other machines have elsewhere.
func pointID(p spec.Point) string {
	p.ID = ""
	p.Functions = slices.Clone(p.Functions)
	for i := range p.Functions {
		p.Functions[i].Source = ""
	}
	p.Loads = slices.Clone(p.Loads)
	for i, l := range p.Loads {
		p.Loads[i].Phases = slices.Clone(l.Phases)
		for j, phase := range l.Phases {
			if t := phase.Arrival.Trace; t != nil {
				here := *t
				here.Path, here.Metadata = "", ""
				p.Loads[i].Phases[j].Arrival.Trace = &here
			}
		}
	}
	content, err := json.Marshal(p)
	if err != nil {
		panic("spec: " + err.Error()) // plain data marshals
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:4])
}

// settled reports arguments that are unknown though the facts are not.
func (b *builder) settled(in *decode.Block) {
	if !b.facts {
		return
	}
	for name, a := range in.Attrs {
		if a.Given && a.Go == nil && !b.diags.HasErrors() && (b.base == nil || !b.base.diags.HasErrors()) {
			b.report(diag.Problem{
				ID: "AIN1311", Summary: fmt.Sprintf("%s of %s is not known", name, in.Scope.Owner), At: &a.Range,
				Notes: []diag.Note{diag.Remark("it depends on facts of a host that has not been reached")},
			})
		}
	}
}

func (b *builder) checkHosts(c *instance) {
	first := map[string]hcl.Range{}
	for _, h := range c.All("host") {
		if at, dup := first[h.Label]; dup {
			b.report(diag.Problem{ID: "AIN1109", Summary: fmt.Sprintf("host %q is declared twice", h.Label), At: &h.Range, Related: []diag.Related{{At: at, Label: "the first is here"}}})
		}
		first[h.Label] = h.Range
	}
}

// host is the name of the host that an argument refers to, and the host itself.
func (b *builder) host(in *instance) (string, spec.Host) {
	ids := decode.Get[[]string](in.Block, "on")
	if len(ids) != 1 {
		return "", spec.Host{}
	}
	cluster, name, _ := strings.Cut(ids[0], ".host.")
	at := in.Attrs["on"].Range
	if want := "cluster." + b.point.Cluster.Name; cluster != want && b.point.Cluster.Name != "" {
		b.report(diag.Problem{ID: "AIN1601", Summary: fmt.Sprintf("%s is on a host of %s, and the experiment uses %s", in.Scope.Owner, cluster, want), At: &at})
	}
	for _, h := range b.point.Cluster.Hosts {
		if h.Name == name {
			return name, h
		}
	}
	return name, spec.Host{}
}

func (b *builder) worker(in *instance) {
	b.settled(in.Block)
	name, host := b.host(in)
	facts, known := b.factsOf(host)
	w := spec.Worker{
		Name: in.name, Host: name, Isolation: decode.Get[string](in.Block, "isolation"),
		Queue: decode.Get[spec.Named](in.Block, "queue"), KeepAlive: decode.Get[spec.Named](in.Block, "keepalive"),
		LogLevel: decode.Get[string](in.Block, "log_level"), Env: decode.Get[map[string]string](in.Block, "env"),
		MilliCPU: milli(decode.Get[float64](in.Block, "cores")), Memory: decode.Get[spec.Bytes](in.Block, "memory"),
	}
	if !in.Attrs["cores"].Given {
		w.MilliCPU = 1000
		if known {
			w.MilliCPU = int64(facts.LogicalCores) * 1000
		}
	}
	if !in.Attrs["memory"].Given && known {
		w.Memory = facts.MemoryTotal / 10 * 8
	}
	b.point.Workers = append(b.point.Workers, w)
	b.places[in.id] = in.Range
}

func milli(cores float64) int64 { return int64(cores*1000 + 0.5) }

// balancer takes the balancer of the experiment, else the one its loads target.
func (b *builder) balancer(exp *instance, loads []*instance) {
	candidates := b.refs(exp.Block, "balancer")
	if !exp.Attrs["balancer"].Given {
		for _, l := range loads {
			for _, target := range b.refs(l.Block, "target") {
				if target.Type == "balancer" {
					candidates = append(candidates, target)
				}
			}
		}
	}
	if len(candidates) == 0 {
		return
	}
	in := candidates[0]
	b.settled(in.Block)
	name, _ := b.host(in)
	s := &spec.Balancer{Name: in.name, Host: name, Policy: decode.Get[spec.Named](in.Block, "policy"), Port: int(decode.Get[int64](in.Block, "port"))}
	at := in.Attrs["workers"].Range
	for _, w := range b.refs(in.Block, "workers") {
		s.Workers = append(s.Workers, w.name)
		if !slices.ContainsFunc(b.point.Workers, func(have spec.Worker) bool { return have.Name == w.name }) {
			b.report(diag.Problem{
				ID: "AIN1601", Summary: fmt.Sprintf("%s sends to %s, which %s does not start", in.Scope.Owner, w.id, exp.Scope.Owner), At: &at,
				Related: []diag.Related{{At: exp.Range, Label: "name the worker here"}},
			})
		}
	}
	b.point.Balancer = s
}

// checkTargets finds loads that go where the experiment starts nothing.
func (b *builder) checkTargets(exp *instance, loads []*instance) {
	for _, l := range loads {
		at := l.Attrs["target"].Range
		for _, target := range b.refs(l.Block, "target") {
			started := b.point.Balancer != nil && target.Type == "balancer" && b.point.Balancer.Name == target.name ||
				target.Type == "worker" && slices.ContainsFunc(b.point.Workers, func(w spec.Worker) bool { return w.Name == target.name })
			if !started {
				b.report(diag.Problem{
					ID: "AIN1601", Summary: fmt.Sprintf("%s goes to %s, which %s does not start", l.Scope.Owner, target.id, exp.Scope.Owner), At: &at,
					Related: []diag.Related{{At: exp.Range, Label: "name it here"}},
				})
			}
		}
	}
}

// checkCapacity finds functions that some worker could never run.
func (b *builder) checkCapacity() {
	for _, w := range b.point.Workers {
		worker := b.places["worker."+w.Name]
		refuse := func(f spec.Function, what, need, have string) {
			at := b.places[f.Name]
			b.report(diag.Problem{
				ID: "AIN1602", Summary: fmt.Sprintf("function %q can never run on worker %s: it needs %s of %s, the worker has %s", f.Name, w.Name, need, what, have), At: &at,
				Related: []diag.Related{{At: worker, Label: "the worker is declared here"}},
			})
		}
		var prewarmed spec.Bytes
		for _, f := range b.point.Functions {
			switch {
			case w.Memory > 0 && f.Memory > w.Memory:
				refuse(f, "memory", units.FormatBytes(f.Memory), units.FormatBytes(w.Memory))
			case w.MilliCPU > 0 && f.MilliCPU > w.MilliCPU && b.capacityKnown(w):
				refuse(f, "CPU", fmt.Sprintf("%g cores", float64(f.MilliCPU)/1000), fmt.Sprintf("%g", float64(w.MilliCPU)/1000))
			}
			prewarmed += f.Memory * spec.Bytes(f.Prewarm)
		}
		if w.Memory > 0 && prewarmed > w.Memory {
			b.report(diag.Problem{
				ID: "AIN1602", At: &worker,
				Summary: fmt.Sprintf("the prewarmed sandboxes need %s, worker %s has %s", units.FormatBytes(prewarmed), w.Name, units.FormatBytes(w.Memory)),
				Notes:   []diag.Note{diag.Help("lower prewarm of its functions, or raise its memory")},
			})
		}
	}
}

// capacityKnown reports whether the cores of w are more than a stand-in.
func (b *builder) capacityKnown(w spec.Worker) bool {
	in := b.find("worker." + w.Name)
	return in.Attrs["cores"].Given || b.facts && b.m.opts.Facts != nil
}

func (b *builder) function(in *instance) spec.Function {
	b.settled(in.Block)
	f := spec.Function{
		Name: in.name, Builtin: decode.Get[string](in.Block, "builtin"), Runtime: decode.Get[string](in.Block, "runtime"),
		Memory: decode.Get[spec.Bytes](in.Block, "memory"), MilliCPU: milli(decode.Get[float64](in.Block, "cpus")),
		Timeout: decode.Get[time.Duration](in.Block, "timeout"), Prewarm: int(decode.Get[int64](in.Block, "prewarm")),
		Env: decode.Get[map[string]string](in.Block, "env"), Args: b.args(in),
	}
	b.source(in, &f)
	if p := in.One("profile"); p != nil {
		b.settled(p)
		f.Profile = &spec.Profile{Warm: decode.Get[spec.Dist](p, "warm"), Cold: decode.Get[spec.Dist](p, "cold"), Memory: decode.Get[spec.Bytes](p, "memory")}
	}
	if slices.Contains(reserved, in.Label) {
		b.report(diag.Problem{ID: "AIN1108", Summary: fmt.Sprintf("a function cannot be called %q", in.Label), At: &in.Range, Notes: []diag.Note{diag.Remark("results have that name: load.x.latency.%s", in.Label)}})
	}
	return f
}
