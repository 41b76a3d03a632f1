package hcl_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// swept is minimal with a sweep of two points and a few names to ask for.
const swept = minimal + `
sweep "s" {
  axis "n" {
    values = [1, 2]
  }
}

variable "speed" {
  default = 3
}

variable "token" {
  default   = "hush"
  sensitive = true
}

locals {
  cores = cluster.c.host.h.facts.cpu.logical_cores
  ten   = sweep.s.point.n * 10
  keys  = { "a b" = 1, plain = 2 }
  both  = [var.token, "seen"]
}

func "twice" {
  params = [x]
  result = x * 2
}
`

func session(t *testing.T, src string, finished bool) (*hcl.Module, *hcl.Session) {
	t.Helper()
	src = strings.Replace(src, "load    = load.l", "load    = load.l\n  sweep   = sweep.s", 1)
	m, exp := experiment(t, src)
	var run *hcl.Finished
	if finished {
		run = &hcl.Finished{Experiment: exp, Run: spec.Run{ID: "01X", Seed: 1}, Results: map[string][]spec.RepeatMetrics{
			exp.Points[0].ID: {measured(100, 0, 10), measured(100, 0, 30)}, exp.Points[1].ID: {measured(50, 5, 40)},
		}}
	}
	s, diags := m.Session("", run)
	if diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	return m, s
}

// say is the value or the summaries of what is wrong.
func say(s *hcl.Session, src string) string {
	a, diags := s.Eval(src)
	if diags.HasErrors() {
		return strings.Join(errorsOf(diags), "; ")
	}
	return a.HCL(100)
}

func TestSession(t *testing.T) {
	for _, tt := range []struct{ src, static, plan, result string }{
		{src: `1 + 2`, static: `3`},
		{src: `seconds("20ms")`, static: `0.02`},
		{src: `var.speed * 2`, static: `6`},
		{src: `twice(21)`, static: `42`},
		{src: `local.keys`, static: `{ "a b" = 1, plain = 2 }`},
		{src: `var.token`, static: `(sensitive)`},
		{src: `local.both`, static: `[(sensitive), "seen"]`},
		{src: `{ secret = upper(var.token) }`, static: `{ secret = (sensitive) }`},
		{src: `load.l.duration`, static: `10`},
		{src: `local.cores`, static: `(known at plan)`, plan: `4`},
		{src: `local.cores + 1`, static: `(known at plan)`, plan: `5`},
		{src: `worker.w.memory`, static: `null`},
		{src: `[local.cores, local.ten, 1]`, static: `[(known at plan), (known at a :point), 1]`, plan: `[4, (known at a :point), 1]`},
		{src: `load.l.latency.p99`, static: `(known after a run)`, result: `(known at a :point)`},
		{src: `load.l.errors.wrong`, static: `load.l.errors has no "wrong"`},
		{src: `[for r in result : r.latency.p99]`, static: `[(known after a run)]`, result: `[0.04, 0.08]`},
		{src: `[for r in result : r.n]`, static: `[(known at a :point)]`, result: `[1, 2]`},
		{src: `run.id`, static: `(known after a run)`, result: `"01X"`},
		{src: `length(experiment.e.results)`, static: `1`, result: `2`},
		{src: `result[1].load.l.errors.ratio`, static: "invalid index", result: `0.1`},
		{src: `worker.w.endpoint`, static: `(known after a run)`, result: `(not recorded)`},
		{src: `worker.x`, static: `there is no worker "x"`},
		{src: `nothing`, static: `nothing is called "nothing"`},
		{src: `secs("1s")`, static: `there is no function "secs"`},
		{src: `env("HOME")`, static: `env() is for the default of a variable`},
		{src: `1 +`, static: `missing expression`},
		{src: ``, static: `missing expression`},
		{src: `each.key`, static: `nothing is called "each"`},
		{src: strings.Repeat("(", 300), static: `more than 200 brackets and templates in one another`},
	} {
		for _, stage := range hcl.Stages {
			want := tt.static
			if stage != hcl.AtStatic && tt.plan != "" {
				want = tt.plan
			}
			if stage == hcl.AtResult && tt.result != "" {
				want = tt.result
			}
			t.Run(fmt.Sprintf("%.30s at %s", tt.src, stage), func(t *testing.T) {
				_, s := session(t, swept, stage == hcl.AtResult)
				if err := s.SetStage(stage); err != nil {
					t.Fatal(err)
				}
				if got := say(s, tt.src); got != want {
					t.Errorf("%s is %s, want %s", tt.src, got, want)
				}
			})
		}
	}
}

