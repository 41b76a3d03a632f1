package hcl

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Rule is a rule of methodology: what it warns of is valid, and may mislead. A
// rule that cannot know, because a value is unknown, is silent.
type Rule struct {
	ID    string `json:"id"`            // "AIN3004"
	Title string `json:"title"`         // what it warns of, one line
	Why   string `json:"why,omitempty"` // a note of each warning; "" where the warning says it all

	// One of these looks; none does where Validate looks already.
	module     func(*linter)         // at the files
	experiment func(*linter, *study) // at each experiment, after its points
	point      func(*linter, *scene) // at each point of each experiment
}

// Rules lists the rules of Lint by id.
func Rules() []Rule { return slices.Clone(rules) }

var rules = []Rule{
	{ID: "AIN3001", Title: "an experiment without a seed of its own"},
	{ID: "AIN3002", Title: "an image without a digest, and `pin = false`", Why: "a tag may name another image tomorrow", point: (*linter).unpinned},
	{ID: "AIN3003", Title: "an image called latest", Why: "latest does not say what ran, and moves with every release", point: (*linter).latest},
	{ID: "AIN3004", Title: "a quantile with fewer than 10 calls expected beyond it", point: (*linter).quantiles},
	{ID: "AIN3007", Title: "two hosts of a cluster that are one machine", Why: "they share its clock and its cores: what one does slows the other", point: (*linter).sameMachine},
	{ID: "AIN3008", Title: "a load generator on the host of a worker, without `from`", Why: "the generator takes cores from what it measures", point: (*linter).generator},
	{ID: "AIN3009", Title: "a closed loop whose latency quantile is asserted", Why: "a client that waits for a slow reply sends nothing meanwhile, so slow times are sampled least: coordinated omission (Schroeder et al., NSDI 2006: Open versus closed)", point: (*linter).coordinated},
	{ID: "AIN3010", Title: "a load without a warm-up whose times are asserted", Why: "the first calls pay for cold starts, empty caches and code not compiled yet", point: (*linter).noWarmup},
	{ID: "AIN3011", Title: "a warm-up shorter than the keep-alive, and cold starts are asserted", Why: "until a sandbox can expire, cold starts are those of the beginning and not those of the policy", point: (*linter).shortWarmup},
	{ID: "AIN3012", Title: "fewer than 5 repeats", Why: "with so few repeats one outlier looks like a result", experiment: (*linter).fewRepeats},
	{ID: "AIN3013", Title: "fewer than 6 repeats, and a report compares", Why: "the 95 % confidence interval of a median needs 6 samples, and with 3 and 3 the U-test cannot find p below 0.1", experiment: (*linter).fewToCompare},
	{ID: "AIN3014", Title: "a sweep of more than 1 000 executions", Why: "it takes long, and among so many results some stand out by chance", experiment: (*linter).manyExecutions},
	{ID: "AIN3015", Title: "an axis with more than 50 values", Why: "a curve seldom needs so many: a coarse sweep shows where to look closer", experiment: (*linter).wideAxis},
	{ID: "AIN3016", Title: "functions that together need more memory than a worker has", Why: "they evict one another, and their cold starts measure the shortage", point: (*linter).crowded},
	{ID: "AIN3017", Title: "a trace that is longer than the load that replays it", Why: "calls after the end of the load are never made", point: (*linter).traceCut},
	{ID: "AIN3018", Title: "`host_key = \"accept_new\"`", Why: "whoever answers first is trusted, also someone in between", point: (*linter).acceptNew},
	{ID: "AIN3019", Title: "a block or a local that nothing uses", Why: "it is forgotten, or a reference to it is", module: (*linter).unused},
	{ID: "AIN3020", Title: "an assertion that always holds", Why: "what cannot fail says nothing about the run", module: (*linter).alwaysHolds},
	{ID: "AIN3021", Title: "an experiment that asserts nothing", Why: "a run without assertions succeeds also when every call fails", experiment: (*linter).assertsNothing},
	{ID: "AIN3022", Title: "a cap below the calls that may be in flight", Why: "calls in flight are the rate times the time of one (Little's law), and those over max_in_flight are dropped", point: (*linter).lowCap},
	{ID: "AIN3023", Title: "`on_saturation = \"record\"`", Why: "a saturated generator does not make the load that was asked for, and its numbers look as if it had", point: (*linter).saturated},
}

// Lint is Validate and, where that finds no error, what the rules warn of. Facts
// of hosts are unknown.
func (m *Module) Lint() hcl.Diagnostics {
	diags := m.Validate()
	if diags.HasErrors() {
		return diags
	}
	l := &linter{m: m, base: m.evaluator(false), seen: map[any]bool{}, reached: map[addr]bool{}}
	l.base.everything()
	l.findSites()
	for _, name := range m.Experiments() {
		l.run(name)
	}
	l.each(func(r *Rule) {
		if r.module != nil {
			r.module(l)
		}
	})
	return diag.Sort(append(diags, l.diags...))
}

