package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/internal/mono"
)

// instance is a module with its memory, ready to run.
type instance struct {
	module                api.Module
	memory                *memory
	input                 *bytes.Reader // of a command: the arguments
	output                *bounded      // of a command: the result
	alloc, invoked, raise api.Function  // of a reactor; raise is nil when it is not exported
}

// instantiate makes b.instance. No function of it has run.
func (b *box) instantiate(ctx context.Context) error {
	b.stderr = &link.Output{To: b.config.Stderr}
	limit := int64(b.config.Function.Memory)
	m, err := newMemory(limit)
	if err != nil {
		return err
	}
	b.memory.Store(m)
	if b.module.minimum > uint64(len(m.mapping)) {
		m.refused.Store(true)
		return errors.Join(errMemory, m.unmap())
	}
	in := &instance{memory: m}
	config := b.env.WithStderr(pieces{b.stderr})
	if b.module.reactor {
		config = config.WithStdout(pieces{&link.Output{To: b.config.Stdout}})
	} else {
		in.input, in.output = bytes.NewReader(nil), &bounded{}
		config = config.WithStdin(in.input).WithStdout(in.output)
	}
	if in.module, err = b.instantiateModule(ctx, config, m); err != nil {
		return errors.Join(err, m.unmap())
	}
	in.alloc, in.invoked, in.raise = in.module.ExportedFunction(exportAlloc), in.module.ExportedFunction(exportInvoke), in.module.ExportedFunction(exportError)
	b.instance = in
	return nil
}

var errMemory = errors.New("it begins with more memory than it may have")

func (b *box) instantiateModule(ctx context.Context, config wazero.ModuleConfig, m *memory) (api.Module, error) {
	return b.isolation.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, m), b.module.code, config)
}

// discard drops the instance, if there is one. None of its functions may be running.
func (b *box) discard() error {
	in := b.instance
	if in == nil {
		return nil
	}
	b.instance = nil
	return errors.Join(in.module.Close(context.Background()), in.memory.unmap())
}

// initialize runs what a library does before its first call.
func (in *instance) initialize(ctx context.Context) error {
	f := in.module.ExportedFunction(exportInitialize)
	if f == nil {
		return nil
	}
	_, err := f.Call(ctx)
	return err
}

// main runs a command: the arguments are its standard input, its standard output is the result.
func (in *instance) main(ctx context.Context, args []byte, c *call) error {
	in.input.Reset(args)
	c.start = mono.Now()
	_, err := in.module.ExportedFunction(exportStart).Call(ctx)
	c.end = mono.Now()
	var exit *sys.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 0 {
		err = nil
	}
	c.size, c.result = in.output.size, bytes.TrimSpace(in.output.kept.Bytes())
	return err
}

// invoke calls a reactor.
func (in *instance) invoke(ctx context.Context, args []byte, c *call) error {
	in.memory.refused.Store(false)
	allocated, err := in.alloc.Call(ctx, uint64(len(args)))
	if err != nil {
		return err
	}
	at := uint32(allocated[0])
	if at == 0 {
		return protocol("%s(%d) returned 0", exportAlloc, len(args))
	}
	if !in.module.Memory().Write(at, args) {
		return protocol("%s(%d) returned %d, where its memory of %d bytes has no room", exportAlloc, len(args), at, in.module.Memory().Size())
	}
	c.start = mono.Now()
	returned, err := in.invoked.Call(ctx, uint64(at), uint64(len(args)))
	c.end = mono.Now()
	if err != nil {
		return err
	}
	at, size := uint32(returned[0]>>32), uint32(returned[0])
	result, ok := in.module.Memory().Read(at, size)
	if !ok {
		return protocol("%s returned %d bytes at %d, outside of its memory of %d bytes", exportInvoke, size, at, in.module.Memory().Size())
	}
	c.size, c.result = len(result), bytes.Clone(result[:min(len(result), sandbox.MaxPayload)])
	if in.raise == nil {
		return nil
	}
	raised, err := in.raise.Call(ctx)
	if err != nil {
		return err
	}
	c.failed = uint32(raised[0]) != 0
	return nil
}

func protocol(format string, args ...any) *sandbox.Error {
	return &sandbox.Error{Kind: sandbox.Protocol, Message: fmt.Sprintf(format, args...)}
}
