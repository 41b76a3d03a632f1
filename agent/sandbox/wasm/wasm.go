// Package wasm isolates by WebAssembly: each sandbox is an instance of a module,
// inside the agent's process, with a memory of its own and no way to the host
// but clocks, random numbers and its output. It needs nothing installed.
//
// A module imports WASI preview 1 alone, exports its memory as "memory" and has one
// of two shapes. A command exports _start: each invocation has a new instance, its
// arguments are standard input, standard output is the result, and an exit status
// but 0 is a user error. A library has one instance for all invocations and exports
//
//	ainur_alloc(size i32) i32             where the arguments go; 0 is an error
//	ainur_invoke(at i32, size i32) i64    the address of the result << 32 | its size
//	ainur_error() i32                     optional: not 0 when that result is the text of a user error
//	_initialize()                         optional: called first
package wasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Runtime is the runtime of the functions that this kind runs, File the module in
// their folder of code.
const (
	Runtime = "wasm"
	File    = "function.wasm"
)

// Options of an Isolation.
type Options struct {
	CacheDir string // keeps what was compiled, for the next agent too; made if missing; "" keeps it in memory alone
	Log      *slog.Logger
}

// Isolation is the kind "wasm".
type Isolation struct {
	options  Options
	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	modules  modules
	closing  sync.Once
	closeErr error
}

// New makes an Isolation.
func New(o Options) (*Isolation, error) {
	i := &Isolation{options: o, cache: wazero.NewCompilationCache()}
	if o.CacheDir != "" {
		var err error
		if i.cache, err = wazero.NewCompilationCacheWithDir(o.CacheDir); err != nil {
			return nil, fmt.Errorf("cache of compiled modules: %w", err)
		}
	}
	ctx := context.Background()
	config := wazero.NewRuntimeConfig().WithCompilationCache(i.cache).WithCloseOnContextDone(true)
	i.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	i.modules = modules{runtime: i.runtime, files: map[file]digest{}, compiled: map[digest]*module{}}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, i.runtime); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// Limitations says what this kind cannot apply.
func (i *Isolation) Limitations() []string {
	all := []string{
		"cpu is not limited: an invocation takes the core that it runs on",
		"memory is limited for the linear memory of a module, not for its tables, which have 2 Mi entries at most, its stack and its compiled code",
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		all = append(all, "modules are interpreted, not compiled, on "+runtime.GOARCH)
	}
	return all
}

// Create compiles the module, unless that was done before, and makes an instance.
func (i *Isolation) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	if c.Function.Runtime != Runtime {
		return nil, fmt.Errorf("function %s: the isolation wasm runs functions with runtime = \"wasm\" alone", c.Function.Name)
	}
	m, err := i.modules.open(ctx, c.Code)
	if err != nil {
		return nil, err
	}
	b := newBox(i, m, c)
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.Remove())
	}
	i.options.Log.Debug("sandbox is ready", slog.String("sandbox", c.ID))
	return b, nil
}

// Reclaim finds nothing: sandboxes end with the agent.
func (i *Isolation) Reclaim() (removed []string, err error) { return nil, nil }

// Close drops the compiled modules. All sandboxes must have been removed.
func (i *Isolation) Close() error {
	i.closing.Do(func() {
		i.modules.compiling.Wait()
		ctx := context.Background()
		i.closeErr = errors.Join(i.runtime.Close(ctx), i.cache.Close(ctx))
	})
	return i.closeErr
}
