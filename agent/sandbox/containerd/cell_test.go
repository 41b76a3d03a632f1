package containerd_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd/containerdtest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// A stem cell that has become a function is a sandbox like any other.
func TestConformanceOfCells(t *testing.T) {
	socket := containerdtest.Start(t)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	store, digest := ocitest.Python(t)
	for _, runtime := range []testenv.Need{testenv.Runc, testenv.Crun} {
		t.Run(string(runtime), func(t *testing.T) {
			testenv.Require(t, runtime)
			sandboxtest.RunOn(t, digest, func(t *testing.T) sandbox.Isolation {
				return sandboxtest.Ahead{Isolation: open(t, spec.Container{Socket: socket, OCIRuntime: string(runtime), StemCells: 1}, store)}
			})
		})
	}
	noShims(t, fmt.Sprintf("test-%d-", os.Getpid()))
	if left, err := containerd.List(t.Context(), socket); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
