package hcl

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

// builder makes a spec.Point of what an experiment refers to. What is unknown
// or wrong stays zero: wrong values have been reported, and unknown ones are
// an error only when the facts are known. What it makes of a block it keeps, so
// that points in which the block is the same share it.
type builder struct {
	*evaluator
	engine schema.Engine
	exp    *instance
	parts  []part // that the point is made of
}

// unchecked is the engine of validate: all that the language has is valid.
const unchecked = schema.Both

// part is a piece of a point with what identifies it.
type part struct {
	key   any
	value any
	axes  axisSet // that it depends on
}

// once makes the value of a key, which depends on some axes, once for all
// points that have the same values of these.
func once[T any](b *builder, axes axisSet, key any, make func() T) T {
	memo := b.memo
	if b.point.alone(axes) {
		memo = b.own
	}
	if v, ok := memo[key]; ok {
		return v.(T)
	}
	v := make()
	memo[key] = v
	return v
}

// Keys of what a builder keeps.
type (
	idsKey  struct{ first *string }
	refsKey struct {
		first *string
		nodes string
	}
	clusterKey struct{ in *instance }
	workersKey struct {
		list    **instance // of several: refs gives the same list for the same
		one     *instance
		cluster string
	}
	balancerKey struct {
		in      *decode.Block
		workers *spec.Worker
	}
	loadKey     struct{ in *decode.Block }
	functionKey struct{ in *decode.Block }
	capacityKey struct {
		workers   *spec.Worker
		functions string
	}
	digestKey struct{ of any }
	lackKey   struct{ in *decode.Block }
)

// within is the evaluator of the module that an address begins with, and the
// rest of the address.
func (e *evaluator) within(id string) (*evaluator, string) {
	for strings.HasPrefix(id, "module.") {
		name, rest, _ := strings.Cut(strings.TrimPrefix(id, "module."), ".")
		inner := e.node(addr{"module", name}, hcl.Range{}).module
		if inner == nil {
			return nil, ""
		}
		e, id = inner, rest
	}
	return e, id
}

// addrOf is the block that an address without modules is of.
func addrOf(id string) addr {
	kind, rest, _ := strings.Cut(id, ".")
	name, _, _ := strings.Cut(rest, "[")
	name, _, _ = strings.Cut(name, ".")
	return addr{kind, name}
}

// find is the block that an id names, or nil. That of a host is its cluster.
func (e *evaluator) find(id string) *instance {
	in, rest := e.within(id)
	if in == nil || in.m.blocks[addrOf(rest)] == nil {
		return nil
	}
	n := in.node(addrOf(rest), hcl.Range{})
	if decode.KindOf(id) == "host" {
		id = id[:strings.LastIndex(id, ".host.")]
	}
	return n.byID[id]
}

// refs are the blocks that an argument refers to.
func (e *evaluator) refs(b *decode.Block, name string) []*instance {
	ids := decode.Get[[]string](b, name)
	switch len(ids) {
	case 0:
		return nil
	case 1:
		if in := e.find(ids[0]); in != nil {
			return []*instance{in}
		}
		return nil
	}
	addrs, ok := e.memo[idsKey{&ids[0]}].([]string)
	if !ok {
		seen := map[string]bool{}
		for _, id := range ids {
			prefix := id[:strings.LastIndex(id, decode.KindOf(id)+".")]
			if decode.KindOf(id) == "host" {
				prefix = id[:strings.Index(id, "cluster.")]
			}
			if a := prefix + addrOf(id[len(prefix):]).String(); !seen[a] {
				seen[a] = true
				addrs = append(addrs, a)
			}
		}
		e.memo[idsKey{&ids[0]}] = addrs
	}
	var nodes []byte
	for _, a := range addrs {
		if in, rest := e.within(a); in != nil {
			nodes = fmt.Appendf(nodes, "%p ", in.node(addrOf(rest), hcl.Range{}))
		}
	}
	key := refsKey{&ids[0], string(nodes)}
	all, ok := e.memo[key].([]*instance)
	if !ok {
		for _, id := range ids {
			if in := e.find(id); in != nil {
				all = append(all, in)
			}
		}
		e.memo[key] = all
	}
	return all
}

