package containerd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd/containerdtest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestMain(m *testing.M) {
	shim.Builtin()
	if os.Getenv(churnEnv) != "" {
		churn()
	}
	os.Exit(m.Run())
}

var opened atomic.Int64

// open is an isolation of which nothing may be left at the end of the test.
func open(t testing.TB, container spec.Container, store *oci.Store) *containerd.Isolation {
	t.Helper()
	return openIn(t, t.TempDir(), container, store)
}

func openIn(t testing.TB, dir string, container spec.Container, store *oci.Store) *containerd.Isolation {
	t.Helper()
	runID := fmt.Sprintf("test-%d-%d", os.Getpid(), opened.Add(1))
	i, err := containerd.New(t.Context(), containerd.Options{Socket: container.Socket, Dir: dir, RunID: runID, Container: container, Store: store, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		if left, _ := filepath.Glob("/sys/fs/cgroup/*/ainur/" + runID); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	return i
}

func TestConformance(t *testing.T) {
	socket := containerdtest.Start(t)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	for _, runtime := range []testenv.Need{testenv.Runc, testenv.Crun} {
		t.Run(string(runtime), func(t *testing.T) {
			testenv.Require(t, runtime)
			sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation {
				return open(t, spec.Container{Socket: socket, OCIRuntime: string(runtime)}, nil)
			})
			t.Run("bridge", func(t *testing.T) {
				sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation {
					return open(t, spec.Container{Socket: socket, OCIRuntime: string(runtime), Network: "bridge", Namespaces: 2}, nil)
				})
			})
			t.Run("image", func(t *testing.T) {
				store, digest := ocitest.Python(t)
				sandboxtest.RunOn(t, digest, func(t *testing.T) sandbox.Isolation {
					return open(t, spec.Container{Socket: socket, OCIRuntime: string(runtime)}, store)
				})
			})
			if left, err := containerd.List(t.Context(), socket); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// 300 containers are there at the same time, on one worker. A shim has 15 MB.
func TestMany(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	socket := containerdtest.Start(t)
	testenv.Require(t, testenv.Crun)
	if memory := resource.HostFacts().MemoryTotal; memory < 8*spec.GiB {
		t.Skipf("needs 8 GiB of memory: this host has %d MiB", memory/spec.MiB)
	}
	t.Run("use", func(t *testing.T) {
		sandboxtest.Together(t, open(t, spec.Container{Socket: socket, Network: "bridge"}, nil), sandboxtest.Echo(t), 300, 8)
	})
	sandboxtest.Left(t, fmt.Sprintf("test-%d-", os.Getpid()), filepath.Dir(socket))
	if left, err := containerd.List(t.Context(), socket); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// churnEnv makes this binary an agent that makes sandboxes until it is killed; its
// value is the socket, the id of the run, a folder, a store and an image in it.
const churnEnv = "AINUR_TEST_CHURN"

func churn() {
	var socket, runID, dir, folder, image, code string
	_, err := fmt.Sscan(os.Getenv(churnEnv), &socket, &runID, &dir, &folder, &image, &code)
	var store *oci.Store
	if err == nil {
		store = oci.Open(folder)
	}
	var i *containerd.Isolation
	if err == nil {
		i, err = containerd.New(context.Background(), containerd.Options{
			Socket: socket, Dir: dir, RunID: runID, Store: store, Log: slog.New(slog.DiscardHandler), Container: spec.Container{Network: "bridge", Creations: 4, StemCells: 2},
		})
	}
	if err != nil {
		panic(err)
	}
	sandboxtest.Churn(sandboxtest.Ahead{Isolation: i}, sandbox.Config{Code: code, Image: image, Function: spec.Function{Name: "f", Runtime: "python3", Memory: 64 * spec.MiB, MilliCPU: 1000}})
}

// Of 500 cold starts, half of them of agents that were killed in the middle of
// anything, nothing is left when the next agent of the run has ended.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	socket := containerdtest.Start(t)
	store, image := ocitest.Python(t)
	runID, dir, code := fmt.Sprintf("killed-%d", os.Getpid()), t.TempDir(), sandboxtest.Python(t, "def main(args):\n    return 1\n").Code
	warm, err := containerd.New(t.Context(), containerd.Options{Socket: socket, Dir: dir, RunID: runID, Store: store, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Together(t, warm, sandbox.Config{Code: code, Image: image, Function: spec.Function{Name: "f", Runtime: "python3", Memory: 64 * spec.MiB}}, 1, 1)
	if err := warm.Close(); err != nil { // which leaves the image there
		t.Fatal(err)
	}
	held := inDaemon(t, socket)
	left := sandboxtest.Killed(t, churnEnv, strings.Join([]string{socket, runID, dir, store.Dir(), image, code}, " "), 500)
	i, err := containerd.New(t.Context(), containerd.Options{Socket: socket, Dir: dir, RunID: runID, Store: store, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	removed, err := i.Reclaim()
	if err := errors.Join(err, i.Close()); err != nil {
		t.Error(err)
	}
	t.Logf("%d sandboxes were left; reclaimed %d things", left, len(removed))
	if diff := cmp.Diff(held, inDaemon(t, socket)); diff != "" {
		t.Errorf("in the daemon it is not as before (-before +after):\n%s", diff)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
	sandboxtest.Left(t, runID, filepath.Dir(socket))
	noShims(t, runID)
}

// noShims is an error of the test when containers of runs whose ids begin with run have
// shims, which may take a moment to end.
func noShims(t *testing.T, run string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		left := slices.DeleteFunc(lines, func(path string) bool {
			line, _ := os.ReadFile(path) // it may have ended
			return !strings.Contains(string(line), "\x00-id\x00"+run)
		})
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %v", left)
		}
	}
}

// inDaemon counts what there is in the daemon.
func inDaemon(t *testing.T, socket string) map[string]int {
	t.Helper()
	client, err := client.New(socket, client.WithDefaultNamespace(containerd.Namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	counts := map[string]int{}
	containers, err := client.Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leases, err := client.LeasesService().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := client.TaskService().List(t.Context(), &tasks.ListTasksRequest{})
	if err != nil {
		t.Fatal(err)
	}
	images, err := client.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts["containers"], counts["leases"], counts["tasks"], counts["images"] = len(containers), len(leases), len(tasks.Tasks), len(images)
	err = client.SnapshotService("overlayfs").Walk(t.Context(), func(context.Context, snapshots.Info) error {
		counts["snapshots"]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = client.ContentStore().Walk(t.Context(), func(content.Info) error {
		counts["blobs"]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}
