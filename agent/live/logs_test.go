package live_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// What sandboxes print is kept up to a bound, a file for each stream that printed.
func TestLogs(t *testing.T) {
	isolation := fake.New(fake.Script{Invoke: func(_ context.Context, c sandbox.Config, _ []byte) (sandbox.Reply, error) {
		if c.Function.Name == `loud["a/b"]` {
			c.Stdout(bytes.Repeat([]byte("a"), 200<<10))
			c.Stdout(bytes.Repeat([]byte("b"), 100<<10))
			c.Stdout([]byte("more"))
			c.Stderr([]byte("trouble\n"))
		}
		return sandbox.Reply{}, nil
	}})
	dir := t.TempDir()
	a, err := live.New(live.Options{
		Worker:    spec.Worker{Name: "w", MilliCPU: 1000, Memory: spec.GiB, Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "lru"}},
		Isolation: isolation, Dir: dir, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`loud["a/b"]`, "quiet"} {
		if err := a.Register(builtin(name), nil); err != nil {
			t.Fatal(err)
		}
		call(t, a, name)
	}
	if err := errors.Join(a.Close(), isolation.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(dir, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, "logs", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name()] = string(bytes.ReplaceAll(bytes.ReplaceAll(text, bytes.Repeat([]byte("a"), 200<<10), []byte("200 KiB, ")),
			bytes.Repeat([]byte("b"), 56<<10), []byte("56 KiB")))
	}
	want := map[string]string{
		"w-loud.5b.22a.2fb.22.5d-1.stdout": "200 KiB, 56 KiB\n[ainur: 45060 more bytes were printed and are not kept]\n",
		"w-loud.5b.22a.2fb.22.5d-1.stderr": "trouble\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
}

func TestNewRefuses(t *testing.T) {
	fcfs, lru, odd := spec.Named{Name: "fcfs"}, spec.Named{Name: "lru"}, spec.Named{Name: "odd"}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]live.Options{
		"queue policy":     {Worker: spec.Worker{Queue: odd, KeepAlive: lru}, Dir: t.TempDir()},
		"keepalive policy": {Worker: spec.Worker{Queue: fcfs, KeepAlive: odd}, Dir: t.TempDir()},
		"folder":           {Worker: spec.Worker{Queue: fcfs, KeepAlive: lru}, Dir: file},
	} {
		if _, err := live.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