// build makes the point of an experiment.
func (b *builder) build(exp *instance) spec.Point {
	b.exp = exp
	b.use(exp.Block)
	p := spec.Point{}
	workers := b.refs(exp.Block, "workers")
	if one := b.refs(exp.Block, "worker"); len(one) > 0 {
		workers = append(one[:len(one):len(one)], workers...)
	}
	for _, c := range b.clusters(workers) {
		made := once(b, c.node.axes, clusterKey{c}, func() spec.Cluster { return b.cluster(c) })
		b.parts = append(b.parts, part{clusterKey{c}, made, c.node.axes})
		if p.Cluster.Hosts == nil {
			p.Cluster = made
			continue
		}
		p.Cluster = spec.Cluster{Name: made.Name, Hosts: slices.Concat(p.Cluster.Hosts, made.Hosts)}
	}
	if len(workers) > 0 {
		key := keyOf(workers)
		key.cluster = p.Cluster.Name
		p.Workers = once(b, around(workers)|b.exp.node.axes, key, func() []spec.Worker { return b.workers(workers, p.Cluster) })
		b.parts = append(b.parts, part{key, p.Workers, around(workers)})
	}
	for _, s := range slices.Concat(b.refs(exp.Block, "simulate"), b.refs(exp.Block, "collect"), b.refs(exp.Block, "sweep")) {
		b.use(s.Block)
	}
	for _, c := range b.refs(exp.Block, "collect") {
		p.Collects = append(p.Collects, b.collect(c))
	}
	for _, a := range b.m.order {
		if slices.Contains([]string{"assert", "claim", "report", "check"}, a.kind) && b.concerns(a) {
			for _, in := range b.node(a, hcl.Range{}).instances {
				b.use(in.Block)
			}
		}
	}
	loads := b.refs(exp.Block, "load")
	var called []*instance
	var traces []tracing
	for _, l := range loads {
		made := once(b, l.node.axes, loadKey{l.Block}, func() *madeLoad { return b.load(l) })
		b.parts = append(b.parts, part{loadKey{l.Block}, made.spec, l.node.axes})
		p.Loads = append(p.Loads, made.spec)
		for _, id := range made.functions {
			f := b.find(id)
			if f == nil { // named by a mix, and made by a for_each that depends on the point
				b.report(diag.Problem{ID: "AIN1301", Summary: fmt.Sprintf("%s calls %s, which there is not", l.Scope.Owner, id), At: &l.Range})
				continue
			}
			if !slices.Contains(called, f) {
				called = append(called, f)
			}
		}
		traces = append(traces, made.traces...)
	}
	sortByPlace(called)
	var functions []spec.Function
	var places []hcl.Range
	var names strings.Builder
	for _, f := range called {
		key := functionKey{f.Block}
		made := once(b, f.node.axes, key, func() spec.Function { return b.function(f) })
		b.parts = append(b.parts, part{key, made, f.node.axes})
		functions, places = append(functions, made), append(places, f.Range)
		names.WriteString(fmt.Sprintf("%p ", f.Block))
	}
	for _, t := range traces {
		functions, places = b.traceFunctions(t, functions, places)
		names.WriteString(fmt.Sprintf("%p ", t.in.Block))
	}
	p.Functions = functions
	if p.Balancer = b.balancer(loads, p); p.Balancer != nil {
		b.parts = append(b.parts, part{p.Balancer, p.Balancer, allAxes})
	}
	if !exp.Unknown("worker") && !exp.Unknown("workers") && !exp.Unknown("balancer") && !b.m.broken[addr{"experiment", exp.Label}] {
		b.checkTargets(loads, p)
	}
	if len(p.Workers) > 0 {
		once(b, around(called, workers), capacityKey{&p.Workers[0], names.String()}, func() bool {
			b.checkCapacity(p, workers, places)
			b.checkIsolation(p, workers, places)
			return true
		})
	}
	return p
}

func keyOf(workers []*instance) workersKey {
	if len(workers) == 1 {
		return workersKey{one: workers[0]}
	}
	return workersKey{list: &workers[0]}
}

// around is the axes that any of these depend on.
func around(lists ...[]*instance) (axes axisSet) {
	var last *node
	for _, list := range lists {
		for _, in := range list {
			if in.node != last {
				last = in.node
				axes |= last.axes
			}
		}
	}
	return axes
}