// An expression is evaluated at the point that was chosen.
func TestSessionPoint(t *testing.T) {
	_, s := session(t, swept, true)
	points, _ := s.Points()
	for _, tt := range []struct{ choose, wrong, ten, p99 string }{
		{"n=1", "", "10", "0.04"},
		{"n=2", "", "20", "0.08"},
		{"n=3", "there is no point n=3; :point lists them", "20", "0.08"},
		{points[0].ID[:6], "", "10", "0.04"},
		{"none", "", "(known at a :point)", "(known at a :point)"},
	} {
		wrong := ""
		if err := s.SetPoint(tt.choose); err != nil {
			wrong = err.Error()
		}
		got := []string{wrong, say(s, "local.ten"), say(s, "load.l.latency.p99")}
		if diff := cmp.Diff([]string{tt.wrong, tt.ten, tt.p99}, got); diff != "" {
			t.Errorf("at %s (-want +got):\n%s", tt.choose, diff)
		}
	}
}

// A block with a mistake is reported at each question, and others are answered.
func TestSessionOfBrokenFiles(t *testing.T) {
	m, _ := load(t, "locals {\n a = 1\n b = \"x\" + 1\n c = local.d\n d = local.c\n}\nvariable \"v\" {}\n")
	s, diags := m.Session("", nil)
	if diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	for _, tt := range []struct{ src, want string }{
		{"local.a", "1"}, {"local.b", "invalid operand"}, {"local.b", "invalid operand"}, {"local.c", "these blocks need each other"}, {"local.a", "1"},
	} {
		if got := say(s, tt.src); got != tt.want {
			t.Errorf("%s is %s, want %s", tt.src, got, tt.want)
		}
	}
}

// Each question has all the steps that an expression may take.
func TestSessionSteps(t *testing.T) {
	m, _ := load(t, "")
	s, _ := m.Session("", nil)
	for range 9 { // together more than all expressions of a file may take
		if got := say(s, "length([for i in range(500) : [for j in range(300) : j]])"); got != "500" {
			t.Fatal(got)
		}
	}
}

func TestSessionRefuses(t *testing.T) {
	m, exp := experiment(t, minimal)
	if _, diags := m.Session("x", nil); !diags.HasErrors() || diags[0].Summary != `there is no experiment "x"` {
		t.Error(diags)
	}
	other := *exp
	other.Name = "other"
	if _, diags := m.Session("e", &hcl.Finished{Experiment: &other}); !diags.HasErrors() || diags[0].Summary != `the run is of experiment "other", not of "e"` {
		t.Error(diags)
	}
	s, _ := m.Session("", nil)
	if err := s.SetStage(hcl.AtResult); err == nil || err.Error() != "stage result needs a run: start with --run RUN" {
		t.Error(err)
	}
	if err := s.SetStage("later"); err == nil || err.Error() != `there is no stage "later": want static, plan or result` {
		t.Error(err)
	}
}

func TestAnswer(t *testing.T) {
	for _, tt := range []struct{ src, hcl, kind, json string }{
		{`"tab\tq\"$${x}"`, `"tab\tq\"$${x}"`, "string", `"tab\tq\"${x}"`},
		{`1/3`, "0.3333333333333333", "number", "0.3333333333333333"},
		{`1e15 + 1`, "1000000000000001", "number", "1000000000000001"},
		{`0.0000001`, "1e-07", "number", "1e-07"},
		{`1234567.5`, "1234567.5", "number", "1234567.5"},
		{`9e333`, "9e+333", "number", "9e+333"},
		{`1e-333`, "1e-333", "number", "1e-333"},
		{`0`, "0", "number", "0"},
		{`null`, "null", "any", "null"},
		{`[]`, "[]", "tuple([])", "[]"},
		{`{}`, "{}", "object({})", "{}"},
		{`toset(["b", "a"])`, `toset(["a", "b"])`, "set(string)", `["a","b"]`},
		{`tomap({ a = 1 })`, "{ a = 1 }", "map(number)", `{"a":1}`},
		{`{ "for" = 1, "a.b" = [true], c = { d = null } }`, `{ "a.b" = [true], c = { d = null }, "for" = 1 }`, `object({ "a.b" = tuple([bool]), c = object({ d = any }), "for" = number })`, `{"a.b":[true],"c":{"d":null},"for":1}`},
		{`[for i in range(3) : { name = "a long name, number ${i}", list = [i, i] }]`, `[
  { list = [0, 0], name = "a long name, number 0" },
  { list = [1, 1], name = "a long name, number 1" },
  { list = [2, 2], name = "a long name, number 2" },
]`, "", ""},
		{`{ short = 1, much_longer_key = "something to fill the line up to its end", inner = { a = range(20), b = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" } }`, `{
  inner = {
    a = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    b = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  }
  much_longer_key = "something to fill the line up to its end"
  short           = 1
}`, "", ""},
	} {
		m, _ := load(t, "")
		s, _ := m.Session("", nil)
		a, diags := s.Eval(tt.src)
		if diags.HasErrors() {
			t.Fatal(render(t, m, diags))
		}
		if got := a.HCL(80); got != tt.hcl {
			t.Errorf("%s is written\n%s\nwant\n%s", tt.src, got, tt.hcl)
		}
		if got := a.Type(200); tt.kind != "" && got != tt.kind {
			t.Errorf("the type of %s is %s, want %s", tt.src, got, tt.kind)
		}
		if got := string(a.JSON()); tt.json != "" && got != tt.json {
			t.Errorf("%s as JSON is %s, want %s", tt.src, got, tt.json)
		}
	}
	_, s := session(t, swept, false)
	a, _ := s.Eval("[var.token, load.l.latency.p99, 1]")
	if got := string(a.JSON()); got != `["(sensitive)",null,1]` || a.Known() {
		t.Errorf("JSON is %s, known: %v", got, a.Known())
	}
	a, _ = s.Eval("range(250)")
	if got := a.HCL(80); !strings.HasSuffix(got, " 99,\n  # and 150 more\n]") {
		t.Errorf("a long list ends with %q", got[len(got)-30:])
	}
}

