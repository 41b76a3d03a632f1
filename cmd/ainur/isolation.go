package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/wasm"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/atomicfile"
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

// daemonsFile, in the folder of a supervisor, has the sockets of containerd that runs have used.
const daemonsFile = "containerd.json"

// reclaim removes what the agents of a run have left; dir is the run's folder, in
// that of the supervisor's runs.
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
		if w.Isolation == "containerd" {
			errs = append(errs, used(filepath.Join(dir, "..", ".."), cmp.Or(w.Container.Socket, containerd.DefaultSocket)))
		}
	}
	return removed, errors.Join(errs...)
}

// used remembers in the folder of a supervisor that a daemon was used.
func used(dir, socket string) error {
	path := filepath.Join(dir, daemonsFile)
	var sockets []string
	if err := readJSON(path, &sockets); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if slices.Contains(sockets, socket) {
		return nil
	}
	text, err := json.Marshal(append(sockets, socket))
	if err != nil {
		return err
	}
	return atomicfile.Have(path, 0o644, text)
}

// vacate removes what runs have left in daemons for later ones; dir is the folder of
// their supervisor.
func vacate(ctx context.Context, dir string) error {
	var sockets []string
	if err := readJSON(filepath.Join(dir, daemonsFile), &sockets); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, socket := range sockets {
		errs = append(errs, containerd.Vacate(ctx, socket))
	}
	return errors.Join(errs...)
}
