package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/wasm"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator"
)

// images is those of this host.
func images() *oci.Store { return oci.Open(oci.DefaultDir()) }

// openIsolation is what a worker makes its sandboxes with, below dir.
func openIsolation(ctx context.Context, w spec.Worker, dir, runID string, store *oci.Store, log *slog.Logger) (sandbox.Isolation, error) {
	switch w.Isolation {
	case "process":
		return process.New(process.Options{Dir: dir, RunID: runID, Container: w.Container, Store: store, Memory: w.Memory, Log: log})
	case "containerd":
		return containerd.New(ctx, containerd.Options{Socket: w.Container.Socket, Dir: dir, RunID: runID, Container: w.Container, Store: store, Memory: w.Memory, Log: log})
	case "docker":
		return docker.New(docker.Options{Socket: w.Container.Socket, Dir: dir, RunID: runID, Container: w.Container, Store: store, Memory: w.Memory, Log: log})
	case "wasm":
		return wasm.New(wasm.Options{CacheDir: filepath.Join(filepath.Dir(oci.DefaultDir()), "wasm"), Log: log})
	default:
		return nil, fmt.Errorf("this version has no isolation %q", w.Isolation)
	}
}

// reclaim removes what the agents of a run have left; dir is the run's folder.
func reclaim(run, dir string) (removed []string, err error) {
	var workers []spec.Worker
	if err := readJSON(filepath.Join(dir, orchestrator.WorkersFile), &workers); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var errs []error
	type kind struct{ isolation, socket string }
	seen := map[kind]bool{}
	for _, w := range workers {
		k := kind{w.Isolation, w.Container.Socket}
		if seen[k] {
			continue
		}
		seen[k] = true
		w.Container.Network, w.Container.Namespaces = "none", 0 // it makes no sandboxes
		isolation, err := openIsolation(context.Background(), w, dir, run, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		names, err := isolation.Reclaim()
		removed = append(removed, names...)
		errs = append(errs, err, isolation.Close())
	}
	return removed, errors.Join(errs...)
}
