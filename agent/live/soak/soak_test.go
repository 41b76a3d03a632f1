// Package soak runs an agent with a mixed load for a long time.
package soak

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestMain(m *testing.M) {
	shim.Builtin()
	os.Exit(m.Run())
}

// usage is what the agent's process uses.
type usage struct {
	heap, goroutines, files int64
	cpu                     time.Duration // of an invocation, the functions' not counted
}

func (u usage) String() string {
	return fmt.Sprintf("heap %d KiB, %d goroutines, %d files, %v of processor time per invocation", u.heap>>10, u.goroutines, u.files, u.cpu)
}

// TestSoak has an agent of 2 cores run invocations of all kinds and ends: of busy,
// idle and failing functions, also ones that end or outlive their sandbox, in so
// little memory that sandboxes are made and evicted all the time. What the agent
// uses does not grow. AINUR_SOAK is for how long, 10 s when it is not set; 48
// invocations per second for 10 min are two hours of the Azure trace's four.
func TestSoak(t *testing.T) {
	testenv.Require(t, testenv.Python)
	length := 10 * time.Second
	if v := os.Getenv("AINUR_SOAK"); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) { // the code is read by a user without rights
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	isolation, err := process.New(process.Options{Dir: filepath.Join(dir, "sandboxes"), RunID: fmt.Sprintf("soak-%d", os.Getpid()), Log: log, Container: spec.Container{Network: "none", Zygote: true}})
	if err != nil {
		t.Fatal(err)
	}
	agent, err := live.New(live.Options{
		Worker: spec.Worker{Name: "w", MilliCPU: 2000, Memory: 512 * spec.MiB, Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "ttl", Options: []byte(`{"idle":2000000000}`)}},
		RunID:  "soak", Isolation: isolation, Dir: dir, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	names := register(t, agent)
	var calls, bad atomic.Int64
	measure := meter(&calls)
	var samples []usage
	began := time.Now()
	chance := rand.New(rand.NewPCG(1, 2))
	var group sync.WaitGroup
	const every = time.Second / 48
	tick := time.NewTicker(every)
	defer tick.Stop()
	for next := began; time.Since(began) < length; <-tick.C {
		name := names[chance.IntN(len(names))]
		group.Go(func() {
			calls.Add(1)
			if r := agent.Invoke(t.Context(), live.Request{Function: name}); r.Outcome != expected[name] {
				bad.Add(1)
				t.Errorf("%s: %v %s", name, r.Outcome, r.Error)
			}
		})
		if time.Since(next) > length/20 {
			next = time.Now()
			samples = append(samples, measure())
			t.Logf("%v: %v", time.Since(began).Round(time.Second), samples[len(samples)-1])
		}
	}
	group.Wait()
	if err := agent.Close(); err != nil {
		t.Error(err)
	}
	if err := isolation.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d invocations, %d of them not as they should be", calls.Load(), bad.Load())
	if length < time.Minute {
		return // it has not warmed up
	}
	// The first fifth warms up.
	third := len(samples) * 4 / 5 / 3
	first, last := mean(samples[len(samples)/5:][:third]), mean(samples[len(samples)-third:])
	t.Logf("first: %v", first)
	t.Logf("last:  %v", last)
	if last.heap > first.heap+first.heap/5+1<<20 || last.goroutines > first.goroutines+10 || last.files > first.files+20 || last.cpu > first.cpu+first.cpu/4 {
		t.Error("what it uses has grown")
	}
}

// expected is how an invocation of each function ends.
var expected = map[string]live.Outcome{
	"hello": live.OK, "busy": live.OK, "sleep": live.OK, "python": live.OK, "prints": live.OK, "leaves": live.OK,
	"raises": live.UserError, "ends": live.Crashed, "eats": live.OutOfMemory, "hangs": live.Timeout,
}

var sources = map[string]string{
	"python": "def main(args):\n    return {'n': sum(range(1000))}\n",
	"prints": "def main(args):\n    print('x' * 10000)\n    return 1\n",
	"leaves": "import subprocess, sys\ndef main(args):\n    subprocess.Popen(['sleep', '1'])\n    return 1\n",
	"raises": "def main(args):\n    raise ValueError('by design')\n",
	"ends":   "import os\ndef main(args):\n    os._exit(3)\n",
	"eats":   "def main(args):\n    return len(bytearray(200 << 20))\n",
	"hangs":  "import time\ndef main(args):\n    time.sleep(60)\n",
}

// register adds the functions, and returns their names, the harmless ones many times.
func register(t *testing.T, a *live.Agent) (names []string) {
	t.Helper()
	add := func(f spec.Function, code []byte, weight int) {
		f.Memory, f.MilliCPU, f.Timeout = 48*spec.MiB, 500, 10*time.Second
		if f.Name == "hangs" {
			f.Timeout = 200 * time.Millisecond
		}
		if err := a.Register(f, code); err != nil {
			t.Fatal(err)
		}
		for range weight {
			names = append(names, f.Name)
		}
	}
	add(spec.Function{Name: "hello", Builtin: "hello"}, nil, 20)
	add(spec.Function{Name: "busy", Builtin: "busy", Args: []byte(`{"ms":5}`)}, nil, 20)
	add(spec.Function{Name: "sleep", Builtin: "sleep", Args: []byte(`{"ms":20}`)}, nil, 20)
	for _, name := range []string{"python", "prints", "leaves", "raises", "ends", "eats", "hangs"} {
		source := t.TempDir()
		if err := os.WriteFile(filepath.Join(source, "main.py"), []byte(sources[name]), 0o644); err != nil {
			t.Fatal(err)
		}
		f := spec.Function{Name: name, Runtime: "python3", Source: source}
		code, _, err := image.Stage(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		weight := 2
		if expected[name] == live.OK {
			weight = 12
		}
		add(f, code, weight)
	}
	return names
}

// meter returns what measures the usage since it was called last.
func meter(calls *atomic.Int64) func() usage {
	var before syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before) // it fails for no valid argument
	called := int64(0)
	return func() usage {
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		files, _ := os.ReadDir("/proc/" + strconv.Itoa(os.Getpid()) + "/fd") // it is there
		var now syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &now)
		n := calls.Load()
		spent := time.Duration(now.Utime.Nano() + now.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
		u := usage{int64(memory.HeapAlloc), int64(runtime.NumGoroutine()), int64(len(files)), spent / time.Duration(max(n-called, 1))}
		before, called = now, n
		return u
	}
}

func mean(all []usage) (m usage) {
	for _, u := range all {
		m.heap, m.goroutines, m.files, m.cpu = m.heap+u.heap, m.goroutines+u.goroutines, m.files+u.files, m.cpu+u.cpu
	}
	n := int64(len(all))
	return usage{m.heap / n, m.goroutines / n, m.files / n, m.cpu / time.Duration(n)}
}