// concerns reports whether a check or a report is about this experiment: it names
// it, or names none.
func (b *builder) concerns(a addr) bool {
	expr := b.m.blocks[a].Body.Attributes["experiment"]
	if expr == nil {
		return true
	}
	for _, in := range b.node(a, hcl.Range{}).instances {
		if slices.Contains(decode.Get[[]string](in.Block, "experiment"), b.exp.id) {
			return true
		}
	}
	return false
}

// use checks a block that the point is made of: that it is known, and that the
// engine has all of it.
func (b *builder) use(in *decode.Block) {
	b.settled(in)
	if b.engine == unchecked || in.Def.Free {
		return
	}
	once(b, 0, lackKey{in}, func() bool {
		engine := b.engine
		if engine == 0 {
			engine = schema.Live
			if b.exp != nil && b.exp.Attrs["simulate"].Given {
				engine = schema.Simulated
			}
		}
		for _, p := range in.Lacking(engine) {
			p.Warning = b.engine == 0
			b.report(p)
		}
		return true
	})
}

// clusters are those of the experiment, or, when it names none, of its workers.
func (b *builder) clusters(workers []*instance) (all []*instance) {
	if all = b.refs(b.exp.Block, "cluster"); len(all) > 0 {
		return all
	}
	seen := map[*instance]bool{}
	for _, w := range workers {
		for _, c := range b.refs(w.Block, "on") {
			if !seen[c] {
				seen[c] = true
				all = append(all, c)
			}
		}
	}
	return all
}

// pointID identifies a point by its axes and content: not by where its files
// are, which other machines have elsewhere.
func (b *builder) pointID(p spec.Point) string {
	sum := sha256.New()
	add := func(v any) {
		content, err := json.Marshal(v)
		if err != nil {
			panic("spec: " + err.Error()) // plain data marshals
		}
		sum.Write(content)
		sum.Write([]byte{0})
	}
	add(p.Axes)
	for _, part := range b.parts {
		if part.key == nil {
			add(portable(part.value))
			continue
		}
		add(once(b, part.axes, digestKey{part.key}, func() string {
			content, err := json.Marshal(portable(part.value))
			if err != nil {
				panic("spec: " + err.Error()) // plain data marshals
			}
			d := sha256.Sum256(content)
			return hex.EncodeToString(d[:])
		}))
	}
	return hex.EncodeToString(sum.Sum(nil)[:4])
}

// portable is a part of a point without the paths of its files.
func portable(v any) any {
	switch v := v.(type) {
	case spec.Function:
		v.Source, v.Requirements = "", ""
		for _, ref := range []*string{&v.Image, &v.Base} {
			if kind, path, ok := strings.Cut(*ref, ":"); ok && slices.Contains(localRefs, kind) {
				*ref = kind + ":" + filepath.Base(path)
			}
		}
		return v
	case spec.Load:
		v.Phases = slices.Clone(v.Phases)
		for i, phase := range v.Phases {
			if t := phase.Arrival.Trace; t != nil {
				here := *t
				here.Path, here.Metadata = "", ""
				v.Phases[i].Arrival.Trace = &here
			}
		}
		return v
	}
	return v
}

// host is the name of the host that an argument refers to, and the host itself.
func (b *builder) host(in *instance, hosts map[string]spec.Host) (string, spec.Host) {
	ids := decode.Get[[]string](in.Block, "on")
	if len(ids) != 1 {
		return "", spec.Host{}
	}
	i := strings.LastIndex(ids[0], ".host.")
	cluster, name := ids[0][:i], ids[0][i+len(".host."):]
	at := in.Attrs["on"].Range
	if want := decode.Get[[]string](b.exp.Block, "cluster"); len(want) == 1 && cluster != want[0] {
		b.report(diag.Problem{ID: "AIN1601", Summary: fmt.Sprintf("%s is on a host of %s, and the experiment uses %s", in.Scope.Owner, cluster, want[0]), At: &at})
	}
	return name, hosts[name]
}

