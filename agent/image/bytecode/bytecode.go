// Package bytecode compiles a function in Python for an image, with the Python of
// the image and in a sandbox: whoever made the image has no more of this host than
// a function has.
package bytecode

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/hcl/spec"
)

//go:embed compile.py
var compiler []byte

// timeout is how long the compilation may take.
const timeout = 2 * time.Minute

// Compiler compiles with the Python of images in a store.
func Compiler(store *oci.Store) oci.Compiler {
	return func(ctx context.Context, base, code string) (made map[string][]byte, err error) {
		dir, err := os.MkdirTemp("", "ainur-compile-")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		tool := filepath.Join(dir, "tool")
		if err := errors.Join(os.Mkdir(tool, 0o755), os.CopyFS(filepath.Join(tool, "target"), os.DirFS(code)),
			os.WriteFile(filepath.Join(tool, "main.py"), compiler, 0o644)); err != nil {
			return nil, err
		}
		run := fmt.Sprintf("compile-%d-%d", os.Getpid(), time.Now().UnixNano())
		isolation, err := process.New(process.Options{
			Dir: filepath.Join(dir, "sandbox"), RunID: run, Store: store, Memory: memory, Log: slog.New(slog.DiscardHandler),
			Container: spec.Container{Network: "none"},
		})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, isolation.Close()) }()
		f := spec.Function{Name: "compile", Runtime: "python3", MilliCPU: 1000, Memory: memory, Timeout: timeout}
		box, err := isolation.Create(ctx, sandbox.Config{ID: run + "-1", Function: f, Code: tool, Image: base})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, box.Remove()) }()
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		reply, err := box.Invoke(ctx, []byte("{}"))
		if err != nil {
			return nil, err
		}
		return made, json.Unmarshal(reply.Result, &made)
	}
}

// memory is what the compilation may take.
const memory = 512 * spec.MiB
