package containerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/mount"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
)

// Direct runs the container of a sandbox, makes one invocation of it and removes
// it, by the OCI runtime alone: the floor of what containerd can do. Ready and
// answered are from the beginning.
func (i *Isolation) Direct(ctx context.Context, c sandbox.Config, args []byte) (ready, answered time.Duration, err error) {
	b := i.newBox(c)
	root, err := i.root(ctx, c)
	if err != nil {
		return 0, 0, err
	}
	spec, err := i.spec(b, root)
	if err != nil {
		return 0, 0, err
	}
	bundle := filepath.Join(b.home(), "bundle")
	if err := errors.Join(os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o700), os.MkdirAll(b.socketFolder(), 0o700)); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.home())) }()
	if root.mounts != nil {
		spec.Root.Path = filepath.Join(bundle, "rootfs")
		if err := mount.All(root.mounts, spec.Root.Path); err != nil {
			return 0, 0, err
		}
		defer func() { err = errors.Join(err, mount.UnmountAll(spec.Root.Path, 0)) }()
	}
	config, err := json.Marshal(spec)
	if err != nil {
		return 0, 0, err
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o600); err != nil {
		return 0, 0, err
	}
	listener, err := link.Listen(b.socketFolder())
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	f := c.Function
	if b.cgroup, err = i.cgroups.Create(b.number, resource.Limits{Memory: int64(f.Memory), MilliCPU: f.MilliCPU, PIDs: container.PIDs}); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, b.cgroup.Remove()) }()
	said, err := os.Create(filepath.Join(b.home(), "said")) // no pipe, which the container would keep open
	if err != nil {
		return 0, 0, err
	}
	defer said.Close()
	runtime := func(args ...string) error {
		cmd := exec.CommandContext(ctx, i.runtime.path, args...)
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(said.Name()) // what there is
			return fmt.Errorf("%s %s: %w: %s", i.runtime.name, args[0], err, bytes.TrimSpace(text))
		}
		return nil
	}
	defer func() { err = errors.Join(err, runtime("delete", "--force", b.key())) }()
	began := time.Now()
	if err := runtime("run", "--detach", "--bundle", bundle, b.key()); err != nil {
		return 0, 0, err
	}
	ended := func() *sandbox.Error { return &sandbox.Error{Kind: sandbox.Crashed, Message: "it ended"} }
	conn, err := listener.Accept(ctx, b.inCgroup(), nil, ended)
	if err != nil {
		return 0, 0, err
	}
	frames := link.NewFrames(conn, ended)
	defer func() { err = errors.Join(err, frames.Close()) }()
	if err := frames.Ready(ctx); err != nil {
		return 0, 0, err
	}
	ready = time.Since(began)
	_, err = frames.Invoke(ctx, args)
	return ready, time.Since(began), err
}
