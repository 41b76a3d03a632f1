package hcl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Stage is how much is known when an expression is evaluated.
type Stage string

// The stages, each with what the one before has.
const (
	AtStatic Stage = "static" // variables, locals, functions and files
	AtPlan   Stage = "plan"   // and the facts of hosts
	AtResult Stage = "result" // and what a run measured
)

// Stages are the stages in their order.
var Stages = []Stage{AtStatic, AtPlan, AtResult}

// Finished is a run that expressions may ask about.
type Finished struct {
	Experiment *spec.Experiment
	Run        spec.Run
	Results    map[string][]spec.RepeatMetrics // by point, in the order of repeats
	Facts      map[string]spec.Facts           // of hosts by name, as recorded
	Simulated  bool
}

// Session evaluates expressions that may name everything the files have.
type Session struct {
	m          *Module
	stage      Stage
	experiment string // "" when there are several
	sweep      string // of the experiment, "" for none
	finished   *Finished
	rows       cty.Value   // result of the finished run
	point      *spec.Point // the chosen one, nil for none
	hosts      func(spec.Host) (spec.Facts, bool)
	facts      map[string]hostFacts // that the hosts have told, by address
}

// Session begins one about an experiment, which may be "" when there is only
// one or none matters, and about a run of it unless finished is nil. It begins
// at the last stage there is.
func (m *Module) Session(experiment string, finished *Finished) (*Session, hcl.Diagnostics) {
	s := &Session{m: m, stage: AtPlan, experiment: experiment, finished: finished, facts: map[string]hostFacts{}, hosts: m.opts.Facts}
	if finished != nil {
		s.stage, s.experiment = AtResult, cmp.Or(experiment, finished.Experiment.Name)
	}
	if s.experiment != "" || len(m.Experiments()) == 1 {
		name, p := m.choose(s.experiment)
		if p != nil {
			return nil, hcl.Diagnostics{p.Diagnostic()}
		}
		s.experiment = name
		s.about(name)
	}
	if finished == nil {
		return s, nil
	}
	if finished.Experiment.Name != s.experiment {
		return nil, hcl.Diagnostics{diag.Problem{
			ID: "AIN1604", Summary: fmt.Sprintf("the run is of experiment %q, not of %q", finished.Experiment.Name, s.experiment),
		}.Diagnostic()}
	}
	return s, s.conclude()
}

// about finds the sweep of the experiment and the facts of its hosts.
func (s *Session) about(name string) {
	base := s.m.evaluator(true)
	simulated := base.simulation(name)
	if simulated != nil || s.finished != nil && s.finished.Simulated {
		base.simulate(name, simulated)
	}
	s.hosts = base.hosts
	if s.finished != nil {
		otherwise := base.hosts
		s.hosts = func(h spec.Host) (spec.Facts, bool) {
			if facts, ok := s.finished.Facts[h.Name]; ok || otherwise == nil {
				return facts, ok
			}
			return otherwise(h)
		}
	}
	static := s.m.evaluator(false)
	for _, in := range static.node(addr{"experiment", name}, hcl.Range{}).instances {
		for _, sweep := range static.refs(in.Block, "sweep") {
			s.sweep = sweep.Label
		}
	}
}

// conclude makes the rows of the finished run.
func (s *Session) conclude() (diags hcl.Diagnostics) {
	var rows []cty.Value
	for _, p := range s.finished.Experiment.Points {
		at, err := restored(s.sweep, p.Axes)
		if err != nil {
			diags = append(diags, diag.Problem{ID: "AIN1605", Summary: fmt.Sprintf("point %s: %v", p.ID, err)}.Diagnostic())
			continue
		}
		axes := at.value
		if !axes.IsKnown() {
			axes = cty.EmptyObjectVal
		}
		rows = append(rows, row(cty.StringVal(p.ID), axes, resultsOf(p, s.finished.Results[p.ID])))
	}
	s.rows = cty.TupleVal(rows)
	return diags
}

// Stage is the present stage.
func (s *Session) Stage() Stage { return s.stage }

// Experiment is the one the session is about, "" for none.
func (s *Session) Experiment() string { return s.experiment }

