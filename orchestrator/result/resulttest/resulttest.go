// Package resulttest makes runs as an experiment would, for tests of what reads them.
package resulttest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Options describes a run.
type Options struct {
	Rates     []float64 // calls per second; several make a sweep
	Repeats   int
	Functions int // at most 10
	Length    time.Duration
	Verdict   result.Verdict
}

// RunID is the id of every run made here, and Started when it began.
const RunID = "01KDYB0TFEAVD44G0R9Q2X6T8N"

// Started is when every run made here began.
var Started = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)

var functions = []string{"hello", "thumbnail", "pagerank", "compress", "json", "video", "train", "chess", "fib", "sort"}

// Experiment is the experiment of a run with the options.
func Experiment(o Options) *spec.Experiment {
	exp := &spec.Experiment{
		Name: "knee", Title: "Where is the knee of one worker?", Description: "Latency <p99> & throughput against the arrival rate.",
		Seed: 42, Repeat: o.Repeats, Order: "interleaved", Cooldown: 2 * time.Second, OnFailure: "continue",
		Sources: []spec.Source{
			{Path: "lab/knee.ainur.hcl", SHA256: strings.Repeat("ab", 32), Bytes: []byte("experiment \"knee\" {}\n")},
			{Path: "lab/vars/site.ainurvars.hcl", SHA256: strings.Repeat("cd", 32), Bytes: []byte("cores = 4\n")},
		},
		Variables: []spec.Variable{
			{Name: "cores", Value: json.RawMessage("4"), Origin: "lab/vars/site.ainurvars.hcl"},
			{Name: "token", Value: json.RawMessage(`"(sensitive)"`), Origin: "AINUR_VAR_token"},
		},
	}
	for i, rate := range o.Rates {
		p := spec.Point{
			ID:      fmt.Sprintf("%08x", 0x5ca1ab1e+i),
			Cluster: spec.Cluster{Name: "local", Hosts: []spec.Host{{Name: "here", Address: "127.0.0.1", Connection: "local"}}},
			Workers: []spec.Worker{{Name: "w1", Host: "here", Isolation: "process", MilliCPU: 4000, Memory: 2 * spec.GiB, Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "lru"}}},
			Loads: []spec.Load{{
				Name: "steady", Target: "w1", MaxInFlight: 1000, OnSaturation: "invalid", LagLimit: time.Millisecond, MeasureFrom: "intended",
				Phases: []spec.Phase{
					{Name: "warmup", Duration: o.Length / 5, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: rate / 2}},
					{Name: "main", Duration: o.Length, Record: true, Arrival: spec.Arrival{Model: "poisson", RatePerSecond: rate}},
				},
			}},
		}
		if len(o.Rates) > 1 {
			p.Axes = []spec.AxisValue{{Name: "rate", Value: json.RawMessage(fmt.Sprintf(`"%g/s"`, rate))}}
		}
		for _, name := range functions[:o.Functions] {
			p.Functions = append(p.Functions, spec.Function{Name: name, Builtin: "busy", Memory: 64 * spec.MiB, MilliCPU: 1000, Timeout: time.Second})
			p.Loads[0].Mix = append(p.Loads[0].Mix, spec.Weight{Function: name, Weight: 1 / float64(o.Functions)})
		}
		exp.Points = append(exp.Points, p)
	}
	return exp
}

// Create begins a run in root that says the same on every machine.
func Create(tb testing.TB, root string, o Options) *result.Run {
	tb.Helper()
	run, err := result.Create(root, Experiment(o), result.Manifest{
		RunID: RunID, Started: Started, Mode: result.Live, Command: []string{"ainur", "run", "lab/knee.ainur.hcl", "--var", "cores=4"},
		Git: &result.Git{Commit: "0123456789abcdef0123456789abcdef01234567", Dirty: []string{" M lab/knee.ainur.hcl"}, Diff: []byte("diff --git a b\n")},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := run.Close(); err != nil {
			tb.Error(err)
		}
	})
	turbo := true
	check(tb, run.SetFacts("here", spec.Facts{
		Hostname: "node1", BootID: "6f1c", Arch: "amd64", OS: "Debian GNU/Linux 12", Kernel: "6.1.0", Cmdline: "quiet", Virt: "kvm",
		CPUModel: "A CPU", Sockets: 1, PhysicalCores: 2, LogicalCores: 4, NUMANodes: 1, SMT: "on", Turbo: &turbo,
		MemoryTotal: 8 * spec.GiB, THP: "madvise", Cgroup: "v2", Load1: 0.12, UID: 1000, GoVersion: "go1.26",
	}, nil))
	check(tb, run.Amend(func(m *result.Manifest) {
		m.Limitations["w1"] = []string{"memory limits are not applied: the user may not write to the cgroup"}
		m.Build = result.Build{Version: "v0.1.0", Commit: "fedcba98", Go: "go1.26", Settings: map[string]string{"GOOS": "linux", "GOARCH": "amd64"}}
	}))
	return run
}

