package report

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// observed is what the figures of a point show: its recorded calls, all repeats
// together, by function, the most called first; and the calls of one repeat.
type observed struct {
	point     *spec.Point
	functions []*function
	repeats   int
	shown     int            // the repeat that the timeline shows, 0 when none has calls
	calls     []measure.Call // of that repeat, warm-up too
}

// function is the recorded calls of one function.
type function struct {
	name    string
	latency []int64 // ns, of completed calls, sorted
	kinds   [len(callKinds)]int64
	parts   [2]parts // of completed calls: not cold, cold
}

// callKinds is how calls are told apart by what they waited for.
var callKinds = [...]string{"warm", "prewarmed", "cold", "failed"}

// kindOf is the index in callKinds.
func kindOf(c *measure.Call) int {
	if c.Status != measure.OK {
		return len(callKinds) - 1
	}
	return max(0, slices.Index(callKinds[:], c.ColdKind))
}

// parts is where the latency of n calls went, in ns.
type parts struct {
	n   int64
	sum [len(partNames)]int64
}

// partNames is the parts of a latency, in their order, as partOf groups the phases.
var partNames = [...]string{"generator lag", "network", "queue", "sandbox start", "platform", "execution"}

var partOf = map[string]int{
	"lag": 0, "request": 1, "reply": 1, "admit": 2, "queue": 2, "start": 3, "dispatch": 4, "finish": 4, "exec": 5,
}

func (p *parts) add(c *measure.Call) {
	p.n++
	for _, phase := range measure.Phases(*c) {
		p.sum[partOf[phase.Name]] += int64(phase.Duration)
	}
}

func (p *parts) total() (ns int64) {
	for _, v := range p.sum {
		ns += v
	}
	return ns
}

// observe reads the calls of a point.
func observe(run *result.Run, p *spec.Point) (*observed, error) {
	o := &observed{point: p}
	byName := map[string]*function{}
	for _, rep := range run.Repeats {
		if rep.Point != p.ID {
			continue
		}
		calls, err := measure.ReadCalls(run.CallsPath(rep.Step))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it ended before it measured anything
		} else if err != nil {
			return nil, fmt.Errorf("report on run %s: %w", run.Manifest.RunID, err)
		}
		o.repeats++
		if o.shown == 0 && len(calls) > 0 {
			o.shown, o.calls = rep.Repeat, calls
		}
		for i := range calls {
			o.add(byName, &calls[i])
		}
	}
	slices.SortFunc(o.functions, func(a, b *function) int {
		return cmp.Or(cmp.Compare(len(b.latency), len(a.latency)), cmp.Compare(a.name, b.name))
	})
	for _, f := range o.functions {
		slices.Sort(f.latency)
	}
	return o, nil
}

func (o *observed) add(byName map[string]*function, c *measure.Call) {
	if !c.Record {
		return
	}
	f := byName[c.Function]
	if f == nil {
		f = &function{name: c.Function}
		byName[c.Function], o.functions = f, append(o.functions, f)
	}
	f.kinds[kindOf(c)]++
	if c.Status != measure.OK {
		return
	}
	if l := o.latency(c); l != measure.Missing {
		f.latency = append(f.latency, l)
	}
	cold := 0
	if c.ColdKind == "cold" {
		cold = 1
	}
	f.parts[cold].add(c)
}

// latency is what the call's load says latency is.
func (o *observed) latency(c *measure.Call) int64 {
	for i := range o.point.Loads {
		if o.point.Loads[i].Name == c.Load && o.point.Loads[i].MeasureFrom == "actual" {
			return c.Service()
		}
	}
	return c.Latency()
}

// most is how many functions or points a figure tells apart.
const most = 7

// shownFunctions is the most called functions by name, so that a function has
// one colour at all points, and the others as one.
func (o *observed) shownFunctions() []*function {
	shown, others := slices.Clone(o.functions), []*function{}
	if len(shown) > most+1 {
		shown, others = shown[:most], shown[most:]
	}
	slices.SortFunc(shown, func(a, b *function) int { return cmp.Compare(a.name, b.name) })
	if len(others) > 0 {
		shown = append(shown, merge(fmt.Sprintf("%d others", len(others)), others))
	}
	return shown
}

// merge is functions as one.
func merge(name string, functions []*function) *function {
	all := &function{name: name}
	for _, f := range functions {
		all.latency = append(all.latency, f.latency...)
		for i, n := range f.kinds {
			all.kinds[i] += n
		}
		for i, p := range f.parts {
			all.parts[i].n += p.n
			for j, v := range p.sum {
				all.parts[i].sum[j] += v
			}
		}
	}
	slices.Sort(all.latency)
	return all
}