// SetStage changes the stage.
func (s *Session) SetStage(stage Stage) error {
	if !slices.Contains(Stages, stage) {
		return fmt.Errorf("there is no stage %q: want static, plan or result", string(stage))
	}
	if stage == AtResult && s.finished == nil {
		return fmt.Errorf("stage result needs a run: start with --run RUN")
	}
	s.stage = stage
	return nil
}

// Point is the chosen point, nil when none is.
func (s *Session) Point() *spec.Point { return s.point }

// Points are those of the experiment, of the run when there is one.
func (s *Session) Points() ([]spec.Point, hcl.Diagnostics) {
	if s.finished != nil {
		return s.finished.Experiment.Points, nil
	}
	exp, diags := s.m.Experiment(s.experiment, 0)
	if diags.HasErrors() {
		return nil, diags
	}
	return exp.Points, nil
}

// SetPoint chooses the point at which expressions are evaluated: by its id or
// the beginning of it, or by its axes, as in queue=sjf; "none" is none.
func (s *Session) SetPoint(text string) error {
	if text == "none" {
		s.point = nil
		return nil
	}
	points, diags := s.Points()
	if diags.HasErrors() {
		return fmt.Errorf("the points are not known: %s", firstError(diags).Summary)
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	var found []spec.Point
	for _, p := range points {
		axes := strings.Split(PointText(p, "\n"), "\n")
		is := func(word string) bool { return slices.Contains(axes, word) }
		if strings.HasPrefix(p.ID, text) || !slices.ContainsFunc(words, func(w string) bool { return !is(w) }) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("there is no point %s; :point lists them", text)
	case 1:
		s.point = &found[0]
		return nil
	}
	return fmt.Errorf("%d points are %s: name more of its axes", len(found), text)
}

// consoleFile is the name under which an expression is shown.
const consoleFile = "console"

// Eval evaluates an expression. What is wrong with the blocks that it names is
// in the diagnostics, too.
func (s *Session) Eval(src string) (Answer, hcl.Diagnostics) {
	facts := s.m.facts
	defer func() { s.m.facts = facts }()
	expr, diags := s.parse(src)
	if diags.HasErrors() {
		return Answer{}, diags
	}
	v, diags := s.evaluate(expr, s.view())
	if diags.HasErrors() {
		return Answer{}, diags
	}
	a := Answer{Value: v, lastly: "known after a run"}
	if s.stage == AtResult {
		a.lastly = "not recorded"
	}
	if v.IsWhollyKnown() {
		return a, nil
	}
	for _, l := range s.later() {
		if v, diags := s.evaluate(expr, l.view); !diags.HasErrors() {
			a.later = append(a.later, alternative{l.note, v})
		}
	}
	return a, nil
}

// parse reads an expression as that of a file.
func (s *Session) parse(src string) (hclsyntax.Expression, hcl.Diagnostics) {
	src = strings.TrimSpace(src)
	s.m.files[consoleFile] = &hcl.File{Bytes: []byte(src)}
	if at, what := tooDeep([]byte(src), consoleFile); at != nil {
		return nil, hcl.Diagnostics{diag.Problem{ID: "AIN1003", Summary: what, At: at}.Diagnostic()}
	}
	expr, diags := hclsyntax.ParseExpression([]byte(src), consoleFile, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, hcl.Diagnostics{diag.From("AIN1001", firstError(diags))}
	}
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{"expression": {Name: "expression", Expr: expr}}}
	if diags := s.m.checkCalls(body, nil); diags.HasErrors() {
		return nil, diags
	}
	s.m.bound(body)
	return expr, nil
}

// view is what an expression sees.
type view struct {
	stage   Stage
	at      *position // nil: no point is chosen
	results map[string]cty.Value
	hosts   func(spec.Host) (spec.Facts, bool)
	facts   map[string]hostFacts
}

// view is that of the session as it is.
func (s *Session) view() view {
	v := view{stage: s.stage, hosts: s.hosts, facts: s.facts}
	switch {
	case s.point != nil:
		v = s.atPoint(v, *s.point)
	case s.finished != nil && len(s.finished.Experiment.Points) == 1:
		v = s.atPoint(v, s.finished.Experiment.Points[0])
	}
	return v
}

