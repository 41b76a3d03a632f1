package docker_test

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/docker/dockertest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// ownNetworkEnv is set where this binary is in a network namespace of its own.
const ownNetworkEnv = "AINUR_TEST_OWN_NETWORK"

// inOwnNetwork runs the test again in a network namespace of its own, where a daemon
// may make a bridge, and reports whether it is the one that runs there.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownNetworkEnv) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), ownNetworkEnv+"=yes")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the child ends with the thread that started it
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
	return false
}

// Ilúvatar's images are reached over the daemon's bridge, by HTTP.
func TestHTTP(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Docker)
	if !inOwnNetwork(t) {
		return
	}
	socket := dockertest.Start(t, "--bip=10.99.0.1/24")
	store, base := ocitest.Python(t)
	digest := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) {
		c.Entrypoint = []string{"python3", "server.py", "http"}
	})
	i := openWith(t, docker.Options{Socket: socket, Store: store, Container: spec.Container{Network: "bridge"}})
	b := sandboxtest.Must(t, i, image("f-1", digest, "http"))
	for range 3 {
		r, err := b.Invoke(t.Context(), []byte(`{"n":41}`))
		if err != nil || string(r.Result) != `{"n": 42}` {
			t.Fatalf("%s, %v", r.Result, err)
		}
	}
	_, err := b.Invoke(t.Context(), []byte(`{"do":"raise"}`))
	sandboxtest.Fails(t, err, sandbox.UserError, "by design")
	_, err = b.Invoke(t.Context(), []byte(`{"do":"exit"}`))
	sandboxtest.Fails(t, err, sandbox.Crashed, "exit status 9", "last words")
}
