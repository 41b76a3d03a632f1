package hcl

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/trace"
)

// tracing is a trace with what serves it.
type tracing struct {
	in        *instance
	spec      *spec.Trace     // nil when it is unknown, wrong or of a format that cannot be read yet
	servers   []*instance     // functions that serve its calls, and
	functions []spec.Function // those made for it, which stand for busy
}

// readTrace reads the files of a trace block once; nil when they are unknown or wrong.
func (e *evaluator) readTrace(in *instance) *trace.Trace {
	path, metadata := decode.Get[string](in.Block, "path"), decode.Get[string](in.Block, "metadata")
	format := decode.Get[string](in.Block, "format")
	if path == "" || format == "" || in.in.m.broken[addr{"trace", in.Label}] {
		return nil
	}
	path = in.in.m.path(path)
	if format != "iluvatar" {
		if _, err := os.Stat(path); err != nil {
			at := in.Attrs["path"].Range
			e.report(diag.Problem{ID: "AIN1503", Summary: fmt.Sprintf("%s cannot be read", in.Scope.Owner), At: &at, Notes: []diag.Note{diag.Remark("%v", err)}})
		}
		return nil
	}
	if metadata == "" {
		if !in.Attrs["metadata"].Given {
			e.report(diag.Problem{ID: "AIN1103", Summary: in.Scope.Owner + " needs \"metadata\"", At: &in.Range, Notes: []diag.Note{diag.Help("format iluvatar is a pair of files: path has the invocations, metadata the functions")}})
		}
		return nil
	}
	metadata = in.in.m.path(metadata)
	key := [2]string{path, metadata}
	files, read := e.m.top.traces[key]
	if !read {
		files.Trace, files.err = trace.ReadIluvatar(path, metadata)
		e.m.top.traces[key] = files
	}
	if err := files.err; err != nil {
		at := in.Attrs["path"].Range
		if strings.Contains(err.Error(), metadata) {
			at = in.Attrs["metadata"].Range
		}
		e.report(diag.Problem{ID: "AIN1503", Summary: fmt.Sprintf("%s cannot be read", in.Scope.Owner), At: &at, Notes: []diag.Note{diag.Remark("%v", err)}})
		return nil
	}
	if want := decode.Get[string](in.Block, "sha256"); want != "" && !strings.EqualFold(want, files.SHA256) {
		at := in.Attrs["sha256"].Range
		e.report(diag.Problem{ID: "AIN1506", Summary: fmt.Sprintf("sha256 is of another file than %s", decode.Get[string](in.Block, "path")), At: &at, Notes: []diag.Note{diag.Remark("its hash is %s", files.SHA256), diag.Help("get the file that was meant, or write the new hash")}})
		return nil
	}
	return files.Trace
}

// traceObject is what a trace exports.
func (e *evaluator) traceObject(in *instance) map[string]cty.Value {
	t := e.readTrace(in)
	if t == nil {
		return map[string]cty.Value{
			"functions": cty.UnknownVal(cty.List(cty.String)), "calls": cty.UnknownVal(cty.Number),
			"duration": cty.UnknownVal(cty.Number), "hash": cty.UnknownVal(cty.String),
		}
	}
	var names []cty.Value
	for _, f := range t.Functions {
		names = append(names, cty.StringVal(f.Name))
	}
	return map[string]cty.Value{
		"functions": cty.ListVal(names), "calls": cty.NumberIntVal(int64(t.Calls)),
		"duration": funcs.Number(t.Duration.Seconds()), "hash": cty.StringVal(t.SHA256),
	}
}

// traceKey is the key of a trace that a builder has made.
type traceKey struct{ in *decode.Block }

// trace makes a trace with its mapping.
func (b *builder) trace(in *instance) tracing {
	return once(b, in.node.axes, traceKey{in.Block}, func() tracing { return b.makeTrace(in) })
}

func (b *builder) makeTrace(in *instance) tracing {
	b.use(in.Block)
	none := tracing{in: in}
	t := b.readTrace(in)
	if t == nil {
		return none
	}
	made := tracing{in: in, spec: &spec.Trace{
		Name: in.name, Format: decode.Get[string](in.Block, "format"),
		Path: in.in.m.path(decode.Get[string](in.Block, "path")), Metadata: in.in.m.path(decode.Get[string](in.Block, "metadata")),
		SHA256: t.SHA256, Map: map[string]string{}, Calls: t.Calls, Duration: t.Duration,
	}}
	servers, ok := b.servers(in)
	if !ok {
		return none
	}
	for _, f := range t.Functions {
		if f.Calls == 0 {
			continue
		}
		server := servers[0]
		if len(servers) > 1 {
			server = nearest(f.Warm, servers)
		}
		made.spec.Map[f.Name] = server.name
		if decode.Get[string](server.Block, "builtin") == "busy" && len(servers) == 1 {
			made.spec.Map[f.Name] = f.Name
			made.functions = append(made.functions, b.busy(in, server, f))
			continue
		}
		if !slices.Contains(made.servers, server) {
			made.servers = append(made.servers, server)
		}
	}
	return made
}