// What is written reads as the same value.
func TestAnswerReadsBack(t *testing.T) {
	word := rapid.OneOf(rapid.SampledFrom([]string{"a", "for", "null", "a-b", "a b", "é", "${x}", "%{x}", "\"", "\\", "\n", "1"}), rapid.String())
	value := rapid.OneOf(
		rapid.Map(word, cty.StringVal), rapid.Map(rapid.Bool(), cty.BoolVal), rapid.Map(rapid.Int64(), cty.NumberIntVal),
		rapid.Map(rapid.Float64Range(-1e30, 1e30), cty.NumberFloatVal), rapid.Just(cty.NullVal(cty.DynamicPseudoType)),
	)
	for range 3 { // levels
		value = rapid.OneOf(value, rapid.Map(rapid.SliceOfN(value, 0, 5), cty.TupleVal), rapid.Map(rapid.MapOfN(word, value, 0, 5), cty.ObjectVal))
	}
	rapid.Check(t, func(t *rapid.T) {
		v := value.Draw(t, "value")
		text := hcl.Answer{Value: v}.HCL(rapid.IntRange(1, 120).Draw(t, "columns"))
		expr, diags := hclsyntax.ParseExpression([]byte(text), "x", hcllib.InitialPos)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", text, diags)
		}
		got, diags := expr.Value(nil)
		if diags.HasErrors() || string(hcl.Answer{Value: got}.JSON()) != string(hcl.Answer{Value: v}.JSON()) {
			t.Fatalf("%#v is written %s, which is %#v %v", v, text, got, diags)
		}
	})
}

func TestComplete(t *testing.T) {
	for _, tt := range []struct {
		line string // to its |
		want []string
	}{
		{"wor|", []string{"worker"}},
		{"1 + sec|", []string{"seconds("}},
		{"twi|", []string{"twice("}},
		{"re|", []string{"regex(", "regexall(", "replace(", "result", "reverse("}},
		{"|", []string{"ainur", "cluster", "experiment", "function", "load", "local", "path", "point", "result", "run", "sweep", "var", "worker"}},
		{"var.|", []string{"var.speed", "var.token"}},
		{"var.s|peed", []string{"var.speed"}},
		{"max(1, local.t|", []string{"local.ten"}},
		{"local.keys.|", []string{"local.keys.plain", `local.keys["a b"]`}},
		{"load.l.latency.p99|", []string{"load.l.latency.p99", "load.l.latency.p999"}},
		{"load.l.latency[\"f\"].ma|", []string{`load.l.latency["f"].max`}},
		{"sweep.s.poin|", []string{"sweep.s.point", "sweep.s.points"}},
		{"sweep.s.point.|", []string{"sweep.s.point.n"}},
		{"point.|", []string{"point.n"}},
		{"cluster.c.host.h.facts.cpu.lo|", []string{"cluster.c.host.h.facts.cpu.logical_cores"}},
		{"cluster.c.hosts[0].addr|", []string{"cluster.c.hosts[0].address"}},
		{"merge({ab = 1}, {ac = 2}).a|", []string{"merge({ab = 1}, {ac = 2}).ab", "merge({ab = 1}, {ac = 2}).ac"}},
		{"[for r in result : r.lat|", []string{"r.latency"}},
		{"[for r in result : r.latency.me|", []string{"r.latency.mean"}},
		{"{for k, v in cluster.c.host : k => v.add|", []string{"v.address"}},
		{"\"wor|", nil},
		{"\"${wor|", []string{"worker"}},
		{"nothing.|", nil},
		{"var.token.|", nil},
		{"1.|", nil},
		{").|", nil},
		{"zzz|", nil},
	} {
		_, s := session(t, swept, false)
		line, _, _ := strings.Cut(tt.line, "|")
		pos := len(line)
		from, got := s.Complete(strings.Replace(tt.line, "|", "", 1), pos)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
		for _, w := range got {
			if !strings.HasPrefix(w, line[from:]) && !strings.Contains(w, `["`) {
				t.Errorf("%s: %q does not continue %q", tt.line, w, line[from:])
			}
		}
	}
}

