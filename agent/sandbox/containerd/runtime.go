package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ainur-faas/ainur/agent/resource"
)

// shimName is the containerd shim of all OCI runtimes with runc's command line.
const shimName = "io.containerd.runc.v2"

// runtime is the OCI runtime that makes containers.
type runtime struct {
	name    string // "runc" or "crun"
	version string // the first line of what it says
	path    string
	hybrid  bool // of cgroups: version 1, with an empty version 2 beside it
}

// runtimes are those that are looked for, the fastest first.
var runtimes = []string{"crun", "runc"}

// findRuntime is the runtime that is asked for, or the first that is installed.
func (i *Isolation) findRuntime(ctx context.Context) (runtime, error) {
	candidates := runtimes
	if name := i.options.Container.OCIRuntime; name != "" {
		candidates = []string{name}
	}
	var errs []error
	for _, name := range candidates {
		r, err := i.probeRuntime(ctx, name)
		if err == nil {
			return r, nil
		}
		errs = append(errs, fmt.Errorf("OCI runtime %s: %w", name, err))
	}
	return runtime{}, fmt.Errorf("%w: install one (apt install crun)", errors.Join(errs...))
}

// binary is the program to run for a sandbox, as runc would be run. crun is run by
// a script in the sandbox's folder, so that it makes no cgroup: the one that creates
// the container is in it before, and moves itself there, which does not wait for an
// RCU grace period in each hierarchy as moving another does (14 of 42 ms).
func (r runtime) binary(b *box) (string, error) {
	if r.name != "crun" {
		return r.path, nil
	}
	create := `exec "$crun" --cgroup-manager=disabled "$@"`
	if r.hybrid { // which crun refuses
		create = `exec unshare --mount --propagation slave sh -c 'umount /sys/fs/cgroup/unified && exec "$0" --cgroup-manager=disabled "$@"' "$crun" "$@"`
	}
	var script strings.Builder
	fmt.Fprintf(&script, "#!/bin/sh\ncrun=%s\ncase \" $* \" in *\" create \"*|*\" run \"*)\n", quote(r.path))
	for _, file := range b.cgroup.JoinFiles() {
		fmt.Fprintf(&script, "echo 0 > %s || exit 1\n", quote(file))
	}
	fmt.Fprintf(&script, "%s;;\nesac\nexec \"$crun\" --cgroup-manager=disabled \"$@\"\n", create)
	path := filepath.Join(b.home(), "crun")
	return path, os.WriteFile(path, []byte(script.String()), 0o700)
}

// quote makes s one word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (i *Isolation) probeRuntime(ctx context.Context, name string) (runtime, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return runtime{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return runtime{}, fmt.Errorf("%s --version: %w: %s", path, err, bytes.TrimSpace(out))
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return runtime{name: name, version: first, path: path, hybrid: resource.CgroupVersion("/sys/fs/cgroup") == "hybrid"}, nil
}

// hasSnapshotter is an error where the daemon has not the one that is to be used.
func (i *Isolation) hasSnapshotter(ctx context.Context) error {
	reply, err := i.client.IntrospectionService().Plugins(ctx, "type==io.containerd.snapshotter.v1")
	if err != nil {
		return err
	}
	var usable []string
	for _, p := range reply.GetPlugins() {
		if p.GetInitErr() == nil {
			usable = append(usable, p.GetID())
		}
		if p.GetID() == i.snapshotter {
			if e := p.GetInitErr(); e != nil {
				return fmt.Errorf("snapshotter %s of containerd does not work here: %s", i.snapshotter, e.GetMessage())
			}
			return nil
		}
	}
	return fmt.Errorf("containerd has no snapshotter %q: there are %s", i.snapshotter, strings.Join(usable, ", "))
}