// linter applies the rules to a module.
type linter struct {
	m       *Module
	base    *evaluator // of no experiment
	sites   []*site
	reached map[addr]bool // functions that some load calls
	vague   bool          // what some load calls is not known

	rule  *Rule // that is applied
	seen  map[any]bool
	diags hcl.Diagnostics
}

// each applies the rules one after the other.
func (l *linter) each(apply func(*Rule)) {
	for i := range rules {
		l.rule = &rules[i]
		apply(l.rule)
	}
}

// lintKey is what a rule has looked at.
type lintKey struct {
	rule string
	what any
}

// first reports whether the rule has not looked at something before: points
// share most of what they are made of.
func (l *linter) first(what any) bool {
	key := lintKey{l.rule.ID, what}
	old := l.seen[key]
	l.seen[key] = true
	return !old
}

// warn reports p once for its place. What it is about may differ between points.
func (l *linter) warn(s *scene, p diag.Problem, about ...*instance) {
	if !l.first(*p.At) {
		return
	}
	p.ID, p.Warning = l.rule.ID, true
	if l.rule.Why != "" {
		p.Notes = append([]diag.Note{diag.Remark("%s", l.rule.Why)}, p.Notes...)
	}
	if around(about) != 0 && len(s.point.axes) > 0 {
		p.Notes = append(p.Notes, diag.Remark("at the point %s", s.point.describe()))
	}
	l.diags = append(l.diags, p.Diagnostic())
}

// study is an experiment as the rules see it.
type study struct {
	*instance
	sweep    *instance // nil without one
	lattice  *lattice
	known    bool                 // its loads are
	loads    []string             // names of those it runs
	readings map[string][]reading // what is asserted and reported of each load
}

// scene is a point of a study.
type scene struct {
	*builder
	study *study
	made  spec.Point
	loads []scheduled
}

// workerBlocks are the blocks of the workers, in the order of made.
func (s *scene) workerBlocks() []*instance {
	return slices.Concat(s.refs(s.exp.Block, "worker"), s.refs(s.exp.Block, "workers"))
}

// scheduled is a load of a scene.
type scheduled struct {
	*instance
	*madeLoad
	called []*instance // functions
}

// run applies the rules to an experiment and each of its points.
func (l *linter) run(name string) {
	e := l.m.evaluator(false)
	in := e.node(addr{"experiment", name}, hcl.Range{}).instances[0]
	st := &study{instance: in, lattice: unknownPoint, known: !in.Unknown("load")}
	label := ""
	for _, s := range e.refs(in.Block, "sweep") {
		st.sweep, st.lattice, label = s, e.expand(s), s.Label
	}
	for _, c := range st.lattice.points {
		at := e.at(st.lattice.position(label, c))
		b := &builder{evaluator: at, engine: unchecked}
		s := &scene{builder: b, study: st, made: b.build(at.node(addr{"experiment", name}, hcl.Range{}).instances[0])}
		for _, in := range b.refs(b.exp.Block, "load") {
			made := once(b, in.node.axes, loadKey{in.Block}, func() *madeLoad { return b.load(in) })
			load := scheduled{in, made, nil}
			for _, id := range made.functions {
				load.called = append(load.called, b.find(id))
			}
			s.loads = append(s.loads, load)
			l.reach(made)
		}
		if st.readings == nil {
			for _, load := range s.loads {
				st.loads = append(st.loads, load.name)
			}
			st.readings = l.readingsOf(st)
		}
		l.each(func(r *Rule) {
			if r.point != nil {
				r.point(l, s)
			}
		})
	}
	l.each(func(r *Rule) {
		if r.experiment != nil {
			r.experiment(l, st)
		}
	})
}

// reach notes the functions that a load calls.
func (l *linter) reach(made *madeLoad) {
	l.vague = l.vague || !made.complete
	for _, id := range made.functions {
		l.reached[addrOf(id)] = true
	}
}

// simulated reports whether the experiment says that its hosts are not real.
func (st *study) simulated() bool { return st.Attrs["simulate"].Given }

// repeat is how often each point is executed, with its place; known is false
// where that is not.
func (st *study) repeat() (n int64, at hcl.Range, known bool) {
	blocks := []*decode.Block{st.Block}
	if st.sweep != nil {
		blocks = append(blocks, st.sweep.Block)
	}
	for _, b := range blocks {
		if a := b.Attrs["repeat"]; a.Given {
			n, known = a.Go.(int64)
			return n, a.Range, known
		}
	}
	return defaultRepeat, st.Range, true
}

// defaultRepeat is how often a point is executed where nothing says so.
const defaultRepeat = 10
