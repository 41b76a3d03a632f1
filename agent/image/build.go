package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ainur-faas/ainur/agent/shim"
)

// module is the one that functions import the SDK from.
const module = "github.com/ainur-faas/ainur"

// sdkFolder is where a build sees the SDK, in the root of the function's module.
// It is part of the executable, so it must not change from build to build.
const sdkFolder = ".ainur-sdk"

// target is what go build makes of a main package.
type target struct {
	name string // of the file
	env  []string
}

var (
	native      = target{shim.Executable, []string{"GOOS=linux"}}
	webAssembly = target{"function.wasm", []string{"GOOS=wasip1", "GOARCH=wasm"}}
)

// stageGo builds the main package in folder and packs what comes of it. The build
// sees the SDK of this binary, and a go.mod that requires it, through an
// overlay: it needs no network for them and writes nothing into the folder.
func stageGo(ctx context.Context, folder string, t target) ([]byte, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, errors.New("a go function is built where the experiment is, and there is no go on the PATH here")
	}
	work, err := os.MkdirTemp("", "ainur-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	overlay, err := overlay(ctx, folder, work)
	if err != nil {
		return nil, err
	}
	executable := filepath.Join(work, t.name)
	if _, err := run(ctx, folder, t.env, "build", "-mod=readonly", "-overlay="+overlay, "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", executable, "."); err != nil {
		return nil, err
	}
	if info, err := os.Stat(executable); err != nil || info.Mode()&0o100 == 0 {
		return nil, errors.Join(fmt.Errorf("%s is no main package: a go function has func main, which calls fn.Serve", folder), err)
	}
	return packFile(executable, t.name)
}

// overlay writes to work what the build of folder is to see and is not there,
// and returns the file that tells go build of it.
func overlay(ctx context.Context, folder, work string) (string, error) {
	out, err := run(ctx, folder, nil, "env", "GOMOD")
	if err != nil {
		return "", err
	}
	own := strings.TrimSpace(string(out)) // go.mod of the folder or of one above
	content := []byte("module function\n\ngo 1.26\n")
	if own == os.DevNull {
		if own, err = filepath.Abs(filepath.Join(folder, "go.mod")); err != nil {
			return "", err
		}
	} else if content, err = os.ReadFile(own); err != nil {
		return "", err
	}
	replace := map[string]string{} // path that the build sees: file with its content
	virtual := func(path, name string, content []byte) error {
		replace[path] = filepath.Join(work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(replace[path]), 0o755); err != nil {
			return err
		}
		return os.WriteFile(replace[path], content, 0o644)
	}
	if err := virtual(own, "go.mod", content); err != nil {
		return "", err
	}
	if _, err := run(ctx, folder, nil, "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"=./"+sdkFolder, replace[own]); err != nil {
		return "", err
	}
	sdk := filepath.Join(filepath.Dir(own), sdkFolder)
	// The language version is the least the SDK compiles with: a module cannot require one above its own.
	if err := virtual(filepath.Join(sdk, "go.mod"), "sdk/go.mod", []byte("module "+module+"\n\ngo 1.21\n")); err != nil {
		return "", err
	}
	err = fs.WalkDir(shim.SDK, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		source, err := shim.SDK.ReadFile(name)
		if err != nil {
			return err
		}
		return virtual(filepath.Join(sdk, "agent", "shim", filepath.FromSlash(name)), "sdk/"+name, source)
	})
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(work, "overlay.json")
	return file, os.WriteFile(file, b, 0o644)
}

// run runs go in folder; what it says against the code is the error.
func run(ctx context.Context, folder string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("go %s in %s: %w\n%s", args[0], folder, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
