package containerd

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

type ociSpec = specs.Spec

// specVersion is what every runtime understands: crun 1.8 refuses newer ones,
// from which nothing is used here.
const specVersion = "1.0.2"

// spec is the container of a sandbox.
func (i *Isolation) spec(b *box, r *root) (*ociSpec, error) {
	f := b.config.Function
	address := container.Address{Host: "127.0.0.1"}
	if b.network != nil {
		address = container.Address{Host: b.network.Address().String(), Reached: true}
	}
	argv, env, binds, err := container.Command(b.config, r.config, i.homes(), address)
	if err != nil {
		return nil, err
	}
	opts := []oci.SpecOpts{
		oci.WithProcessArgs(argv...), oci.WithNoNewPrivileges, oci.WithCapabilities(nil), oci.WithDefaultUnixDevices,
		oci.WithHostname(strings.ToLower(f.Name)), seccomp.WithDefaultProfile(), nativeFilter,
	}
	switch {
	case b.network != nil:
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: b.network.Path()}))
	case i.network() == "host":
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace))
	}
	ctx := namespaces.WithNamespace(context.Background(), Namespace)
	s, err := oci.GenerateSpec(ctx, nil, &containers.Container{ID: b.key()}, opts...)
	if err != nil {
		return nil, err
	}
	s.Version = specVersion
	s.Root.Readonly = !r.writable
	if r.path != "" {
		s.Root.Path = r.path
	}
	s.Process.Cwd = container.Folder(f, r.config)
	s.Process.Rlimits = nil // those of the daemon; a container cannot be given more
	s.Process.Env = container.Environment(r.config.Env, env, f)
	s.Linux.CgroupsPath = i.cgroupPath(b.number)
	if !b.cell {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: new(int64(f.Memory)), Swap: new(int64(f.Memory))}
	}
	s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool {
		return slices.Contains([]string{"/run", "/dev/mqueue", "/dev/shm", "/sys/fs/cgroup"}, m.Destination)
	})
	s.Mounts = append(s.Mounts, temporary("/tmp", max(f.Memory, spec.MiB)), temporary("/dev/shm", max(f.Memory, spec.MiB)))
	s.Mounts = append(s.Mounts, r.binds...)
	for _, bind := range binds {
		s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: bind.Host, Destination: bind.Inside, Options: []string{"rbind", "ro", "nosuid", "nodev"}})
	}
	if f.Server != "" { // it makes its socket itself, if any
		s.Mounts = append(s.Mounts, temporary(link.IluvatarSockets, spec.MiB))
	} else {
		s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: b.socketFolder(), Destination: shim.InsideRun, Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}})
	}
	return s, nil
}

// nativeFilter leaves the filter of system calls for this kind of machine alone:
// for each other that it could run too, the runtime takes 5 ms to compile one.
func nativeFilter(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	if arch, ok := nativeArch[goruntime.GOARCH]; ok {
		s.Linux.Seccomp.Architectures = []specs.Arch{arch}
	}
	return nil
}

var nativeArch = map[string]specs.Arch{"amd64": specs.ArchX86_64, "arm64": specs.ArchAARCH64}

// temporary is a filesystem in memory, which counts as the sandbox's.
func temporary(at string, size spec.Bytes) specs.Mount {
	return specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: at, Options: []string{"nosuid", "nodev", "mode=1777", fmt.Sprintf("size=%d", size)}}
}