// Complete runs every step of a run, records the verdict and seals it.
func Complete(tb testing.TB, root string, o Options) *result.Run {
	tb.Helper()
	run := Create(tb, root, o)
	at := Started
	for _, s := range run.Steps {
		rep := result.Repeat{Step: s, State: result.Running, Started: at}
		check(tb, run.SetRepeat(rep))
		point := run.Point(s.Point)
		dir, err := run.RepeatDir(*point, s.Repeat)
		check(tb, err)
		calls := Calls(*point, s)
		check(tb, measure.WriteCalls(filepath.Join(dir, result.CallsFile), measure.All(calls)))
		at = at.Add(o.Length * 6 / 5)
		rep.State, rep.Ended = result.Finished, at
		rep.Metrics = spec.RepeatMetrics{"steady": measure.Summarize(calls, point.Loads[0]).Metrics(o.Length * 6 / 5)}
		check(tb, run.SetRepeat(rep))
	}
	o.Verdict.Ended = at
	check(tb, run.Finish(o.Verdict))
	check(tb, run.Seal())
	return run
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Calls is what a worker with four cores makes of the point's Poisson load:
// first come, first served, cold starts after idle times, and a few failures.
func Calls(p spec.Point, s result.Step) []measure.Call {
	const ms = int64(time.Millisecond)
	rng := rand.New(rand.NewPCG(s.Seed, hash(s.Point)))
	exp := func(mean int64) int64 { return int64(rng.ExpFloat64() * float64(mean)) }
	load := p.Loads[0]
	cores := make([]int64, 4) // when each becomes free
	idle := map[string][]int64{}
	var calls []measure.Call
	var begin int64
	for _, ph := range load.Phases {
		end := begin + int64(ph.Duration)
		for at := begin; ; {
			if at += exp(int64(float64(time.Second) / ph.Arrival.RatePerSecond)); at >= end {
				break
			}
			i := rng.IntN(len(load.Mix))
			c := measure.Call{
				Point: p.ID, Repeat: s.Repeat, Load: load.Name, Phase: ph.Name, Record: ph.Record, Seq: int64(len(calls)),
				Function: load.Mix[i].Function, TID: fmt.Sprintf("%s-%d-%d", p.ID, s.Repeat, len(calls)), Host: "w1",
				Status: measure.OK, ColdKind: "warm", BytesIn: 20, BytesOut: 2, Memory: int64(20 * spec.MiB), Intended: at,
			}
			c.Sent = c.Intended + 20_000 + exp(40_000)
			c.Accepted = c.Sent + 60_000 + exp(20_000)
			c.Queued = c.Accepted + 3_000
			slices.Sort(cores)
			c.Dequeued = max(c.Queued+2_000, cores[0])
			c.SandboxReady = c.Dequeued + 1_000
			pool := idle[c.Function]
			if k := slices.IndexFunc(pool, func(free int64) bool { return free <= c.Dequeued && c.Dequeued-free < 1500*ms }); k >= 0 {
				idle[c.Function] = slices.Delete(pool, k, k+1)
			} else {
				c.ColdKind, c.SandboxReady = "cold", c.Dequeued+30*ms+exp(15*ms)
			}
			c.ExecStart = c.SandboxReady + 40_000
			c.ExecEnd = c.ExecStart + int64(float64(ms)*float64(4+6*i)*math.Exp(0.4*rng.NormFloat64()))
			c.Replied = c.ExecEnd + 30_000
			c.Received = c.Replied + 50_000 + exp(20_000)
			switch u := rng.Float64(); {
			case u < 0.004:
				c.Status, c.Error = measure.UserError, "ValueError: <bad> input"
			case u < 0.006:
				c.Status, c.Error, c.ExecEnd = measure.Timeout, "over 1 s", measure.Missing
				c.Replied = c.ExecStart + 1000*ms
				c.Received = c.Replied + 80_000
			}
			cores[0] = c.Replied
			idle[c.Function] = append(idle[c.Function], c.Replied)
			calls = append(calls, c)
		}
		begin = end
	}
	return calls
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}
