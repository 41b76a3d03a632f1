package containerd_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
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
	os.Exit(m.Run())
}

var opened atomic.Int64

// open is an isolation of which nothing may be left at the end of the test.
func open(t testing.TB, container spec.Container, store *oci.Store) *containerd.Isolation {
	t.Helper()
	runID := fmt.Sprintf("test-%d-%d", os.Getpid(), opened.Add(1))
	dir := t.TempDir()
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
