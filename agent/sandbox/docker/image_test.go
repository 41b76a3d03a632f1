package docker_test

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/docker/dockertest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// image is a sandbox of an image that is a function.
func image(id, digest, server string) sandbox.Config {
	return sandbox.Config{ID: id, Image: digest, Function: spec.Function{
		Name: "f", Image: digest, Server: server, Memory: 128 * spec.MiB, MilliCPU: 1000, Timeout: time.Minute,
	}}
}

// Images that are functions: of ainur's protocol, and Ilúvatar's over a Unix socket.
func TestImages(t *testing.T) {
	socket := dockertest.Start(t)
	store, base := ocitest.Python(t)
	source := sandboxtest.Python(t, "def main(args):\n    open('/written', 'w').write('x')\n    return {'n': args['n'] + 1}\n").Code
	built, err := store.Build(t.Context(), oci.BuildOptions{Base: base, Function: spec.Function{Runtime: "python3", Source: source}})
	if err != nil {
		t.Fatal(err)
	}
	iluvatar := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) {
		c.Entrypoint = []string{"python3", "server.py", "unix"}
	})
	i := open(t, socket, store)
	for server, digest := range map[string]string{"": built, "unix": iluvatar} {
		b := sandboxtest.Must(t, i, image("f-"+server, digest, server))
		r, err := b.Invoke(t.Context(), []byte(`{"n":41}`))
		if err != nil || strings.ReplaceAll(string(r.Result), " ", "") != `{"n":42}` {
			t.Errorf("server %q: %s, %v", server, r.Result, err)
		}
	}
	_, err = i.Create(t.Context(), image("f-http", iluvatar, "http"))
	if err == nil || !strings.Contains(err.Error(), `network = "bridge"`) {
		t.Errorf("HTTP without a network: %v", err)
	}
	_, err = i.Create(t.Context(), image("f-none", "sha256:"+strings.Repeat("0", 64), ""))
	if err == nil || !strings.Contains(err.Error(), "load image sha256:0000") {
		t.Errorf("an image that is not there: %v", err)
	}
	nothing := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) { c.Entrypoint = []string{"/nothing"} })
	_, err = i.Create(t.Context(), image("f-nothing", nothing, ""))
	sandboxtest.Fails(t, err, sandbox.StartFailed, "/nothing")
}

// An image is loaded once, whoever wants it, and stays as long as anyone has it; one
// with the label stays after that.
func TestImagesStay(t *testing.T) {
	socket := dockertest.Start(t)
	store, base := ocitest.Python(t)
	kept := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) {
		c.Entrypoint, c.Labels = []string{"python3", "server.py", "unix"}, map[string]string{docker.LabelKeep: "yes"}
	})
	passing := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) {
		c.Entrypoint = []string{"python3", "server.py", "unix"}
	})
	t.Run("first", func(t *testing.T) {
		i := open(t, socket, store)
		sandboxtest.Must(t, i, image("f-1", kept, "unix"))
		sandboxtest.Must(t, i, image("f-2", passing, "unix"))
		t.Run("second", func(t *testing.T) {
			other := open(t, socket, store)
			sandboxtest.Must(t, other, image("f-1", passing, "unix"))
		})
		if found := inDaemon(t, socket); len(found) != 4 {
			t.Errorf("two containers and two images are %v", found)
		}
		sandboxtest.Must(t, i, image("f-3", passing, "unix"))
	})
	if found := inDaemon(t, socket); len(found) != 1 {
		t.Errorf("the image that is kept is %v", found)
	}
	began := time.Now()
	sandboxtest.Must(t, open(t, socket, store), image("f-1", kept, "unix"))
	t.Logf("from an image that was kept: %v", time.Since(began))
	if found := inDaemon(t, socket); len(found) != 2 {
		t.Errorf("a container and an image are %v", found)
	}
}

// An image that was prepared is there before the first sandbox.
func TestPrepare(t *testing.T) {
	socket := dockertest.Start(t)
	store, base := ocitest.Python(t)
	i := open(t, socket, store)
	c := sandboxtest.Python(t, "def main(args):\n    return 1\n")
	c.Image = base
	for range 2 {
		if err := i.Prepare(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if found := inDaemon(t, socket); len(found) != 1 {
		t.Errorf("the image is %v", found)
	}
	c.ID = "f-1"
	sandboxtest.Must(t, i, c)
	if found := inDaemon(t, socket); len(found) != 2 {
		t.Errorf("the image and a container are %v", found)
	}
	c.Image = "sha256:" + strings.Repeat("0", 64)
	if err := i.Prepare(t.Context(), c); err == nil || !strings.Contains(err.Error(), "load image") {
		t.Errorf("an image that is not there: %v", err)
	}
}
