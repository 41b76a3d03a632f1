package containerd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// shimName is the containerd shim of all OCI runtimes with runc's command line.
const shimName = "io.containerd.runc.v2"

// runtime is the OCI runtime that makes containers.
type runtime struct {
	name    string // "runc" or "crun"
	version string // the first line of what it says
	path    string // of what is run as runc would be run
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

// scriptsDir is where scripts are: a daemon needs them as long as it has containers,
// so they outlive the agent.
const scriptsDir = "/run/ainur/oci"

// script runs crun so that it makes no cgroup: whatever creates a container is in
// that of the sandbox before, and moves itself there, which does not wait for an RCU
// grace period in each hierarchy as moving another does (14 of 42 ms). Which cgroup
// that is, the id of the container says, its last argument: RUN.ISOLATION.NUMBER.
const script = `#!/bin/sh
crun=%s
case " $* " in
*" create "*|*" run "*) ;;
*) exec "$crun" --cgroup-manager=disabled "$@";;
esac
for id; do :; done
below=${id%%.*}
cgroup=/ainur/${below%%.*}/${below##*.}/${id##*.}
for file in %s; do
	echo 0 > "${file%%@*}$cgroup${file#*@}" || exit 1
done
exec %s
`

// writeScript makes the script for crun at path, or finds it made, and returns its path.
func (i *Isolation) writeScript(path string) (string, error) {
	exec := `"$crun" --cgroup-manager=disabled "$@"`
	if resource.CgroupVersion("/sys/fs/cgroup") == "hybrid" { // which crun refuses
		exec = `unshare --mount --propagation slave sh -c 'umount /sys/fs/cgroup/unified && exec "$0" --cgroup-manager=disabled "$@"' "$crun" "$@"`
	}
	content := fmt.Sprintf(script, quote(path), strings.Join(i.cgroups.JoinFiles("@"), " "), exec)
	sum := sha256.Sum256([]byte(content))
	file := filepath.Join(scriptsDir, "crun-"+hex.EncodeToString(sum[:4]))
	return file, atomicfile.Have(file, 0o755, []byte(content))
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
	if name == "crun" {
		if path, err = i.writeScript(path); err != nil {
			return runtime{}, err
		}
	}
	return runtime{name: name, version: first, path: path}, nil
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
