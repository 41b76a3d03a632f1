// Package shim starts what runs inside a sandbox: user code behind the
// protocol of agent/shim/wire.
package shim

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// Executable is the name of what runs a function of runtime go or exec, in its folder of code.
const Executable = "function"

// SDK is the source of the packages that a function in Go is built with, by
// their paths below agent/shim.
//
//go:embed fn/fn.go wire/wire.go wire/quick.go
var SDK embed.FS

// Python is what runs python3 code.
//
//go:embed python/shim.py
var Python []byte

//go:embed python/zygote.py
var zygote []byte

// paths is where a process finds what it is started from.
type paths struct{ ainur, code, shim, interpreter string }

// command is how to start the process of a function: argv, and the environment on
// top of what every sandbox has.
func (p paths) command(f spec.Function) (argv, env []string) {
	switch {
	case f.Builtin != "":
		return []string{p.ainur}, []string{builtinEnv + "=" + f.Builtin}
	case f.Runtime == "python3":
		return []string{p.interpreter, "-u", p.shim}, []string{"AINUR_CODE=" + p.code}
	case f.Runtime == PythonCell:
		return []string{p.interpreter, "-u", p.shim}, []string{cellEnv + "=1"}
	case f.Runtime == ExecCell:
		return []string{p.ainur}, []string{cellEnv + "=1"}
	default:
		return []string{filepath.Join(p.code, Executable)}, []string{"AINUR_CODE=" + p.code}
	}
}

// host is the paths on this host. What a process needs on disk is written to dir once.
func host(f spec.Function, code, dir, python3 string) (p paths, err error) {
	p = paths{code: code, shim: filepath.Join(dir, "shim.py"), interpreter: python3}
	switch {
	case f.Builtin != "", f.Runtime == ExecCell:
		p.ainur, err = os.Executable()
	case f.Runtime == "python3", f.Runtime == PythonCell:
		if python3 == "" {
			var found python
			found, err = interpreter()
			p.interpreter = found.path
		}
		if err == nil {
			err = atomicfile.Have(p.shim, 0o644, Python)
		}
	case f.Runtime == "go", f.Runtime == "exec":
	default:
		err = fmt.Errorf("runtime %q is unknown", f.Runtime)
	}
	return p, err
}

// Command says how to start the process of a function whose code is in the
// folder code: argv, and the environment on top of what every sandbox has. What it
// needs on disk is written to dir once.
func Command(f spec.Function, code, dir string) (argv, env []string, err error) {
	p, err := host(f, code, dir, "")
	if err != nil {
		return nil, nil, err
	}
	argv, env = p.command(f)
	return argv, env, nil
}

// Where a sandbox with a root of its own sees what is the agent's.
const (
	InsideCode   = "/ainur/code"      // folder of the function's code
	InsideShim   = "/ainur/shim.py"   // what runs python3 code
	insideAinur  = "/ainur/ainur"     // this binary, which has the builtins
	InsideZygote = "/ainur/zygote.py" // what forks python3 sandboxes
	InsideRun    = "/ainur/run"       // folder of the agent's socket
)

// Bind is a file or folder of the host that a sandbox sees, read only.
type Bind struct{ Host, Inside string }

// Inside is Command for a sandbox with a root of its own: the command in its
// paths, and what must be bound there. python3 is the interpreter in the root,
// "" for that of this host.
func Inside(f spec.Function, code, dir, python3 string) (argv, env []string, binds []Bind, err error) {
	p, err := host(f, code, dir, python3)
	if err != nil {
		return nil, nil, nil, err
	}
	argv, env = paths{insideAinur, InsideCode, InsideShim, p.interpreter}.command(f)
	switch {
	case f.Builtin != "", f.Runtime == ExecCell:
		binds = []Bind{{p.ainur, insideAinur}}
	case f.Runtime == PythonCell:
		binds = []Bind{{p.shim, InsideShim}}
	case f.Runtime == "python3":
		forks := filepath.Join(dir, "zygote.py")
		err = atomicfile.Have(forks, 0o644, zygote)
		binds = []Bind{{p.code, InsideCode}, {p.shim, InsideShim}, {forks, InsideZygote}}
	default:
		binds = []Bind{{p.code, InsideCode}}
	}
	return argv, env, binds, err
}

// Contained is Inside for a sandbox that inherits no descriptor, in which the
// process connects to the path in wire.Socket. An executable is started by this
// binary, which leaves it the socket as the descriptor in wire.FD.
func Contained(f spec.Function, code, dir, python3 string) (argv, env []string, binds []Bind, err error) {
	argv, env, binds, err = Inside(f, code, dir, python3)
	if err != nil || f.Runtime != "exec" {
		return argv, env, binds, err
	}
	ainur, err := os.Executable()
	return []string{insideAinur}, append(env, launchEnv+"="+argv[0]), append(binds, Bind{ainur, insideAinur}), err
}

// Mountpoints are what a root filesystem must have for the binds of any function:
// folders, and files.
var Mountpoints = struct{ Folders, Files []string }{
	Folders: []string{InsideCode, InsideRun},
	Files:   []string{InsideShim, InsideZygote, insideAinur},
}

// HostHidden are the folders of the host that a sandbox whose root is made of the
// host's files does not see, or has its own of.
var HostHidden = []string{"proc", "dev", "sys", "tmp", "run", "ainur", "lost+found"}

// python is an interpreter of this host.
type python struct {
	path    string   // the real one: what is on the PATH may be a script that looks for it anew each time
	folders []string // where it and its modules are
}

var interpreter = sync.OnceValues(func() (python, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable, sys.prefix, sys.base_prefix, sep='\\n')").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return python{}, errors.New("python3 is not installed on this host")
	}
	if err != nil {
		return python{}, fmt.Errorf("python3 does not run on this host: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return python{lines[0], lines[1:]}, nil
})

// PythonFolders are where the interpreter of this host and its modules are, none where
// it has none.
func PythonFolders() []string {
	found, err := interpreter()
	if err != nil {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(found.folders)))
}

// Reads are the files and folders, beside those of the system, that the process which
// Command starts reads.
func Reads(f spec.Function, code, dir string) ([]string, error) {
	p, err := host(f, code, dir, "")
	if err != nil {
		return nil, err
	}
	switch {
	case f.Builtin != "":
		return []string{p.ainur}, nil
	case f.Runtime == "python3":
		found, err := interpreter()
		return append([]string{p.code, p.shim, p.interpreter}, found.folders...), err
	default:
		return []string{p.code}, nil
	}
}
