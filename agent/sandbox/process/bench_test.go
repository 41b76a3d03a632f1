package process_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// echoEnv makes this binary the other side of BenchmarkEcho.
const echoEnv = "AINUR_TEST_ECHO"

func TestMain(m *testing.M) {
	shim.Builtin()
	if os.Getenv(echoEnv) != "" {
		echo()
	}
	if os.Getenv(crashEnv) != "" {
		crash()
	}
	if os.Getenv(churnEnv) != "" {
		churn()
	}
	os.Exit(m.Run())
}

// echo sends every frame back, and ends with its socket.
func echo() {
	if err := syscall.SetNonblock(3, true); err != nil {
		panic(err)
	}
	conn := wire.NewConn(os.NewFile(3, "socket"))
	for {
		f, err := conn.Read()
		if err != nil {
			os.Exit(0)
		}
		if err := conn.Write(f.Type, f.ID, f.Payload); err != nil {
			panic(err)
		}
	}
}

// latencies reports quantiles of what call takes.
func latencies(b *testing.B, call func()) {
	b.Helper()
	for range 1000 {
		call()
	}
	took := make([]time.Duration, 0, 1<<16)
	for b.Loop() {
		began := time.Now()
		call()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}

// BenchmarkEcho is the floor of BenchmarkWarm: a frame of 2 bytes to another
// process and back over a socket pair, and nothing else.
func BenchmarkEcho(b *testing.B) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), echoEnv+"=1")
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	theirs.Close()
	socket, err := net.FileConn(ours)
	if err != nil {
		b.Fatal(err)
	}
	ours.Close()
	defer func() {
		socket.Close()
		_ = cmd.Wait() // it has ended
	}()
	conn := wire.NewConn(socket)
	latencies(b, func() {
		if err := conn.Write(wire.Invoke, 1, []byte("{}")); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(); err != nil {
			b.Fatal(err)
		}
	})
}

// benchmark is an isolation, and the builtin hello to be made in it.
func benchmark(b *testing.B, container spec.Container) (*process.Isolation, sandbox.Config) {
	b.Helper()
	isolation, err := process.New(process.Options{Dir: b.TempDir(), RunID: "bench", Log: slog.New(slog.DiscardHandler), Container: container})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := isolation.Close(); err != nil {
			b.Error(err)
		}
	})
	return isolation, sandbox.Config{ID: "hello-1", Function: spec.Function{Name: "hello", Builtin: "hello", Memory: 64 * spec.MiB, MilliCPU: 1000}}
}

// BenchmarkWarm is the agent's side of a warm invocation of the builtin hello.
func BenchmarkWarm(b *testing.B) {
	isolation, config := benchmark(b, spec.Container{})
	box, err := isolation.Create(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer box.Remove()
	args := []byte("{}")
	latencies(b, func() {
		if _, err := box.Invoke(b.Context(), args); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkCold makes a sandbox of the builtin hello and removes it, each after
// a pause, since what the kernel puts off makes the first of a burst slower.
func BenchmarkCold(b *testing.B) {
	isolation, config := benchmark(b, spec.Container{})
	var create, remove time.Duration
	for b.Loop() {
		b.StopTimer()
		time.Sleep(30 * time.Millisecond)
		b.StartTimer()
		began := time.Now()
		box, err := isolation.Create(b.Context(), config)
		if err != nil {
			b.Fatal(err)
		}
		created := time.Now()
		if err := box.Remove(); err != nil {
			b.Fatal(err)
		}
		create, remove = create+created.Sub(began), remove+time.Since(created)
	}
	b.ReportMetric(float64(create.Microseconds())/float64(b.N), "create-µs")
	b.ReportMetric(float64(remove.Microseconds())/float64(b.N), "remove-µs")
}

// BenchmarkColdPython is BenchmarkCold of a function in Python, from a new
// interpreter and from a zygote.
func BenchmarkColdPython(b *testing.B) {
	testenv.Require(b, testenv.Root, testenv.Python)
	for _, zygote := range []bool{false, true} {
		b.Run(fmt.Sprintf("zygote=%t", zygote), func(b *testing.B) {
			isolation, _ := benchmark(b, spec.Container{Zygote: zygote, Network: "none"})
			code := b.TempDir()
			if err := os.WriteFile(filepath.Join(code, "main.py"), []byte("def main(args):\n    return args\n"), 0o644); err != nil {
				b.Fatal(err)
			}
			c := sandbox.Config{ID: "f-0", Code: code, Function: spec.Function{Name: "f", Runtime: "python3", Memory: 128 * spec.MiB, MilliCPU: 1000}}
			sandboxtest.Must(b, isolation, c) // so that the zygote is there
			n := 0
			latencies(b, func() {
				n++
				c.ID = fmt.Sprintf("f-%d", n)
				box, err := isolation.Create(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := box.Invoke(b.Context(), []byte("{}")); err != nil {
					b.Fatal(err)
				}
				if err := box.Remove(); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
