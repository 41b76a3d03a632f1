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

	"github.com/containerd/containerd/api/types/runc/options"
	containerd "github.com/containerd/containerd/v2/client"

	"github.com/ainur-faas/ainur/agent/resource"
)

// shimName is the containerd shim of all OCI runtimes with runc's command line.
const shimName = "io.containerd.runc.v2"

// runtime is the OCI runtime that makes containers.
type runtime struct {
	name    string // "runc" or "crun"
	version string // the first line of what it says
	options *options.Options
}

func (r runtime) container() containerd.NewContainerOpts {
	return containerd.WithRuntime(shimName, r.options)
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

// hideUnified starts crun where it does not see the hierarchy of version 2 that
// is empty beside those of version 1: it refuses a host that has both.
const hideUnified = `#!/bin/sh
exec unshare --mount --propagation slave sh -c 'umount /sys/fs/cgroup/unified && exec %s "$@"' crun "$@"
`

func (i *Isolation) probeRuntime(ctx context.Context, name string) (runtime, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return runtime{}, err
	}
	if name == "crun" && resource.CgroupVersion("/sys/fs/cgroup") == "hybrid" {
		wrapper := filepath.Join(i.homes(), "crun")
		if err := os.WriteFile(wrapper, fmt.Appendf(nil, hideUnified, path), 0o755); err != nil {
			return runtime{}, err
		}
		path = wrapper
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return runtime{}, fmt.Errorf("%s --version: %w: %s", path, err, bytes.TrimSpace(out))
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return runtime{name: name, version: first, options: &options.Options{BinaryName: path}}, nil
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
