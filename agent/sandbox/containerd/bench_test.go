package containerd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd/containerdtest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// BenchmarkCold makes a sandbox of a function in Python and removes it, on the files of
// the host and on an image.
func BenchmarkCold(b *testing.B) {
	socket := containerdtest.Start(b)
	store, base := ocitest.Python(b)
	for name, image := range map[string]string{"host": "", "image": base} {
		b.Run(name, func(b *testing.B) {
			i := open(b, spec.Container{Socket: socket}, store)
			code := b.TempDir()
			if err := os.WriteFile(filepath.Join(code, "main.py"), []byte("def main(args):\n    return args\n"), 0o644); err != nil {
				b.Fatal(err)
			}
			c := sandbox.Config{ID: "f-0", Code: code, Image: image, Function: spec.Function{Name: "f", Runtime: "python3", Memory: 128 * spec.MiB, MilliCPU: 1000}}
			sandboxtest.Must(b, i, c) // so that the image is there
			var took []time.Duration
			for b.Loop() {
				c.ID = fmt.Sprintf("f-%d", len(took)+1)
				began := time.Now()
				box, err := i.Create(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
				if err := box.Remove(); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "create-p50-µs")
		})
	}
}