// from are the hosts that a load or a collect block names.
func (b *builder) from(in *instance) (names []string) {
	for _, id := range decode.Get[[]string](in.Block, "from") {
		i := strings.LastIndex(id, ".host.")
		cluster, name := id[:i], id[i+len(".host."):]
		at := in.Attrs["from"].Range
		if b.exp != nil {
			if want := decode.Get[[]string](b.exp.Block, "cluster"); len(want) == 1 && cluster != want[0] {
				b.report(diag.Problem{ID: "AIN1601", Summary: fmt.Sprintf("%s names a host of %s, and the experiment uses %s", in.Scope.Owner, cluster, want[0]), At: &at})
			}
		}
		names = append(names, name)
	}
	return names
}

// collect is what to bring from hosts.
func (b *builder) collect(in *instance) spec.Collect {
	c := spec.Collect{
		Name: in.name, From: b.from(in), Files: decode.Get[[]string](in.Block, "files"), Journal: decode.Get[[]string](in.Block, "journal"),
		Metrics: decode.Get[[]string](in.Block, "metrics"), Interval: decode.Get[time.Duration](in.Block, "interval"),
		MaxSize: decode.Get[spec.Bytes](in.Block, "max_size"), Compress: decode.Get[string](in.Block, "compress"),
	}
	for _, e := range in.All("exec") {
		c.Commands = append(c.Commands, spec.Command{Name: e.Label, Argv: decode.Get[[]string](e, "command"), When: decode.Get[string](e, "when")})
	}
	if p := in.One("pcap"); p != nil {
		c.Packets = &spec.Packets{
			Interface: decode.Get[string](p, "interface"), Filter: decode.Get[string](p, "filter"), SnapLength: int(decode.Get[int64](p, "snaplen")),
		}
	}
	return c
}

func byName(hosts []spec.Host) map[string]spec.Host {
	all := map[string]spec.Host{}
	for _, h := range hosts {
		all[h.Name] = h
	}
	return all
}

