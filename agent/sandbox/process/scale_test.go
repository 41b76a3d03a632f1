package process_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func openNetworked(t *testing.T) sandbox.Isolation {
	t.Helper()
	return openWith(t, t.TempDir(), fmt.Sprintf("net-%d-%d", os.Getpid(), opened.Add(1)), spec.Container{Network: "bridge", Namespaces: 4})
}

// A sandbox with a network of its own is like any other.
func TestConformanceOfNetworks(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Cgroup)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	sandboxtest.Run(t, openNetworked)
}

// The host is reached from inside, at the gateway, and nothing else is there.
func TestNetwork(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Python)
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "hello")
			conn.Close()
		}
	}()
	c := sandboxtest.Python(t, `
import fcntl, socket, struct
def main(args):
    def ask(what):
        with socket.socket() as s:
            return struct.unpack(">I", fcntl.ioctl(s, what, struct.pack("256s", b"eth0"))[20:24])[0]
    gateway = ask(0x8915) & ask(0x891b) | 1
    with socket.create_connection((socket.inet_ntoa(struct.pack(">I", gateway)), args["port"]), 2) as s:
        return [[n for _, n in socket.if_nameindex()], s.recv(5).decode()]
`)
	c.ID = "f-1"
	b := sandboxtest.Must(t, openNetworked(t), c)
	r, err := b.Invoke(t.Context(), fmt.Appendf(nil, `{"port":%d}`, listener.Addr().(*net.TCPAddr).Port))
	if want := `[["lo","eth0"],"hello"]`; err != nil || string(r.Result) != want {
		t.Errorf("%s, %v, want %s", r.Result, err, want)
	}
}

// 1 200 sandboxes with networks of their own are more than a bridge has ports.
func TestManyNetworks(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Cgroup)
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	t.Run("use", func(t *testing.T) {
		began := time.Now()
		sandboxtest.Together(t, openNetworked(t), sandboxtest.Echo(t), 1200, 8)
		t.Logf("made and removed in %v", time.Since(began))
	})
	sandboxtest.Left(t, fmt.Sprintf("net-%d-", os.Getpid()))
}

// churnEnv makes this binary an agent that makes sandboxes until it is killed; its
// value is the id of the run, a folder, the network, and the folder of the code.
const churnEnv = "AINUR_TEST_CHURN"

func churn() {
	var runID, dir, network, code string
	_, err := fmt.Sscan(os.Getenv(churnEnv), &runID, &dir, &network, &code)
	var i *process.Isolation
	if err == nil {
		i, err = process.New(process.Options{Dir: dir, RunID: runID, Log: slog.New(slog.DiscardHandler), Container: spec.Container{Network: network, Namespaces: 2, Zygote: true, StemCells: 2}})
	}
	if err != nil {
		panic(err)
	}
	sandboxtest.Churn(sandboxtest.Ahead{Isolation: i}, sandbox.Config{Code: code, Function: spec.Function{Name: "f", Runtime: "python3", Memory: 64 * spec.MiB, MilliCPU: 1000}})
}

// Of 500 cold starts, half of them of agents that were killed in the middle of
// anything, nothing is left when the next agent of the run has ended.
func TestKilled(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Python, testenv.Cgroup)
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	for _, network := range []string{"none", "bridge"} {
		t.Run(network, func(t *testing.T) {
			runID, dir, code := fmt.Sprintf("killed-%d-%s", os.Getpid(), network), t.TempDir(), sandboxtest.Python(t, "def main(args):\n    return 1\n").Code
			left := sandboxtest.Killed(t, churnEnv, strings.Join([]string{runID, dir, network, code}, " "), 250)
			i := openWith(t, dir, runID, spec.Container{})
			removed, err := i.Reclaim()
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d sandboxes were left; reclaimed %d things", left, len(removed))
			if err := i.Close(); err != nil {
				t.Error(err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 2 { // shim.py and zygote.py
				t.Errorf("left: %v, %v", entries, err)
			}
			sandboxtest.Left(t, runID, dir)
		})
	}
}

// Sandboxes take no threads of the agent while they are idle.
func TestThreads(t *testing.T) {
	i := openWith(t, t.TempDir(), fmt.Sprintf("threads-%d", os.Getpid()), spec.Container{})
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	const sandboxes = 60
	before := threads()
	for n := range sandboxes {
		sandboxtest.Must(t, i, hello(fmt.Sprintf("hello-%d", n)))
	}
	if more := threads() - before; more > sandboxes/3 { // some are the runtime's
		t.Errorf("%d sandboxes took %d threads", sandboxes, more)
	}
}

// Roots are made while processes are started, which hold what is open.
func TestRootsBesideStarts(t *testing.T) {
	testenv.Require(t, testenv.Root)
	i := openWith(t, t.TempDir(), fmt.Sprintf("roots-%d", os.Getpid()), spec.Container{Network: "none"})
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			for k := range 25 {
				c := sandboxtest.Echo(t) // a folder of its own, and so a root of its own
				c.ID = fmt.Sprintf("f-%d-%d", n, k)
				b, err := i.Create(t.Context(), c)
				if err != nil {
					t.Error(err)
					return
				}
				if err := b.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
