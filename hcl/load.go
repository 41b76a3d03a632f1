package hcl

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Names of the phases that the language makes.
const (
	warmup   = "warmup"
	cooldown = "cooldown"
	mainName = "main"
)

// madeLoad is a load with what it needs.
type madeLoad struct {
	spec      spec.Load
	complete  bool      // nothing of it is unknown or wrong
	functions []string  // addresses of those it calls
	traces    []tracing // each once
}

// loadBuilder makes a load.
type loadBuilder struct {
	*builder
	in *instance
	madeLoad
}

func (b *builder) load(in *instance) *madeLoad {
	l := &loadBuilder{builder: b, in: in}
	b.use(in.Block)
	errors := len(b.diags)
	l.complete = true
	if in.in.m.broken[addr{in.Type, in.Label}] {
		l.spec.Name, l.complete = in.name, false
		return &l.madeLoad
	}
	l.make()
	l.complete = l.complete && len(b.diags) == errors
	return &l.madeLoad
}

func (b *loadBuilder) make() {
	in := b.in
	l := &b.spec
	*l = spec.Load{
		Name: in.name, Timeout: decode.Get[time.Duration](in.Block, "timeout"),
		MaxInFlight: int(decode.Get[int64](in.Block, "max_in_flight")), OnSaturation: decode.Get[string](in.Block, "on_saturation"),
		LagLimit: decode.Get[time.Duration](in.Block, "lag_limit"), MeasureFrom: decode.Get[string](in.Block, "measure_from"),
	}
	for _, t := range b.refs(in.Block, "target") {
		l.Target = t.name
	}
	l.From = b.from(in)
	var known bool
	if l.Mix, known = b.loadMix(in); !known {
		b.complete = false
	}
	phases := in.All("phase")
	if len(phases) > 0 && (in.One("arrival") != nil || in.Attrs["duration"].Given) {
		b.report(diag.Problem{
			ID: "AIN1502", Summary: in.Scope.Owner + " has phases: duration and arrival belong into them", At: &in.Range,
			Related: []diag.Related{{At: phases[0].Range, Label: "the first phase is here"}},
		})
	}
	if len(phases) == 0 {
		l.Phases = []spec.Phase{b.phase(in.Block, mainName)}
	}
	for _, p := range phases {
		made := b.phase(p, p.Label)
		if i := slices.IndexFunc(l.Phases, func(have spec.Phase) bool { return have.Name == made.Name }); i >= 0 || made.Name == warmup || made.Name == cooldown {
			b.report(diag.Problem{ID: "AIN1109", Summary: fmt.Sprintf("%s has another phase called %q", in.Scope.Owner, made.Name), At: &p.Range})
		}
		l.Phases = append(l.Phases, made)
	}
	if d := decode.Get[time.Duration](in.Block, warmup); d > 0 {
		first := l.Phases[0]
		l.Phases = slices.Insert(l.Phases, 0, spec.Phase{Name: warmup, Duration: d, Mix: first.Mix, Arrival: first.Arrival})
	}
	if d := decode.Get[time.Duration](in.Block, cooldown); d > 0 {
		last := l.Phases[len(l.Phases)-1]
		l.Phases = append(l.Phases, spec.Phase{Name: cooldown, Duration: d, Mix: last.Mix, Arrival: last.Arrival})
	}
	continueTraces(l.Phases)
}

// continueTraces makes each phase that replays a trace begin where the one before it ended.
func continueTraces(phases []spec.Phase) {
	played := map[string]time.Duration{} // time of the trace
	for i, p := range phases {
		if t := p.Arrival.Trace; t != nil {
			phases[i].Arrival.Start = played[t.Name]
			played[t.Name] += time.Duration(float64(p.Duration) * p.Arrival.Speed)
		}
	}
}

// phase makes a phase from a phase block, or from the load itself.
func (b *loadBuilder) phase(from *decode.Block, name string) spec.Phase {
	load := b.in.Block
	p := spec.Phase{Name: name, Duration: decode.Get[time.Duration](from, "duration"), Record: true}
	if from != load {
		b.settled(from)
		p.Record = decode.Get[bool](from, "record")
	}
	arrival := from.One("arrival")
	if arrival == nil {
		b.report(diag.Problem{
			ID: "AIN1103", Summary: fmt.Sprintf("%s needs an arrival block", from.Scope.Owner), At: &from.Range,
			Notes: []diag.Note{diag.Help("write arrival \"poisson\" { rate = \"50/s\" }")},
		})
		return p
	}
	b.settled(arrival)
	p.Arrival = b.arrival(arrival)
	if from != load && from.Attrs["mix"].Given {
		var known bool
		p.Mix, known = b.mix(from)
		b.complete = b.complete && known
	}
	if arrival.Label != "trace" && arrival.Label != "replay" && len(p.Mix) == 0 && !from.Attrs["mix"].Given && !load.Attrs["mix"].Given && !load.Attrs["call"].Given {
		b.report(diag.Problem{ID: "AIN1110", Summary: fmt.Sprintf("%s needs call or mix: what does it call?", load.Scope.Owner), At: &load.Range})
	}
	return p
}

func (b *loadBuilder) arrival(in *decode.Block) spec.Arrival {
	a := spec.Arrival{
		Model: in.Label, RatePerSecond: decode.Get[float64](in, "rate"), Speed: decode.Get[float64](in, "speed"),
		Clients: int(decode.Get[int64](in, "clients")), Think: decode.Get[spec.Dist](in, "think"),
		FromPerSecond: decode.Get[float64](in, "from"), ToPerSecond: decode.Get[float64](in, "to"), Shape: decode.Get[string](in, "shape"), Even: decode.Get[bool](in, "even"),
	}
	switch a.Model {
	case "ramp":
		b.checkRamp(in, a)
	case "trace":
		if traces := b.refs(in, "trace"); len(traces) == 1 {
			made := b.trace(traces[0])
			a.Trace = made.spec
			for _, f := range made.servers {
				b.uses(f)
			}
			if !slices.ContainsFunc(b.traces, func(have tracing) bool { return have.in.id == made.in.id }) {
				b.traces = append(b.traces, made)
			}
		}
		b.complete = b.complete && a.Trace != nil
	case "step", "sine", "burst", "gamma", "replay", "max":
		b.complete = false
	}
	return a
}

