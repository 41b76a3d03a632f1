package containerd_test

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd/containerdtest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// An image that was built from code is a function by itself.
func TestBuiltImage(t *testing.T) {
	socket := containerdtest.Start(t)
	store, base := ocitest.Python(t)
	source := sandboxtest.Python(t, "def main(args):\n    open('/written', 'w').write('x')\n    root = [m for m in open('/proc/self/mountinfo') if m.split()[4] == '/']\n    return {'n': args['n'] + ('nodev' in root[0])}\n").Code
	digest, err := store.Build(t.Context(), oci.BuildOptions{Base: base, Function: spec.Function{Runtime: "python3", Source: source}})
	if err != nil {
		t.Fatal(err)
	}
	i := open(t, spec.Container{Socket: socket}, store)
	b := sandboxtest.Must(t, i, sandbox.Config{ID: "f-1", Image: digest, Function: spec.Function{Name: "f", Image: digest, Memory: 64 * spec.MiB, MilliCPU: 1000}})
	for range 2 {
		r, err := b.Invoke(t.Context(), []byte(`{"n":41}`))
		if err != nil || string(r.Result) != `{"n":42}` {
			t.Errorf("%s, %v", r.Result, err)
		}
	}
	empty, err := store.Pull(t.Context(), "scratch")
	if err != nil {
		t.Fatal(err)
	}
	_, err = i.Create(t.Context(), sandbox.Config{ID: "f-2", Image: empty, Function: spec.Function{Name: "f", Image: empty, Memory: 64 * spec.MiB, MilliCPU: 1000}})
	if err == nil || !strings.Contains(err.Error(), "says nothing to run") {
		t.Errorf("an image without a command: %v", err)
	}
}

// A sandbox sees nothing of the agent's folder, and no devices but its own.
func TestRoots(t *testing.T) {
	socket := containerdtest.Start(t)
	store, base := ocitest.Python(t)
	for _, runtime := range []testenv.Need{testenv.Runc, testenv.Crun} {
		t.Run(string(runtime), func(t *testing.T) {
			testenv.Require(t, runtime)
			dir := sandboxtest.Dir(t)
			i := openIn(t, dir, spec.Container{Socket: socket, OCIRuntime: string(runtime)}, store)
			t.Run("hides", func(t *testing.T) { sandboxtest.Hides(t, i, dir) })
			t.Run("private", func(t *testing.T) { sandboxtest.KeepsPrivate(t, i) })
			t.Run("host", func(t *testing.T) { sandboxtest.NoDevices(t, i, "") })
			t.Run("image", func(t *testing.T) { sandboxtest.NoDevices(t, i, base) })
		})
	}
}

// Images of Ilúvatar run as they are, over HTTP and over a Unix socket.
func TestIluvatarImages(t *testing.T) {
	socket := containerdtest.Start(t)
	store, base := ocitest.Python(t)
	for _, server := range []string{"http", "unix"} {
		t.Run(server, func(t *testing.T) {
			digest := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) {
				c.Entrypoint, c.WorkingDir = []string{"python3", "server.py", server}, "/app"
			})
			i := open(t, spec.Container{Socket: socket, Network: map[string]string{"unix": "none"}[server]}, store) // HTTP has a bridge when nothing else is said
			f := spec.Function{Name: "f", Image: digest, Server: server, Memory: 128 * spec.MiB, MilliCPU: 1000, Timeout: time.Minute}
			b := sandboxtest.Must(t, i, sandbox.Config{ID: "f-1", Image: digest, Function: f})
			for range 3 {
				r, err := b.Invoke(t.Context(), []byte(`{"n":41,"do":"write"}`))
				if err != nil || string(r.Result) != `{"n": 42}` {
					t.Fatalf("%s, %v", r.Result, err)
				}
			}
			r, err := b.Invoke(t.Context(), []byte(`{"do":"fill"}`))
			if err != nil || string(r.Result) != `[0, "No space left on device"]` && string(r.Result) != `[1, "No space left on device"]` {
				t.Errorf("it fills the folder of its socket: %s, %v", r.Result, err)
			}
			_, err = b.Invoke(t.Context(), []byte(`{"do":"raise"}`))
			sandboxtest.Fails(t, err, sandbox.UserError, "by design")
			_, err = b.Invoke(t.Context(), []byte(`{"do":"exit"}`))
			sandboxtest.Fails(t, err, sandbox.Crashed, "exit status 9", "last words")
		})
	}
	i := open(t, spec.Container{Socket: socket, Network: "none"}, store)
	_, err := i.Create(t.Context(), sandbox.Config{ID: "f-1", Image: base, Function: spec.Function{Name: "f", Image: base, Server: "http", Memory: 64 * spec.MiB}})
	if err == nil || !strings.Contains(err.Error(), `network = "bridge"`) {
		t.Errorf("HTTP without a network: %v", err)
	}
}