func (s *Session) atPoint(v view, p spec.Point) view {
	if at, err := restored(s.sweep, p.Axes); err == nil { // else it is in no row, too
		v.at = &at
	}
	if s.finished != nil {
		v.results = resultsOf(p, s.finished.Results[p.ID])
	}
	return v
}

// prospect is a view in which more is known, with what is said of that.
type prospect struct {
	note string
	view view
}

// later are the prospects, each with what the one before has.
func (s *Session) later() (all []prospect) {
	now := s.view()
	add := func(note string) { all = append(all, prospect{note, now}) }
	if now.stage == AtStatic {
		now.stage = AtPlan
		add("known at plan")
	}
	if now.stage == AtPlan {
		now.hosts, now.facts = standIn, map[string]hostFacts{}
		note := "known when its host is reached"
		if s.stage == AtStatic {
			note = "known at plan"
		}
		add(note)
	}
	if s.point != nil || s.sweep == "" {
		return all
	}
	if s.finished != nil {
		now = s.atPoint(now, s.finished.Experiment.Points[0])
		add("known at a :point")
		return all
	}
	a := addr{"sweep", s.sweep}
	if s.m.blocks[a] == nil { // it is that of a module
		return all
	}
	base := s.evaluator(now)
	for _, in := range base.node(a, hcl.Range{}).instances {
		if l := base.expand(in); len(l.axes) > 0 {
			at := l.position(s.sweep, l.points[0])
			now.at = &at
			add("known at a :point")
		}
	}
	return all
}

// standIn is facts of a host that has not been asked, to see what depends on them.
func standIn(spec.Host) (spec.Facts, bool) {
	turbo := false
	return spec.Facts{
		Sockets: 1, PhysicalCores: modelCores, LogicalCores: modelCores, NUMANodes: 1, MemoryTotal: modelMemory, Turbo: &turbo,
	}, true
}

// evaluator is one that sees v.
func (s *Session) evaluator(v view) *evaluator {
	s.m.facts, s.m.total = v.facts, 0
	e := s.m.evaluator(v.stage != AtStatic)
	e.hosts, e.about = v.hosts, s.experiment
	if v.stage == AtResult {
		e.results = &outcome{experiment: s.experiment, rows: s.rows, run: runValue(s.finished.Run, 0)}
	}
	if v.at == nil {
		return e
	}
	at := e.at(*v.at)
	at.about = s.experiment
	if v.stage == AtResult {
		at.results = &outcome{experiment: s.experiment, loads: v.results, rows: s.rows, run: e.results.run}
	}
	return at
}

func (s *Session) evaluate(expr hclsyntax.Expression, v view) (cty.Value, hcl.Diagnostics) {
	e := s.evaluator(v)
	scope := decode.Scope{Owner: "the expression", Results: true}
	if s.experiment != "" {
		scope = scope.With("point", e.pointOf(s.experiment))
	}
	value, diags := e.eval(expr, scope)
	diags = slices.Concat(diags, e.diags, e.top().diags)
	if value == cty.DynamicVal && !diags.HasErrors() { // a mistake that is reported elsewhere looks so, too
		if ctx, more := e.context(expr.Variables(), scope); !more.HasErrors() {
			if _, more = expr.Value(ctx); more.HasErrors() {
				diags = append(diags, diag.From("AIN1300", firstError(more)))
			}
		}
	}
	var errors hcl.Diagnostics
	for _, d := range diag.Sort(diags) {
		if d.Severity == hcl.DiagError {
			errors = append(errors, d)
		}
	}
	return value, errors
}

// Incomplete reports whether src ends within brackets or a here document, so
// that more lines belong to it.
func Incomplete(src string) bool {
	tokens, _ := hclsyntax.LexExpression([]byte(src), consoleFile, hcl.InitialPos) // what is wrong is the parser's to say
	var open []hclsyntax.TokenType
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc, hclsyntax.TokenOQuote:
			open = append(open, t.Type)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenCQuote:
			if len(open) == 0 {
				return false
			}
			open = open[:len(open)-1]
		}
	}
	// A quote ends on its line.
	return len(open) > 0 && !slices.Contains(open, hclsyntax.TokenOQuote)
}