func (b *builder) workers(all []*instance, c spec.Cluster) []spec.Worker {
	hosts := byName(c.Hosts)
	var workers []spec.Worker
	for _, in := range all {
		b.use(in.Block)
		name, host := b.host(in, hosts)
		facts, known := in.in.factsOf(host)
		w := spec.Worker{
			Name: in.name, Host: name, Isolation: decode.Get[string](in.Block, "isolation"),
			Queue: decode.Get[spec.Named](in.Block, "queue"), KeepAlive: decode.Get[spec.Named](in.Block, "keepalive"),
			Concurrency: decode.Get[spec.Named](in.Block, "concurrency"), Dispatch: decode.Get[spec.Named](in.Block, "dispatch"),
			Prewarm: decode.Get[spec.Named](in.Block, "prewarm"), Estimate: decode.Get[spec.Named](in.Block, "estimate"),
			FreeBuffer: decode.Get[spec.Bytes](in.Block, "free_buffer"),
			LogLevel:   decode.Get[string](in.Block, "log_level"), Env: decode.Get[map[string]string](in.Block, "env"),
			MilliCPU: milli(decode.Get[float64](in.Block, "cores")), Memory: decode.Get[spec.Bytes](in.Block, "memory"),
			Container: container(in.One("container")),
		}
		if g := in.One("gpu"); g != nil {
			b.use(g)
			w.GPU = gpu(g)
			w.GPUQueue, w.Placement = decode.Get[spec.Named](in.Block, "gpu_queue"), decode.Get[spec.Named](in.Block, "placement")
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
		workers = append(workers, w)
	}
	return workers
}

// container is how a worker makes sandboxes; c is nil when it does not say.
func container(c *decode.Block) (s spec.Container) {
	if c == nil {
		return s
	}
	s = spec.Container{
		Network: decode.Get[string](c, "network"), Zygote: decode.Get[bool](c, "zygote"), Socket: decode.Get[string](c, "socket"),
		Snapshotter: decode.Get[string](c, "snapshotter"), Creations: int(decode.Get[int64](c, "concurrent_creation")),
	}
	if pool := c.One("pool"); pool != nil {
		s.Namespaces = int(decode.Get[int64](pool, "namespaces"))
		s.StemCells = int(decode.Get[int64](pool, "stem_cells"))
	}
	if name := decode.Get[string](c, "oci_runtime"); name != "auto" {
		s.OCIRuntime = name
	}
	return s
}

// gpu is the GPUs of a worker.
func gpu(b *decode.Block) spec.GPU {
	g := spec.GPU{
		Count: int(decode.Get[int64](b, "count")), Slots: int(decode.Get[int64](b, "slots")), Tokens: int(decode.Get[int64](b, "tokens")),
		Memory: decode.Get[spec.Bytes](b, "memory"), Simulated: decode.Get[bool](b, "simulated"),
	}
	if !b.Attrs["tokens"].Given {
		g.Tokens = g.Slots
	}
	return g
}

// compute is what a function may run on, as spec.Function has it.
func compute(kinds []string) string {
	switch {
	case !slices.Contains(kinds, "gpu"):
		return ""
	case slices.Contains(kinds, "cpu"):
		return "both"
	default:
		return "gpu"
	}
}

func milli(cores float64) int64 { return int64(cores*1000 + 0.5) }

// balancer takes the balancer of the experiment, else the one its loads target.
func (b *builder) balancer(loads []*instance, p spec.Point) *spec.Balancer {
	candidates := b.refs(b.exp.Block, "balancer")
	if !b.exp.Attrs["balancer"].Given {
		for _, l := range loads {
			for _, target := range b.refs(l.Block, "target") {
				if target.Type == "balancer" {
					candidates = append(candidates, target)
				}
			}
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	in := candidates[0]
	key := balancerKey{in: in.Block}
	if len(p.Workers) > 0 {
		key.workers = &p.Workers[0]
	}
	return once(b, in.node.axes, key, func() *spec.Balancer { return b.makeBalancer(in, p) })
}

func (b *builder) makeBalancer(in *instance, p spec.Point) *spec.Balancer {
	b.use(in.Block)
	name, _ := b.host(in, nil)
	s := &spec.Balancer{Name: in.name, Host: name, Policy: decode.Get[spec.Named](in.Block, "policy"), Port: int(decode.Get[int64](in.Block, "port"))}
	at := in.Attrs["workers"].Range
	started := map[string]bool{}
	for _, w := range p.Workers {
		started[w.Name] = true
	}
	for _, w := range b.refs(in.Block, "workers") {
		s.Workers = append(s.Workers, w.name)
		if !started[w.name] && !b.exp.Unknown("workers") && !b.exp.Unknown("worker") {
			b.report(diag.Problem{
				ID: "AIN1601", Summary: fmt.Sprintf("%s sends to %s, which %s does not start", in.Scope.Owner, w.id, b.exp.Scope.Owner), At: &at,
				Related: []diag.Related{{At: b.exp.Range, Label: "name the worker here"}},
			})
			break
		}
	}
	return s
}

// checkTargets finds loads that go where the experiment starts nothing.
func (b *builder) checkTargets(loads []*instance, p spec.Point) {
	for _, l := range loads {
		at := l.Attrs["target"].Range
		for _, target := range b.refs(l.Block, "target") {
			started := p.Balancer != nil && target.Type == "balancer" && p.Balancer.Name == target.name ||
				target.Type == "worker" && slices.ContainsFunc(p.Workers, func(w spec.Worker) bool { return w.Name == target.name })
			if !started {
				b.report(diag.Problem{
					ID: "AIN1601", Summary: fmt.Sprintf("%s goes to %s, which %s does not start", l.Scope.Owner, target.id, b.exp.Scope.Owner), At: &at,
					Related: []diag.Related{{At: b.exp.Range, Label: "name it here"}},
				})
			}
		}
	}
}

// checkCapacity finds functions that some worker could never run. Instances are
// those of the workers, places those of the functions.
func (b *builder) checkCapacity(p spec.Point, instances []*instance, places []hcl.Range) {
	for i, w := range p.Workers {
		worker := instances[i].Range
		errors := len(b.diags)
		var prewarmed spec.Bytes
		for j, f := range p.Functions {
			refuse := func(what, need, have string) {
				b.report(diag.Problem{
					ID: "AIN1602", Summary: fmt.Sprintf("function %q can never run on worker %s: it needs %s of %s, the worker has %s", f.Name, w.Name, need, what, have), At: &places[j],
					Related: []diag.Related{{At: worker, Label: "the worker is declared here"}},
				})
			}
			switch {
			case w.Memory > 0 && f.Memory > w.Memory:
				refuse("memory", units.FormatBytes(f.Memory), units.FormatBytes(w.Memory))
			case f.Compute == "gpu" && w.GPU.Count == 0:
				refuse("gpu", "one", "none")
			case f.Compute != "" && w.GPU.Memory > 0 && f.GPUMemory > w.GPU.Memory:
				refuse("GPU memory", units.FormatBytes(f.GPUMemory), units.FormatBytes(w.GPU.Memory)+" on each")
			case w.MilliCPU > 0 && f.MilliCPU > w.MilliCPU && b.capacityKnown(instances[i]):
				refuse("CPU", fmt.Sprintf("%g cores", float64(f.MilliCPU)/1000), fmt.Sprintf("%g", float64(w.MilliCPU)/1000))
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
		if len(b.diags) > errors {
			return // the next worker most likely is the same
		}
	}
}

// capacityKnown reports whether the cores of a worker are more than a stand-in.
func (b *builder) capacityKnown(in *instance) bool {
	return in.Attrs["cores"].Given && in.Attrs["cores"].Go != nil || b.facts && b.hosts != nil
}

// Durations of a simulated function that says nothing about itself.
const (
	modelWarm = 10 * time.Millisecond
	modelCold = 250 * time.Millisecond
)

func (b *builder) function(in *instance) spec.Function {
	f := b.code(in)
	if f.Profile == nil && b.engine == schema.Simulated && !b.m.opts.Measured && !b.calibrated() {
		b.report(diag.Problem{
			ID: "AIN3006", Warning: true, At: &in.Range, Summary: fmt.Sprintf("function %q is simulated with %s warm and %s to start: it has no profile", f.Name, modelWarm, modelCold),
			Notes: []diag.Note{diag.Help("add profile { warm = \"20ms\"  cold = \"200ms\" }, or take the times of a finished run with --from")},
		})
		f.Profile = &spec.Profile{Warm: spec.Dist{Kind: "constant", Mean: modelWarm}, Cold: spec.Dist{Kind: "constant", Mean: modelCold}}
	}
	return f
}

// calibrated reports whether the experiment says where durations are measured.
func (b *builder) calibrated() bool {
	return b.exp != nil && slices.ContainsFunc(b.refs(b.exp.Block, "simulate"), func(s *instance) bool { return s.Attrs["calibrate"].Given })
}

// code is a function as it is declared.
func (b *builder) code(in *instance) spec.Function {
	b.use(in.Block)
	f := spec.Function{
		Name: in.name, Builtin: decode.Get[string](in.Block, "builtin"), Runtime: decode.Get[string](in.Block, "runtime"),
		Image: in.in.m.imageRef(decode.Get[string](in.Block, "image")), Base: in.in.m.imageRef(decode.Get[string](in.Block, "base")),
		Memory: decode.Get[spec.Bytes](in.Block, "memory"), MilliCPU: milli(decode.Get[float64](in.Block, "cpus")),
		Timeout: decode.Get[time.Duration](in.Block, "timeout"), Prewarm: int(decode.Get[int64](in.Block, "prewarm")),
		Env: decode.Get[map[string]string](in.Block, "env"), Args: b.args(in),
		Compute: compute(decode.Get[[]string](in.Block, "compute")), GPUMemory: decode.Get[spec.Bytes](in.Block, "gpu_memory"),
	}
	if name := decode.Get[string](in.Block, "server"); name != "ainur" {
		f.Server = name
	}
	if in.Attrs["requirements"].Given && !in.Unknown("requirements") {
		b.requirements(in, &f)
	}
	b.source(in, &f)
	if p := in.One("profile"); p != nil {
		b.use(p)
		f.Profile = &spec.Profile{Warm: decode.Get[spec.Dist](p, "warm"), Cold: decode.Get[spec.Dist](p, "cold"), Memory: decode.Get[spec.Bytes](p, "memory")}
		if g := p.One("gpu"); g != nil {
			b.use(g)
			f.Profile.GPU = &spec.GPUProfile{Warm: decode.Get[spec.Dist](g, "warm"), Cold: decode.Get[spec.Dist](g, "cold")}
		}
	}
	if slices.Contains(reserved, in.Label) {
		b.report(diag.Problem{ID: "AIN1108", Summary: fmt.Sprintf("a function cannot be called %q", in.Label), At: &in.Range, Notes: []diag.Note{diag.Remark("results have that name: load.x.latency.%s", in.Label)}})
	}
	return f
}
