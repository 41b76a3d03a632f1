package docker_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/docker/dockertest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestMain(m *testing.M) {
	shim.Builtin()
	os.Exit(m.Run())
}

var opened atomic.Int64

// open is an isolation of which nothing may be left at the end of the test.
func open(t testing.TB, socket string, store *oci.Store) *docker.Isolation {
	t.Helper()
	runID := fmt.Sprintf("docker-%d-%d", os.Getpid(), opened.Add(1))
	dir := t.TempDir()
	i, err := docker.New(docker.Options{Socket: socket, Dir: dir, RunID: runID, Store: store, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
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
	socket := dockertest.Start(t)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation { return open(t, socket, nil) })
	t.Run("image", func(t *testing.T) {
		store, digest := ocitest.Python(t)
		sandboxtest.RunOn(t, digest, func(t *testing.T) sandbox.Isolation { return open(t, socket, store) })
	})
}

// Images that are functions: of ainur's protocol, and Ilúvatar's over a Unix socket.
func TestImages(t *testing.T) {
	socket := dockertest.Start(t)
	store, base := ocitest.Python(t)
	source := sandboxtest.Python(t, "def main(args):\n    return {'n': args['n'] + 1}\n").Code
	built, err := store.Build(t.Context(), oci.BuildOptions{Base: base, Function: spec.Function{Runtime: "python3", Source: source}})
	if err != nil {
		t.Fatal(err)
	}
	iluvatar := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) {
		c.Entrypoint = []string{"python3", "server.py", "unix"}
	})
	i := open(t, socket, store)
	for server, digest := range map[string]string{"": built, "unix": iluvatar} {
		b := sandboxtest.Must(t, i, sandbox.Config{ID: "f-" + server, Image: digest, Function: spec.Function{
			Name: "f", Image: digest, Server: server, Memory: 128 * spec.MiB, MilliCPU: 1000, Timeout: time.Minute,
		}})
		r, err := b.Invoke(t.Context(), []byte(`{"n":41}`))
		if err != nil || strings.ReplaceAll(string(r.Result), " ", "") != `{"n":42}` {
			t.Errorf("server %q: %s, %v", server, r.Result, err)
		}
	}
}
