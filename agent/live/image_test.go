package live_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// prepared is a fake that says what it was told to prepare.
type prepared struct {
	*fake.Isolation
	images []string
}

func (p *prepared) Prepare(_ context.Context, c sandbox.Config) error {
	p.images = append(p.images, c.Image)
	return nil
}

// An image is complete and prepared when its function is registered.
func TestRegisterImage(t *testing.T) {
	store := oci.Open(t.TempDir())
	image, err := random.Image(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := store.Add(image)
	if err != nil {
		t.Fatal(err)
	}
	isolation := &prepared{Isolation: fake.New(script)}
	options := live.Options{
		Worker: spec.Worker{Name: "w", MilliCPU: 1000, Memory: spec.GiB, Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "ttl"}},
		RunID:  "run", Isolation: isolation, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Store: store,
	}
	a, err := live.New(options)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	f := spec.Function{Name: "f", Image: "x", Digest: digest, Memory: spec.MiB, MilliCPU: 1}
	if err := a.Register(f, nil); err != nil {
		t.Fatal(err)
	}
	if len(isolation.images) != 1 || isolation.images[0] != digest {
		t.Errorf("prepared %v, want %s", isolation.images, digest)
	}
	f.Name, f.Digest = "g", "sha256:"+strings.Repeat("0", 64)
	if err := a.Register(f, nil); !errors.Is(err, live.ErrBadCode) {
		t.Errorf("an image that is not there: %v", err)
	}
}
