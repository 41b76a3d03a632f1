// Package shim starts what runs inside a sandbox: user code behind the
// protocol of agent/shim/wire.
package shim

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Executable is the name of what runs a function of runtime go or exec, in its folder of code.
const Executable = "function"

// SDK is the source of the packages that a function in Go is built with, by
// their paths below agent/shim.
//
//go:embed fn/fn.go wire/wire.go
var SDK embed.FS

//go:embed python/shim.py
var python []byte

//go:embed python/zygote.py
var zygote []byte

// Command says how to start the process of a function whose code is in the
// folder code: argv, and the environment on top of what every sandbox has. What it
// needs on disk is written to dir once.
func Command(f spec.Function, code, dir string) (argv, env []string, err error) {
	switch {
	case f.Builtin != "":
		self, err := os.Executable()
		return []string{self}, []string{builtinEnv + "=" + f.Builtin}, err
	case f.Runtime == "python3":
		interpreter, err := interpreter()
		if err != nil {
			return nil, nil, err
		}
		path := filepath.Join(dir, "shim.py")
		return []string{interpreter, "-u", path}, []string{"AINUR_CODE=" + code}, writeOnce(path, python)
	case f.Runtime == "go", f.Runtime == "exec":
		return []string{filepath.Join(code, Executable)}, []string{"AINUR_CODE=" + code}, nil
	default:
		return nil, nil, fmt.Errorf("runtime %q is unknown", f.Runtime)
	}
}

// Where a sandbox with a root of its own sees what is the agent's.
const (
	InsideCode   = "/ainur/code"      // folder of the function's code
	InsideShim   = "/ainur/shim.py"   // what runs python3 code
	InsideZygote = "/ainur/zygote.py" // what forks it
	InsideAinur  = "/ainur/ainur"     // this binary, which has the builtins
	ImagePython  = "/usr/bin/python3" // where an image has its interpreter
)

// Bind is a file or folder of the host that a sandbox sees, read only.
type Bind struct{ Host, Inside string }

// Inside is Command for a sandbox with a root of its own: the command in its
// paths, and what must be bound there. interpreter is that of python3 in the root,
// "" for that of this host.
func Inside(f spec.Function, code, dir, interpreter string) (argv, env []string, binds []Bind, err error) {
	argv, env, err = Command(f, code, dir)
	switch {
	case err != nil && (f.Runtime != "python3" || interpreter == ""):
		return nil, nil, nil, err
	case f.Builtin != "":
		return []string{InsideAinur}, env, []Bind{{argv[0], InsideAinur}}, nil
	case f.Runtime == "python3":
		path := filepath.Join(dir, "shim.py")
		if interpreter == "" {
			interpreter = argv[0]
		}
		zygotePath := filepath.Join(dir, "zygote.py")
		return []string{interpreter, "-u", InsideShim}, []string{"AINUR_CODE=" + InsideCode},
			[]Bind{{code, InsideCode}, {path, InsideShim}, {zygotePath, InsideZygote}},
			errors.Join(writeOnce(path, python), writeOnce(zygotePath, zygote))
	default:
		return []string{InsideCode + "/" + Executable}, []string{"AINUR_CODE=" + InsideCode}, []Bind{{code, InsideCode}}, nil
	}
}

// interpreter is the real path of python3: what is on the PATH may be a script
// that looks for it anew each time.
var interpreter = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("python3 is not installed on this host")
	}
	if err != nil {
		return "", fmt.Errorf("python3 does not run on this host: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

func writeOnce(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".shim-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}
