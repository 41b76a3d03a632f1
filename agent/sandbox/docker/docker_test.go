package docker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"

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
	if os.Getenv(churnEnv) != "" {
		churn()
	}
	os.Exit(m.Run())
}

var opened atomic.Int64

// open is an isolation of which nothing may be left at the end of the test.
func open(t testing.TB, socket string, store *oci.Store) *docker.Isolation {
	t.Helper()
	return openWith(t, docker.Options{Socket: socket, Store: store})
}

// openWith is open with these options. What they lack is filled in.
func openWith(t testing.TB, o docker.Options) *docker.Isolation {
	t.Helper()
	if o.RunID == "" {
		o.RunID = fmt.Sprintf("docker-%d-%d", os.Getpid(), opened.Add(1))
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	i, err := docker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(o.Dir + "/*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		if left, _ := filepath.Glob("/sys/fs/cgroup/*/ainur/" + o.RunID); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	return i
}

// hello is a sandbox that needs nothing.
func hello(id string) sandbox.Config {
	return sandbox.Config{ID: id, Function: spec.Function{Name: "f", Builtin: "hello", Memory: 64 * spec.MiB, MilliCPU: 1000}}
}

// ask is a client of the daemon until the end of the test.
func ask(t testing.TB, socket string) *client.Client {
	t.Helper()
	api, err := client.New(client.WithHost("unix://" + socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	return api
}

// inspect is the only container of the daemon.
func inspect(t testing.TB, socket string) client.ContainerInspectResult {
	t.Helper()
	api := ask(t, socket)
	list, err := api.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d containers, %v", len(list.Items), err)
	}
	result, err := api.ContainerInspect(t.Context(), list.Items[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// inDaemon names what there is in the daemon, whoever made it.
func inDaemon(t testing.TB, socket string) (found []string) {
	t.Helper()
	api := ask(t, socket)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	containers, err := api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers.Items {
		found = append(found, fmt.Sprintf("container %v", c.Names))
	}
	images, err := api.ImageList(ctx, client.ImageListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range images.Items {
		found = append(found, fmt.Sprintf("image %v", i.RepoTags))
	}
	volumes, err := api.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		found = append(found, "volume "+v.Name)
	}
	return found
}

func TestConformance(t *testing.T) {
	socket := dockertest.Start(t)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation { return open(t, socket, nil) })
	t.Run("image", func(t *testing.T) {
		store, digest := ocitest.Python(t)
		sandboxtest.RunOn(t, digest, func(t *testing.T) sandbox.Isolation { return open(t, socket, store) })
	})
	if left := inDaemon(t, socket); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