// servers are the functions that may serve a trace: map_to = function.f, or
// map_to = { method = "nearest_duration", functions = [...] }.
func (b *builder) servers(in *instance) ([]*instance, bool) {
	attr := in.Attrs["map_to"]
	if !attr.Given {
		b.report(diag.Problem{ID: "AIN1504", Summary: in.Scope.Owner + " needs map_to: what serves its calls?", At: &in.Range, Notes: []diag.Note{diag.Help("write map_to = function.NAME; a builtin busy takes as long as each function of the trace did")}})
		return nil, false
	}
	v, known := attr.Go.(cty.Value)
	if !known {
		return nil, false
	}
	wrong := func(summary string) ([]*instance, bool) {
		b.report(diag.Problem{
			ID: "AIN1504", Summary: summary, At: &attr.Range,
			Notes: []diag.Note{diag.Help("write map_to = function.NAME, or map_to = { method = \"nearest_duration\", functions = [...] }")},
		})
		return nil, false
	}
	if id := decode.ID(v); id != "" {
		if decode.KindOf(id) != "function" {
			return wrong(fmt.Sprintf("map_to wants a function, got %s", id))
		}
		return []*instance{b.find(id)}, true
	}
	t := v.Type()
	if !t.IsObjectType() || !t.HasAttribute("method") || !t.HasAttribute("functions") || len(t.AttributeTypes()) != 2 {
		return wrong("map_to wants a function, or a method with functions")
	}
	if !v.GetAttr("method").RawEquals(cty.StringVal("nearest_duration")) {
		return wrong("the method of map_to is \"nearest_duration\"")
	}
	var servers []*instance
	list := v.GetAttr("functions")
	if list.IsNull() || !list.CanIterateElements() || list.LengthInt() == 0 {
		return wrong("functions of map_to is a list of functions")
	}
	for _, f := range list.Elements() {
		id := decode.ID(f)
		if decode.KindOf(id) != "function" {
			return wrong("functions of map_to is a list of functions")
		}
		server := b.find(id)
		if warm(server).Kind != "constant" {
			b.report(diag.Problem{
				ID: "AIN1504", Summary: fmt.Sprintf("%s has no profile with a constant warm duration to compare", server.Scope.Owner), At: &attr.Range,
				Related: []diag.Related{{At: server.Range, Label: "add profile { warm = \"20ms\"  cold = \"200ms\" }"}},
			})
			return nil, false
		}
		servers = append(servers, server)
	}
	return servers, true
}

// warm is the modelled execution time of a function.
func warm(f *instance) spec.Dist {
	if p := f.One("profile"); p != nil {
		return decode.Get[spec.Dist](p, "warm")
	}
	return spec.Dist{}
}

// nearest is the function whose duration is closest to d; the first of equals.
func nearest(d time.Duration, servers []*instance) *instance {
	best := servers[0]
	for _, s := range servers[1:] {
		if (warm(s).Mean - d).Abs() < (warm(best).Mean - d).Abs() {
			best = s
		}
	}
	return best
}

// busy is a function that computes for as long as a trace function took.
func (b *builder) busy(in, server *instance, f trace.Function) spec.Function {
	scale := decode.Get[float64](in.Block, "scale_duration")
	longest := decode.Get[time.Duration](in.Block, "max_duration")
	scaled := func(d time.Duration) time.Duration {
		d = time.Duration(float64(d) * scale).Round(time.Microsecond)
		if longest > 0 {
			d = min(d, longest)
		}
		return max(d, 0)
	}
	made := b.code(server)
	made.Name = f.Name
	made.Memory = max(made.Memory, f.Memory)
	made.Profile = &spec.Profile{
		Warm: spec.Dist{Kind: "constant", Mean: scaled(f.Warm)},
		Cold: spec.Dist{Kind: "constant", Mean: scaled(f.Cold - f.Warm)}, // a trace's cold duration holds the execution
	}
	milliseconds := float64(made.Profile.Warm.Mean) / float64(time.Millisecond)
	args, err := json.Marshal(map[string]float64{"ms": milliseconds})
	if err != nil {
		panic("trace: " + err.Error()) // finite numbers marshal
	}
	made.Args = args
	return made
}

// traceFunctions adds the functions made for a trace to those of a point.
func (b *builder) traceFunctions(t tracing, functions []spec.Function, places []hcl.Range) ([]spec.Function, []hcl.Range) {
	for _, f := range t.functions {
		i := slices.IndexFunc(functions, func(have spec.Function) bool { return have.Name == f.Name })
		if i < 0 {
			functions, places = append(functions, f), append(places, t.in.Range)
			b.parts = append(b.parts, part{value: f})
			continue
		}
		if have := functions[i]; string(have.Args) != string(f.Args) || have.Builtin != f.Builtin || have.Memory != f.Memory {
			at := t.in.Attrs["map_to"].Range
			b.report(diag.Problem{ID: "AIN1505", Summary: fmt.Sprintf("%s has a function %q, and there is another of that name", t.in.Scope.Owner, f.Name), At: &at})
		}
	}
	return functions, places
}
