package hcl_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// minimal is an experiment with nothing but what is required; %s goes into its blocks.
const minimal = `cluster "c" {
  host "h" {
    address    = "127.0.0.1"
    connection = "local"
    roles      = ["worker"]
  }
}

worker "w" {
  on = cluster.c.host.h
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.f
  duration = "10s"

  arrival "poisson" {
    rate = "50/s"
  }
}

experiment "e" {
  title   = "t"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  seed    = 1
}
`

// edit replaces old by text in minimal, which must hold it.
func edit(t *testing.T, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(minimal, pairs[i]) {
			t.Fatalf("no %q in the minimal experiment", pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(minimal)
}

func TestDefaults(t *testing.T) {
	_, exp := experiment(t, minimal)
	want := spec.Point{
		ID: exp.Points[0].ID,
		Cluster: spec.Cluster{
			Name: "c", Hosts: []spec.Host{{Name: "h", Address: "127.0.0.1", Connection: "local", Roles: []string{"worker"}, Labels: map[string]string{}}},
			Install: spec.Install{Prefix: "/opt/ainur", StateDir: "/var/lib/ainur", Via: "auto"},
		},
		Workers: []spec.Worker{{
			Name: "w", Host: "h", Isolation: "process", MilliCPU: 4000, Memory: 8 * spec.GiB / 10 * 8, LogLevel: "info", Env: map[string]string{},
			Queue: spec.Named{Name: "fcfs", Options: []byte(`{"bypass_load":2}`)}, KeepAlive: spec.Named{Name: "ttl", Options: []byte(`{"idle":600000000000}`)},
			Concurrency: spec.Named{Name: "fixed", Options: []byte(`{"overcommit":1,"shed_interval":100000000}`)},
			Dispatch:    spec.Named{Name: "mru", Options: []byte("{}")}, Prewarm: spec.Named{Name: "none", Options: []byte("{}")},
			Estimate: spec.Named{Name: "ewma", Options: []byte(`{"weight":0.1}`)},
		}},
		Functions: []spec.Function{{Name: "f", Builtin: "hello", Memory: 64 * spec.MiB, MilliCPU: 1000, Timeout: time.Minute, Env: map[string]string{}}},
		Loads: []spec.Load{{
			Name: "l", Target: "w", Mix: []spec.Weight{{Function: "f", Weight: 1}},
			Phases:      []spec.Phase{{Name: "main", Duration: 10 * time.Second, Record: true, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: 50}}},
			MaxInFlight: 10_000, OnSaturation: "invalid", LagLimit: time.Millisecond, MeasureFrom: "intended",
		}},
	}
	if diff := cmp.Diff([]spec.Point{want}, exp.Points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	got := fmt.Sprint(exp.Repeat, exp.Order, exp.OnFailure, exp.Seed, len(exp.Sources))
	if want := "10 interleaved continue 1 1"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("repeat, order, on_failure, seed, sources are %s, want %s", got, want)
	}
}

// What an agent builds from the spec is the policy that was written.
func TestPolicyForms(t *testing.T) {
	for name, tt := range map[string]struct {
		keepalive string
		want      keepalive.Policy
	}{
		"default":    {"", keepalive.TTL{Idle: 10 * time.Minute}},
		"short form": {`keepalive = "lru"`, keepalive.LRU{}},
		"long form":  {"keepalive \"ttl\" {\n  idle = \"90s\"\n}", keepalive.TTL{Idle: 90 * time.Second}},
		"computed":   {"keepalive \"ttl\" {\n  idle = seconds(\"1m\") * 2\n}", keepalive.TTL{Idle: 2 * time.Minute}},
		"null":       {`keepalive = null`, keepalive.TTL{Idle: 10 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			_, exp := experiment(t, edit(t, "on = cluster.c.host.h", "on = cluster.c.host.h\n"+tt.keepalive))
			named := exp.Points[0].Workers[0].KeepAlive
			got, err := keepalive.Builtin().Build(named.Name, named.Decode)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestUnitsAndFacts(t *testing.T) {
	_, exp := experiment(t, edit(t,
		"on = cluster.c.host.h", "on = cluster.c.with_role[\"worker\"]\ncores = cluster.c.host.h.facts.cpu.physical_cores\nmemory = cluster.c.host.h.facts.memory.total * 0.5",
		`duration = "10s"`, `duration = seconds("1m") / 2`,
		`rate = "50/s"`, `rate = rate("60/m") * 3`,
	))
	p := exp.Points[0]
	got := fmt.Sprint(p.Workers[0].MilliCPU, p.Workers[0].Memory, p.Loads[0].Phases[0].Duration, p.Loads[0].Phases[0].Arrival.RatePerSecond)
	if want := fmt.Sprint(2000, 4*spec.GiB, 30*time.Second, 3.0); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUnknownFactsAtPlan(t *testing.T) {
	m, diags := load(t, edit(t, "on = cluster.c.host.h", "on = cluster.c.host.h\ncores = cluster.c.host.h.facts.cpu.physical_cores"))
	if diags = all(m, diags); diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	o := options()
	o.Facts = nil
	m, _ = hcl.Load("exp.ainur.hcl", o)
	_, diags = m.Experiment("e", 0)
	if got, want := errorsOf(diags), []string{`cores of worker "w" is not known`}; !slices.Equal(got, want) {
		t.Errorf("errors are %q, want %q", got, want)
	}
}

// What there is not yet is known before anything is known of the hosts, and nothing else is told then.
func TestLacking(t *testing.T) {
	m, _ := load(t, edit(t, "on = cluster.c.host.h", "on = cluster.c.host.h\ncores = cluster.c.host.h.facts.cpu.physical_cores\nversion = \"0.1\""))
	diags := m.Lacking("e", schema.Live)
	if got, want := errorsOf(diags), []string{`this version cannot run version of worker "w" yet`}; !slices.Equal(got, want) {
		t.Errorf("errors are %q, want %q", got, want)
	}
	if diags := m.Lacking("e", schema.Simulated); len(diags) > 0 {
		t.Errorf("simulated, it lacks %q", errorsOf(diags))
	}
}

func TestSweep(t *testing.T) {
	_, exp := experiment(t, edit(t,
		"on = cluster.c.host.h", "on = cluster.c.host.h\nqueue = sweep.s.point.queue",
		`rate = "50/s"`, `rate = "${sweep.s.point.rate}/s"`,
		"seed    = 1", "seed    = 1\nsweep = sweep.s\nrepeat = 3",
	)+`
sweep "s" {
  axis "queue" {
    values = ["fcfs", "sjf"]
  }
  axis "rate" {
    values = [10, 20]
  }
  exclude {
    when   = point.queue == "sjf" && point.rate > 10
    reason = "known"
  }
  order      = "nested"
  on_failure = "stop"
}
`)
	var got []string
	ids := map[string]bool{}
	for _, p := range exp.Points {
		got = append(got, fmt.Sprintf("%s=%s %s=%s -> %s %g", p.Axes[0].Name, p.Axes[0].Value, p.Axes[1].Name, p.Axes[1].Value,
			p.Workers[0].Queue.Name, p.Loads[0].Phases[0].Arrival.RatePerSecond))
		ids[p.ID] = true
	}
	want := []string{`queue="fcfs" rate=10 -> fcfs 10`, `queue="fcfs" rate=20 -> fcfs 20`, `queue="sjf" rate=10 -> sjf 10`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if len(ids) != 3 || exp.Order != "nested" || exp.OnFailure != "stop" {
		t.Errorf("%d ids, order %s, on_failure %s", len(ids), exp.Order, exp.OnFailure)
	}
	if len(exp.Skipped) != 1 || exp.Skipped[0].Reason != "known" {
		t.Errorf("skipped %+v", exp.Skipped)
	}
}

// The id of a point follows from what it is, not from where its file lies.
func TestPointIDIsStable(t *testing.T) {
	source := "builtin = \"hello\""
	python := "runtime = \"python3\"\nsource = \"code\""
	id := func(text string) string {
		t.Chdir(t.TempDir())
		if err := os.Mkdir("code", 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, "code/main.py", text)
		write(t, "exp.ainur.hcl", edit(t, source, python))
		m, diags := hcl.Load(".", options())
		exp, more := m.Experiment("", 0)
		if diags = append(diags, more...); diags.HasErrors() {
			t.Fatal(render(t, m, diags))
		}
		return exp.Points[0].ID
	}
	if a, b := id("def main(a): pass"), id("def main(a): pass"); a != b || len(a) != 8 {
		t.Errorf("the same experiment elsewhere is %s and %s", a, b)
	}
	if a, b := id("def main(a): pass"), id("def main(a): return 1"); a == b {
		t.Errorf("other code has the same id %s", a)
	}
}

func TestForEachAndBalancer(t *testing.T) {
	_, exp := experiment(t, edit(t,
		"on = cluster.c.host.h", "for_each = { a = 1, b = 2 }\non = cluster.c.host.h\ncores = each.value",
		"target   = worker.w", "target   = balancer.b",
		"worker  = worker.w", "workers  = worker.w",
	)+`
balancer "b" {
  on      = cluster.c.host.h
  workers = worker.w
  policy "bounded" {
    cache  = "1KiB"
    window = "2s"
  }
}
`)
	p := exp.Points[0]
	var got []string
	for _, w := range p.Workers {
		got = append(got, fmt.Sprint(w.Name, " ", w.MilliCPU))
	}
	if want := []string{`w["a"] 1000`, `w["b"] 2000`}; !slices.Equal(got, want) {
		t.Errorf("workers are %q, want %q", got, want)
	}
	want := &spec.Balancer{
		Name: "b", Host: "h", Workers: []string{`w["a"]`, `w["b"]`},
		Policy: spec.Named{Name: "bounded", Options: []byte(`{"ceil":1.5,"vnodes":3,"window":2000000000,"cache":1024}`)},
	}
	if diff := cmp.Diff(want, p.Balancer); diff != "" {
		t.Errorf("balancer (-want +got):\n%s", diff)
	}
}

func TestPhases(t *testing.T) {
	_, exp := experiment(t, edit(t, `duration = "10s"`, "warmup = \"1s\"\ncooldown = \"2s\"", "  arrival \"poisson\" {\n    rate = \"50/s\"\n  }\n", `
  phase "ramp" {
    duration = "3s"
    record   = false
    arrival "constant" {
      rate = "5/s"
    }
  }
  phase "steady" {
    duration = "4s"
    mix      = { f = 5 }
    arrival "closed" {
      clients = 7
      think   = { kind = "exponential", mean = "10ms" }
    }
  }
`))
	var got []string
	for _, p := range exp.Points[0].Loads[0].Phases {
		got = append(got, fmt.Sprint(p.Name, " ", p.Duration, " ", p.Record, " ", p.Arrival.Model, " ", p.Arrival.RatePerSecond, " ", p.Arrival.Clients, " ", p.Arrival.Think.Mean))
	}
	want := []string{"warmup 1s false constant 5 0 0s", "ramp 3s false constant 5 0 0s", "steady 4s true closed 0 7 10ms", "cooldown 2s false closed 0 7 10ms"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

const traceLoad = `  arrival "trace" {
    trace = trace.t
    speed = 2
  }
`

func traced(t *testing.T, mapTo string) string {
	return edit(t, "  arrival \"poisson\" {\n    rate = \"50/s\"\n  }\n", traceLoad,
		"  call     = function.f\n  duration = \"10s\"", "  warmup = \"20ms\"\n  duration = trace.t.duration / 2") + `
trace "t" {
  format   = "iluvatar"
  path     = "calls.csv"
  metadata = "functions.csv"
` + mapTo + `
}

function "busy" {
  builtin = "busy"
  memory  = "32MiB"
}

function "slow" {
  builtin = "sleep"
  memory  = "32MiB"
  profile {
    warm = "900ms"
    cold = "1s"
  }
}

function "fast" {
  builtin = "sleep"
  memory  = "32MiB"
  profile {
    warm = "10ms"
    cold = "1s"
  }
}
`
}

func TestTrace(t *testing.T) {
	files := map[string]string{
		"calls.csv":     "func_name,invoke_time_ms\na,0\nb,10\na,99\n",
		"functions.csv": "func_name,cold_dur_ms,warm_dur_ms,mem_mb\na,300,100,64\nb,5000,1000,8\nunused,1,1,1\n",
	}
	for name, tt := range map[string]struct {
		mapTo     string
		want      map[string]string
		functions []string
	}{
		"busy stands for each": {
			"map_to = function.busy\nscale_duration = 0.5\nmax_duration = \"200ms\"",
			map[string]string{"a": "a", "b": "b"},
			[]string{`a busy 64 MiB {"ms":50} 50ms 100ms`, `b busy 32 MiB {"ms":200} 200ms 200ms`},
		},
		"one function": {"map_to = function.fast", map[string]string{"a": "fast", "b": "fast"}, []string{"fast sleep 32 MiB  10ms 1s"}},
		"nearest": {
			`map_to = { method = "nearest_duration", functions = [function.fast, function.slow] }`,
			map[string]string{"a": "fast", "b": "slow"},
			[]string{"slow sleep 32 MiB  900ms 1s", "fast sleep 32 MiB  10ms 1s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for file, text := range files {
				write(t, file, text)
			}
			write(t, "exp.ainur.hcl", traced(t, tt.mapTo))
			m, diags := hcl.Load("exp.ainur.hcl", options())
			if diags = all(m, diags); diags.HasErrors() {
				t.Fatal(render(t, m, diags))
			}
			exp, diags := m.Experiment("e", 0)
			if diags.HasErrors() {
				t.Fatal(render(t, m, diags))
			}
			p := exp.Points[0]
			phases := p.Loads[0].Phases
			main := phases[1].Arrival
			if diff := cmp.Diff(tt.want, main.Trace.Map); diff != "" {
				t.Errorf("map (-want +got):\n%s", diff)
			}
			if phases[1].Duration != 50*time.Millisecond || main.Start != 40*time.Millisecond || main.Speed != 2 || main.Trace.Calls != 3 || len(p.Loads[0].Mix) != 0 {
				t.Errorf("phase is %+v", phases[1])
			}
			var got []string
			for _, f := range p.Functions {
				got = append(got, fmt.Sprintf("%s %s %d MiB %s %s %s", f.Name, f.Builtin, f.Memory/spec.MiB, f.Args, f.Profile.Warm.Mean, f.Profile.Cold.Mean))
			}
			if diff := cmp.Diff(tt.functions, got); diff != "" {
				t.Errorf("functions (-want +got):\n%s", diff)
			}
		})
	}
	for name, tt := range map[string]struct{ calls, mapTo, want string }{
		"no file":          {"", "map_to = function.busy", "no such file"},
		"unknown function": {"func_name,invoke_time_ms\nc,0\n", "map_to = function.busy", `calls.csv:2: function "c" is not in functions.csv`},
		"unsorted":         {"func_name,invoke_time_ms\na,5\nb,4\n", "map_to = function.busy", "calls.csv:3: the call at 4 ms comes after"},
		"no profile":       {files["calls.csv"], `map_to = { method = "nearest_duration", functions = [function.busy] }`, "no profile with a constant warm duration"},
		"no function":      {files["calls.csv"], `map_to = worker.w`, "map_to wants a function, got worker.w"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, "functions.csv", files["functions.csv"])
			if tt.calls != "" {
				write(t, "calls.csv", tt.calls)
			}
			write(t, "exp.ainur.hcl", traced(t, tt.mapTo))
			m, diags := hcl.Load("exp.ainur.hcl", options())
			text := render(t, m, all(m, diags))
			if strings.Count(text, "error[") != 1 || !strings.Contains(text, tt.want) || !strings.Contains(text, "exp.ainur.hcl:") {
				t.Errorf("want one error with %q and a place, got\n%s", tt.want, text)
			}
		})
	}
}

// The origins, lowest first; each wins over those before it.
func TestVariablePrecedence(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "exp.ainur.hcl", "variable \"x\" {\n  type = number\n  default = 0\n}\n"+edit(t, `rate = "50/s"`, `rate = "${var.x + 1}/s"`))
	o := options()
	check := func(want float64, origin string) {
		t.Helper()
		m, diags := hcl.Load("exp.ainur.hcl", o)
		exp, more := m.Experiment("", 0)
		if diags = append(diags, more...); diags.HasErrors() {
			t.Fatal(render(t, m, diags))
		}
		if got := exp.Points[0].Loads[0].Phases[0].Arrival.RatePerSecond - 1; got != want || exp.Variables[0].Origin != origin {
			t.Errorf("x is %g from %s, want %g from %s", got, exp.Variables[0].Origin, want, origin)
		}
	}
	check(0, "default")
	write(t, "a.auto.ainurvars.hcl", "x = 1\n")
	check(1, "a.auto.ainurvars.hcl")
	write(t, "b.auto.ainurvars.hcl", "x = 2\n")
	check(2, "b.auto.ainurvars.hcl")
	o.Environ = []string{"AINUR_VAR_x=3", "AINUR_VAR_other=1"}
	check(3, "AINUR_VAR_x")
	write(t, "my.hcl", "x = 4\n")
	o.VarFiles = []string{"my.hcl"}
	check(4, "my.hcl")
	o.Vars = []string{"x=5", "x=6"}
	check(6, "--var")
	o.Vars = []string{"y=1", "z"}
	_, diags := hcl.Load("exp.ainur.hcl", o)
	if got, want := errorsOf(diags), []string{"--var z has no value", `no variable "y" is declared`}; !slices.Equal(got, want) {
		t.Errorf("errors are %q, want %q", got, want)
	}
}

// A sensitive value is in no spec and no message.
func TestSensitive(t *testing.T) {
	src := "variable \"key\" {\n  type = string\n  sensitive = true\n  validation {\n    condition = var.key != \"hunter2\"\n    error_message = \"not ${var.key}\"\n  }\n}\n" + minimal
	m, diags := load(t, src, "key=s3cret")
	exp, more := m.Experiment("", 0)
	if diags = append(diags, more...); diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	exp.Sources = nil
	text, err := json.Marshal(exp)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), `"(sensitive)"`) {
		t.Errorf("the spec is %s", text)
	}
	m, diags = load(t, src, "key=hunter2")
	if text := strings.ReplaceAll(render(t, m, diags), `var.key != "hunter2"`, ""); !diags.HasErrors() || strings.Contains(text, "hunter2") {
		t.Errorf("the diagnostics are\n%s", text)
	}
}

func TestChoosingAnExperiment(t *testing.T) {
	m, _ := load(t, minimal+strings.ReplaceAll(minimal[strings.Index(minimal, "experiment"):], `"e"`, `"second"`))
	if got := m.Experiments(); !slices.Equal(got, []string{"e", "second"}) {
		t.Errorf("experiments are %q", got)
	}
	for name, want := range map[string]string{"": "several experiments are declared: say which", "secnd": `there is no experiment "secnd"`} {
		if _, diags := m.Experiment(name, 0); !slices.Equal(errorsOf(diags), []string{want}) {
			t.Errorf("Experiment(%q) says %q, want %q", name, errorsOf(diags), want)
		}
	}
}

func TestFolderAndMissingFile(t *testing.T) {
	t.Chdir(t.TempDir())
	cut := strings.Index(minimal, "load ")
	write(t, "a.ainur.hcl", minimal[:cut])
	write(t, "b.ainur.hcl", minimal[cut:])
	m, diags := hcl.Load(".", options())
	if diags = all(m, diags); len(diags) > 0 {
		t.Error(render(t, m, diags))
	}
	for _, path := range []string{"none.ainur.hcl", t.TempDir()} {
		if _, diags := hcl.Load(path, options()); !diags.HasErrors() || !strings.Contains(diags[0].Summary, filepath.Base(path)) {
			t.Errorf("Load(%s) says %v", path, diags)
		}
	}
}

func TestValidateIsFast(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	best := time.Hour
	for range 5 {
		start := time.Now()
		m, diags := hcl.Load("../examples/quickstart.ainur.hcl", options())
		if diags = all(m, diags); len(diags) > 0 {
			t.Fatal(render(t, m, diags))
		}
		best = min(best, time.Since(start))
	}
	if best > 50*time.Millisecond {
		t.Errorf("validate of quickstart takes %s, want under 50ms", best)
	}
}

// A mistake is reported by every stage that meets it, and an empty for_each is no unknown.
func TestStagesAgree(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"trace":    {traced(t, "map_to = function.busy"), `trace "t" cannot be read`},
		"for_each": {edit(t, "on = cluster.c.host.h", "for_each = {}\non = cluster.c.host.h"), "worker names no worker: the list is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			m, diags := load(t, tt.src)
			validate := errorsOf(all(m, diags))
			_, diags = m.Experiment("e", 0)
			if plan := errorsOf(diags); !slices.Contains(validate, tt.want) || !slices.Contains(plan, tt.want) {
				t.Errorf("validate says %q, plan %q, want %q", validate, plan, tt.want)
			}
		})
	}
}
