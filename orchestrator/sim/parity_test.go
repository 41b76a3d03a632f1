package sim_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/agent/worker"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
	"github.com/ainur-faas/ainur/loadgen/arrival"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// The simulator and the Agent, given the same calls and sandboxes that take the
// same time, decide the same at the same time: which sandboxes are made and
// removed, and which call starts where and how. Calls queue, wait for memory,
// run into their time limit, and are given up in every stage.
func TestParity(t *testing.T) {
	for _, queue := range []string{"fcfs", "sjf"} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(queue, " ", seed), func(t *testing.T) {
				t.Parallel()
				p := parityPoint(queue)
				simulated, kinds := simulate(t, p, seed)
				for _, kind := range []string{"start cold", "start warm", "start prewarmed", "remove expired", "remove evicted", "remove broken"} {
					if kinds[kind] == 0 {
						t.Errorf("the load makes no %q happen, it is too light", kind)
					}
				}
				synctest.Test(t, func(t *testing.T) {
					if diff := gocmp.Diff(simulated, perform(t, p, seed, startTimes(p, seed, simulated))); diff != "" {
						t.Errorf("decisions (-simulated +live):\n%s", diff)
					}
				})
			})
		}
	}
}

// Whatever the policies of the worker are, what the simulator and the Agent do is the same.
func TestParityOfPolicies(t *testing.T) {
	named := func(name, options string) spec.Named { return spec.Named{Name: name, Options: []byte(options)} }
	times := `"bin": 20000000, "bins": 50, "least": 2, "spread": 0.5`
	for name, w := range map[string]spec.Worker{
		"cold_priority, lru":          {Queue: named("cold_priority", `{}`), Dispatch: named("lru", `{}`)},
		"avail_scale, lfu":            {Queue: named("avail_scale", `{"ageing": 0.1}`), KeepAlive: named("lfu", `{}`)},
		"rare, landlord":              {Queue: named("rare", `{"most_wait": 50000000}`), KeepAlive: named("landlord", `{}`)},
		"eedf, gdsf, median":          {Queue: named("eedf", `{"unknown": 10000000}`), KeepAlive: named("gdsf", `{}`), Estimate: named("quantile", `{}`)},
		"edf, size, regression":       {Queue: named("edf", `{"slack": 3, "admit": true}`), KeepAlive: named("size", `{}`), Estimate: named("regression", `{}`)},
		"mqfq, histogram, back-fill":  {Queue: named("mqfq", `{"backfill": 2}`), KeepAlive: named("histogram", "{"+times+"}")},
		"drr, both histograms":        {Queue: named("drr", `{}`), KeepAlive: named("histogram", "{"+times+"}"), Prewarm: named("histogram", "{"+times+"}")},
		"none, little":                {Queue: named("none", `{}`), Prewarm: named("little", `{"headroom": 2}`)},
		"bypass, overcommit, buffer":  {Queue: named("sjf", `{"bypass": 8000000}`), Concurrency: named("fixed", `{"overcommit": 1.5}`), FreeBuffer: 64 * spec.MiB},
		"limits of functions, shed":   {Concurrency: named("fixed", `{"per_function": 1, "shed_target": 5000000}`), Prewarm: named("little", `{}`)},
		"few at a time, a median too": {Concurrency: named("fixed", `{"invocations": 1}`), Estimate: named("quantile", `{"window": 3}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parityPoint("fcfs")
			ours := &p.Workers[0]
			w.Name, w.MilliCPU, w.Memory = ours.Name, ours.MilliCPU, ours.Memory
			if w.Queue.Name == "" {
				w.Queue = ours.Queue
			}
			if w.KeepAlive.Name == "" {
				w.KeepAlive = ours.KeepAlive
			}
			*ours = w
			for seed := range uint64(3) {
				simulated, _ := simulate(t, p, seed)
				simulated = slices.DeleteFunc(simulated, func(d decision) bool { return d.What == "fail" }) // sandboxes do not see it
				synctest.Test(t, func(t *testing.T) {
					if diff := gocmp.Diff(simulated, perform(t, p, seed, startTimes(p, seed, simulated))); diff != "" {
						t.Errorf("seed %d: decisions (-simulated +live):\n%s", seed, diff)
					}
				})
			}
		})
	}
}

// decision is one line of a decision log. What an Agent does not tell, the
// reason of a removal, is left out.
type decision struct {
	At         time.Duration
	What       string
	Function   string
	Invocation worker.InvocationID
	Sandbox    worker.SandboxID
	Kind       string
}

// inOrder sorts decisions, for those of one moment may be carried out in any order.
func inOrder(log []decision) []decision {
	slices.SortFunc(log, func(a, b decision) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.What, b.What), cmp.Compare(a.Sandbox, b.Sandbox))
	})
	return log
}

func parityPoint(queue string) *spec.Point {
	// Times are drawn, so that no two events that compete are at the same moment.
	around := func(d time.Duration) spec.Dist { return spec.Dist{Kind: "uniform", Min: d / 2, Max: d * 3 / 2} }
	f := func(name string, memory spec.Bytes, timeout, cold, warm time.Duration) spec.Function {
		return spec.Function{
			Name: name, Builtin: "sleep", MilliCPU: 1000, Memory: memory * spec.MiB, Timeout: timeout,
			Profile: &spec.Profile{Cold: around(cold), Warm: around(warm)},
		}
	}
	p := &spec.Point{
		Workers: []spec.Worker{{
			Name: "w", MilliCPU: 2000, Memory: 256 * spec.MiB, Queue: spec.Named{Name: queue},
			KeepAlive: spec.Named{Name: "ttl", Options: []byte(`{"idle":150000000}`)},
		}},
		Functions: []spec.Function{
			f("ahead", 64, time.Second, 40*ms, 10*ms), f("quick", 64, time.Second, 30*ms, 5*ms),
			f("fat", 128, time.Second, 200*ms, 70*ms), f("overdue", 64, 60*ms, 20*ms, time.Minute),
		},
		Loads: []spec.Load{{
			Name: "l", Target: "w", Timeout: 230 * ms,
			Mix: []spec.Weight{{Function: "ahead", Weight: .4}, {Function: "quick", Weight: .4}, {Function: "fat", Weight: .1}, {Function: "overdue", Weight: .1}},
			Phases: []spec.Phase{
				{Name: "busy", Duration: 5 * time.Second, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: 40}},
				{Name: "calm", Duration: 5 * time.Second, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: 5}},
			},
		}},
	}
	p.Functions[0].Prewarm = 2
	return p
}

// simulate returns the decisions of the simulator, and how often each kind of
// them was made.
func simulate(t *testing.T, p *spec.Point, seed uint64) (log []decision, kinds map[string]int) {
	t.Helper()
	model, err := sim.Declared(p)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if _, err := sim.Run(t.Context(), sim.Config{Point: p, Model: model, Seed: seed, Log: &lines, Record: ignore}); err != nil {
		t.Fatal(err)
	}
	kinds = map[string]int{}
	for line := range strings.Lines(lines.String()) {
		var d decision
		var at, function int
		var who, why string
		if n, err := fmt.Sscan(line, &at, &who, &d.What, &function, &d.Invocation, &d.Sandbox, &why); n < 6 {
			t.Fatal(line, err)
		}
		d.At, d.Function = time.Duration(at), p.Functions[function-1].Name
		if d.What == "start" {
			d.Kind = why
		}
		kinds[strings.TrimSpace(d.What+" "+why)]++
		log = append(log, d)
	}
	return inOrder(log), kinds
}

// startTimes is what the simulator drew for each sandbox that it made.
func startTimes(p *spec.Point, seed uint64, log []decision) map[worker.SandboxID]time.Duration {
	draws, took := map[string]*rand.Rand{}, map[worker.SandboxID]time.Duration{}
	for _, f := range p.Functions {
		draws[f.Name] = stream.New(seed, "sim", "start", "w", f.Name)
	}
	for _, d := range log {
		if d.What == "create" {
			took[d.Sandbox] = arrival.Draw(p.Function(d.Function).Profile.Cold, draws[d.Function])
		}
	}
	return took
}

// perform returns the decisions of an Agent, as its sandboxes saw them.
func perform(t *testing.T, p *spec.Point, seed uint64, starts map[worker.SandboxID]time.Duration) []decision {
	t.Helper()
	began := time.Now()
	stage := &stage{began: began}
	stage.Isolation = fake.New(fake.Script{
		Start: func(ctx context.Context, c sandbox.Config) error {
			stage.add(decision{What: "create", Function: c.Function.Name, Sandbox: idOf(c)})
			return fake.Sleep(ctx, starts[idOf(c)])
		},
		Invoke: func(ctx context.Context, c sandbox.Config, args []byte) (sandbox.Reply, error) {
			d := decision{What: "start", Function: c.Function.Name, Sandbox: idOf(c)}
			var took time.Duration
			if _, err := fmt.Sscan(string(args), &d.Invocation, (*int64)(&took)); err != nil {
				return sandbox.Reply{}, err
			}
			stage.add(d)
			return sandbox.Reply{ExecEnd: took}, fake.Sleep(ctx, took)
		},
	})
	a, err := live.New(live.Options{Worker: p.Workers[0], Isolation: stage, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	execs := map[string]*rand.Rand{}
	for _, f := range p.Functions {
		if err := a.Register(f, nil); err != nil {
			t.Fatal(err)
		}
		execs[f.Name] = stream.New(seed, "sim", "exec", f.Name)
	}
	if _, err := a.Prewarm(t.Context(), p.Functions[0].Name, p.Functions[0].Prewarm); err != nil {
		t.Fatal(err)
	}

	loadBegan := time.Now()
	var calls sync.WaitGroup
	var mu sync.Mutex
	kinds := map[worker.InvocationID]string{}
	var last worker.InvocationID
	var phaseBegan time.Duration
	for _, phase := range p.Loads[0].Phases {
		schedule, err := arrival.New(p.Loads[0], phase, seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		for call, ok := schedule.Next(); ok; call, ok = schedule.Next() {
			last++
			id, took := last, arrival.Draw(p.Function(call.Function).Profile.Warm, execs[call.Function])
			time.Sleep(time.Until(loadBegan.Add(phaseBegan + call.At)))
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), p.Loads[0].Timeout)
				defer cancel()
				r := a.Invoke(ctx, live.Request{Function: call.Function, Args: fmt.Append(nil, id, int64(took))})
				if r.HadSandbox {
					mu.Lock()
					defer mu.Unlock()
					kinds[id] = r.Kind.String()
				}
			})
		}
		phaseBegan += phase.Duration
	}
	calls.Wait()
	synctest.Wait()
	log := stage.end()
	for i := range log {
		if log[i].What == "start" {
			log[i].Kind = kinds[log[i].Invocation]
		}
	}
	if err := errors.Join(a.Close(), stage.Close()); err != nil {
		t.Error(err)
	}
	return inOrder(log)
}

// stage is an isolation that writes down what it is told to do.
type stage struct {
	*fake.Isolation
	began time.Time
	mu    sync.Mutex
	log   []decision
}

func (s *stage) add(d decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.At = time.Since(s.began)
	s.log = append(s.log, d)
}

func (s *stage) end() []decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *stage) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	b, err := s.Isolation.Create(ctx, c)
	if err != nil {
		return nil, err
	}
	return &actor{b, s, c}, nil
}

type actor struct {
	sandbox.Sandbox
	stage  *stage
	config sandbox.Config
}

func (a *actor) Remove() error {
	a.stage.add(decision{What: "remove", Function: a.config.Function.Name, Sandbox: idOf(a.config)})
	return a.Sandbox.Remove()
}

// idOf is the scheduler's number of a sandbox, the last part of its name.
func idOf(c sandbox.Config) (id worker.SandboxID) {
	_, err := fmt.Sscan(path.Base(strings.ReplaceAll(c.ID, "-", "/")), &id)
	if err != nil {
		panic(fmt.Sprintf("a sandbox is called %s: %v", c.ID, err))
	}
	return id
}