// Whatever is typed, completion neither fails nor leaves the line.
func FuzzComplete(f *testing.F) {
	for _, line := range []string{"", "wor", "load.l.", "[for r in result : r.", "\"${", ")].(", "a[", "<<X\n", "é.é"} {
		f.Add(line)
	}
	o := options()
	o.Overlay = map[string][]byte{"x.ainur.hcl": []byte(minimal)}
	m, diags := hcl.Load("x.ainur.hcl", o)
	if diags.HasErrors() {
		f.Fatal(diags)
	}
	s, _ := m.Session("", nil)
	f.Fuzz(func(t *testing.T, line string) {
		if from, words := s.Complete(line, len(line)); from < 0 || from > len(line) || !slices.IsSorted(words) {
			t.Errorf("from %d of %d: %q", from, len(line), words)
		}
		a, diags := s.Eval(line)
		if !diags.HasErrors() {
			a.HCL(80)
			a.JSON()
		}
		for _, d := range diags {
			if d.Extra.(*diag.Problem).ID == "" {
				t.Errorf("%s has no id", d.Summary)
			}
		}
		hcl.Incomplete(line)
	})
}

func TestDoc(t *testing.T) {
	_, s := session(t, swept, false)
	for _, tt := range []struct{ name, want, wrong string }{
		{name: "seconds", want: "seconds(text any) number\n  The seconds of a duration"},
		{name: "load", want: "load \"name\"\n  Calls to make. Takes for_each."},
		{name: "load.duration", want: "load.duration\n  dur"},
		{name: "load.l.duration", want: "load.l.duration\n  dur"},
		{name: "load.arrival.poisson.rate", want: "load.arrival.poisson.rate\n  rate, required\n  of all functions together"},
		{name: "loda", wrong: `nothing is called "loda"; did you mean load or log?`},
		{name: "load.durration", wrong: `nothing is called "load.durration"; did you mean load.duration?`},
		{name: "load.duration.x", wrong: `nothing is called "load.duration.x"; name a function, a block, or an argument such as load.duration`},
		{name: "for", wrong: ""},
	} {
		got, err := s.Doc(tt.name)
		if !strings.HasPrefix(got, tt.want) || (err == nil) == (tt.want == "") {
			t.Errorf("doc of %s is %q, %v, want %q", tt.name, got, err, tt.want)
		}
		if tt.wrong != "" && (err == nil || err.Error() != tt.wrong) {
			t.Errorf("doc of %s: %v, want %s", tt.name, err, tt.wrong)
		}
	}
	for _, tt := range []struct {
		prefix string
		want   []string
	}{
		{"load.arr", []string{"load.arrival"}}, {"seco", []string{"seconds"}}, {"load.arrival.po", []string{"load.arrival.poisson"}}, {"nothing.", nil},
	} {
		if diff := cmp.Diff(tt.want, s.CompleteTopic(tt.prefix), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("topics of %s (-want +got):\n%s", tt.prefix, diff)
		}
	}
}

// Everything that CompleteTopic offers has a page.
func TestDocOfEverything(t *testing.T) {
	_, s := session(t, swept, false)
	queue := s.CompleteTopic("")
	for i := 0; i < len(queue) && i < 5000; i++ {
		if _, err := s.Doc(queue[i]); err != nil {
			t.Error(err)
		}
		queue = append(queue, s.CompleteTopic(queue[i]+".")...)
	}
	if len(queue) < 300 {
		t.Errorf("%d topics are few", len(queue))
	}
}

func TestIncomplete(t *testing.T) {
	for src, want := range map[string]bool{
		"1": false, "(1": true, "[1,\n2": true, "[1]": false, "{": true, "\"a": false, "\"${": false, "\"${[1}": false, "<<X\na\n": true, "<<X\na\nX\n": false, ")": false, "((": true, "": false,
	} {
		if got := hcl.Incomplete(src); got != want {
			t.Errorf("Incomplete(%q) = %v, want %v", src, got, want)
		}
	}
}
