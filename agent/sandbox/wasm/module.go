package wasm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/ainur-faas/ainur/agent/sandbox/link"
)

// What a module exports, see the package.
const (
	exportMemory     = "memory"
	exportStart      = "_start"
	exportInitialize = "_initialize"
	exportAlloc      = "ainur_alloc"
	exportInvoke     = "ainur_invoke"
	exportError      = "ainur_error"
)

// module is a compiled module.
type module struct {
	done    chan struct{} // closed when the rest is set
	code    wazero.CompiledModule
	reactor bool   // one instance serves all invocations; else each has its own
	minimum uint64 // memory that an instance begins with, in bytes
	err     error
}

type digest [sha256.Size]byte

// file tells a file that was read from any other. One that is rewritten has another time.
type file struct {
	device, inode uint64
	size          int64
	modified      syscall.Timespec
}

// modules compiles each module once.
type modules struct {
	runtime   wazero.Runtime
	compiling sync.WaitGroup
	mu        sync.Mutex
	files     map[file]digest // of the files that were read before
	compiled  map[digest]*module
}

// open returns the module in the folder code, compiled. Its errors are *sandbox.Error
// where the module is to blame.
func (m *modules) open(ctx context.Context, code string) (*module, error) {
	path := filepath.Join(code, File)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, link.StartFailed("there is no %s in the folder of its code", File)
	}
	if err != nil {
		return nil, err
	}
	stat := info.Sys().(*syscall.Stat_t)
	compiled, err := m.find(file{uint64(stat.Dev), stat.Ino, stat.Size, stat.Mtim}, path)
	if err != nil {
		return nil, err
	}
	select {
	case <-compiled.done:
		return compiled, compiled.err
	case <-ctx.Done():
		return nil, link.StartFailed("it was still being compiled: %w", context.Cause(ctx))
	}
}

// find returns the module of a file, which is being compiled where it is new.
func (m *modules) find(f file, path string) (*module, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if sum, ok := m.files[f]; ok {
		return m.compiled[sum], nil
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(binary)
	m.files[f] = sum
	if old := m.compiled[sum]; old != nil {
		return old, nil
	}
	compiled := &module{done: make(chan struct{})}
	m.compiled[sum] = compiled
	m.compiling.Go(func() {
		compiled.compile(m.runtime, binary)
		close(compiled.done)
	})
	return compiled, nil
}

// compile cannot be stopped: the next sandbox needs the result.
func (m *module) compile(r wazero.Runtime, binary []byte) {
	ctx := experimental.WithCompilationWorkers(context.Background(), runtime.GOMAXPROCS(0))
	binary, err := boundTables(binary)
	var code wazero.CompiledModule
	if err == nil {
		code, err = r.CompileModule(ctx, binary)
	}
	if err == nil {
		m.code = code
		err = m.check()
	}
	if err != nil {
		m.err = link.StartFailed("%s: %w", File, err)
	}
}

// check finds the shape of the module.
func (m *module) check() error {
	memory := m.code.ExportedMemories()[exportMemory]
	if memory == nil {
		return fmt.Errorf("it exports no memory called %q", exportMemory)
	}
	m.minimum = uint64(memory.Min()) * pageSize
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	exports := m.code.ExportedFunctions()
	switch {
	case exports[exportStart] != nil: // WASI: what has it is a command
		return signature(exports, exportStart, nil, nil)
	case exports[exportInvoke] == nil:
		return fmt.Errorf("it exports neither %s, as a program does, nor %s, as a library does", exportStart, exportInvoke)
	case exports[exportAlloc] == nil:
		return fmt.Errorf("it exports %s and no %s", exportInvoke, exportAlloc)
	}
	m.reactor = true
	return errors.Join(
		signature(exports, exportInitialize, nil, nil),
		signature(exports, exportAlloc, []api.ValueType{i32}, []api.ValueType{i32}),
		signature(exports, exportInvoke, []api.ValueType{i32, i32}, []api.ValueType{i64}),
		signature(exports, exportError, nil, []api.ValueType{i32}),
	)
}

// signature checks an export where there is one.
func signature(exports map[string]api.FunctionDefinition, name string, params, results []api.ValueType) error {
	f := exports[name]
	if f == nil || slices.Equal(f.ParamTypes(), params) && slices.Equal(f.ResultTypes(), results) {
		return nil
	}
	return fmt.Errorf("%s is %s, want %s", name, typeText(f.ParamTypes(), f.ResultTypes()), typeText(params, results))
}

// typeText is how the type of a function is written, such as "(i32 i32) -> (i64)".
func typeText(params, results []api.ValueType) string {
	return list(params) + " -> " + list(results)
}

func list(types []api.ValueType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = api.ValueTypeName(t)
	}
	text := fmt.Sprint(names)
	return "(" + text[1:len(text)-1] + ")"
}