// checkRamp refuses a ramp that has no calls, or no rate in between.
func (b *loadBuilder) checkRamp(in *decode.Block, a spec.Arrival) {
	at := in.Range
	known := in.Attrs["from"].Go != nil && in.Attrs["to"].Go != nil
	switch {
	case !known:
	case a.FromPerSecond == 0 && a.ToPerSecond == 0:
		b.report(diag.Problem{ID: "AIN1203", Summary: "a ramp from 0 to 0 makes no calls", At: &at})
	case a.Shape == "exponential" && (a.FromPerSecond == 0 || a.ToPerSecond == 0):
		b.report(diag.Problem{ID: "AIN1203", Summary: "an exponential ramp never is at rate 0", At: &at, Notes: []diag.Note{diag.Help("begin and end above 0, such as at \"1/s\", or use shape = \"linear\"")}})
	}
}

// loadMix is what a load calls: one function, or several with weights.
func (b *loadBuilder) loadMix(in *instance) ([]spec.Weight, bool) {
	if !in.Attrs["call"].Given {
		if in.Attrs["mix"].Given {
			return b.mix(in.Block)
		}
		return nil, true
	}
	if in.Attrs["mix"].Given {
		at := in.Attrs["mix"].Range
		b.report(diag.Problem{
			ID: "AIN1110", Summary: in.Scope.Owner + " has call and mix: keep one", At: &at,
			Related: []diag.Related{{At: in.Attrs["call"].Range, Label: "call is here"}},
		})
	}
	functions := b.refs(in.Block, "call")
	if len(functions) != 1 {
		return nil, false
	}
	b.uses(functions[0])
	return []spec.Weight{{Function: functions[0].name, Weight: 1}}, true
}

// uses notes a function that the load calls.
func (b *loadBuilder) uses(f *instance) {
	if !slices.Contains(b.functions, f.id) {
		b.functions = append(b.functions, f.id)
	}
}

// mix reads weights by name of function, makes them sum to 1 and sorts them.
func (b *loadBuilder) mix(in *decode.Block) ([]spec.Weight, bool) {
	attr := in.Attrs["mix"]
	v, ok := attr.Go.(cty.Value)
	if !ok || !v.IsWhollyKnown() {
		return nil, false
	}
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() || v.LengthInt() == 0 {
		b.report(diag.Problem{
			ID: "AIN1203", Summary: "mix wants weights by name of function, got " + t.FriendlyName(), At: &attr.Range,
			Notes: []diag.Note{diag.Help("write mix = { hello = 3, busy = 1 }")},
		})
		return nil, false
	}
	var mix []spec.Weight
	sum := 0.0
	for key, weight := range v.Elements() {
		name := key.AsString()
		f := b.functionNamed(name)
		if f == nil {
			at, whole := b.keyRange(in, name), attr.Range
			known := b.in.in.m.names("function")
			p := diag.Problem{ID: "AIN1301", Summary: fmt.Sprintf("there is no function %q", name), At: &at, Whole: &whole, Suggest: diag.Suggest(name, known)}
			if at != whole {
				p.Whole = nil
			}
			if len(p.Suggest) == 0 {
				p.Notes = []diag.Note{diag.Help("functions are %s", strings.Join(known, ", "))}
			}
			b.report(p)
			return nil, false
		}
		number, err := convert.Convert(weight, cty.Number)
		w := 0.0
		if err == nil && !number.IsNull() {
			w, _ = number.AsBigFloat().Float64()
		}
		if err != nil || number.IsNull() || w < 0 || w > 1e12 {
			at := b.keyRange(in, name)
			b.report(diag.Problem{ID: "AIN1203", Summary: fmt.Sprintf("the weight of %s is no number from 0", name), At: &at})
			return nil, false
		}
		b.uses(f)
		mix = append(mix, spec.Weight{Function: f.name, Weight: w})
		sum += w
	}
	if sum == 0 {
		b.report(diag.Problem{ID: "AIN1203", Summary: "the weights of the mix are all 0", At: &attr.Range})
		return nil, false
	}
	for i := range mix {
		mix[i].Weight /= sum
	}
	slices.SortFunc(mix, func(x, y spec.Weight) int { return strings.Compare(x.Function, y.Function) })
	return mix, true
}

// functionNamed is a function by its name: hello, hello["a"] of a for_each, or
// net.hello of a module. A load in a module may leave out the module.
func (b *loadBuilder) functionNamed(name string) *instance {
	for _, prefix := range []string{b.in.in.prefix, ""} {
		parts := strings.Split(name, "[")
		path := strings.Split(parts[0], ".")
		var id strings.Builder
		id.WriteString(prefix)
		for _, module := range path[:len(path)-1] {
			id.WriteString("module." + module + ".")
		}
		if f := b.find(id.String() + "function." + strings.Join(append([]string{path[len(path)-1]}, parts[1:]...), "[")); f != nil {
			return f
		}
	}
	return nil
}

// keyRange is where the mix names a function, or the whole mix where that is computed.
func (b *loadBuilder) keyRange(in *decode.Block, name string) hcl.Range {
	return decode.KeyRange(in.Exprs["mix"], name)
}
