package docker

import (
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/sandbox"
	common "github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// request says what container to make for c from an image, with the folder run for
// its socket.
func (i *Isolation) request(c sandbox.Config, image *image, run string) (client.ContainerCreateOptions, error) {
	f, o := c.Function, i.options.Container
	argv, env, binds, err := common.Command(c, image.config, i.homes(), common.Address{Host: "0.0.0.0", Reached: i.network() == "bridge"})
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	config := &container.Config{
		Image: image.id, Entrypoint: argv[:1], Cmd: argv[1:], WorkingDir: common.Folder(f, image.config), User: "0", Env: common.Environment(image.config.Env, env, f),
		Labels:      map[string]string{labelRun: i.options.RunID, labelIsolation: i.name, labelSandbox: c.ID},
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}, // that of an image would run beside the function
	}
	temporary := map[string]string{"/tmp": fmt.Sprintf("exec,mode=1777,size=%d", max(f.Memory, spec.MiB))} // it counts as memory of the container
	var mounts []mount.Mount
	if f.Server != "" { // it makes its socket itself, if any
		temporary[link.IluvatarSockets] = fmt.Sprintf("mode=1777,size=%d", spec.MiB)
	} else {
		mounts = append(mounts, bind(run, shim.InsideRun))
	}
	if c.Image == "" {
		for _, dir := range i.host.Folders {
			mounts = append(mounts, bind(dir, dir))
		}
		for _, dir := range i.masks.Folders {
			temporary[dir] = "mode=0755,size=4k"
		}
		for _, file := range i.masks.Files {
			mounts = append(mounts, bind("/dev/null", file))
		}
		for _, dir := range i.masks.Keep {
			mounts = append(mounts, bind(dir, dir))
		}
	}
	for _, b := range binds {
		mounts = append(mounts, bind(b.Host, b.Inside))
	}
	pids := int64(common.PIDs)
	host := &container.HostConfig{
		Mounts:         mounts,
		Tmpfs:          temporary,
		ShmSize:        int64(f.Memory), // this too counts
		LogConfig:      container.LogConfig{Type: "none"},
		NetworkMode:    container.NetworkMode(i.network()),
		Runtime:        o.OCIRuntime,
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		ReadonlyRootfs: f.Image == "",
		Resources: container.Resources{
			CgroupParent: i.parent,
			Memory:       int64(f.Memory),
			MemorySwap:   int64(f.Memory), // the two together: no swap
			NanoCPUs:     min(f.MilliCPU, int64(i.cpus)*1000) * 1e6,
			PidsLimit:    &pids,
		},
	}
	return client.ContainerCreateOptions{Config: config, HostConfig: host}, nil
}

// bind is a file or folder of the host, read only. What is mounted below it is left out: Docker
// before version 25 would let a sandbox write there, read-only as the bind is.
func bind(host, inside string) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: host, Target: inside, ReadOnly: true, BindOptions: &mount.BindOptions{NonRecursive: true}}
}

// network is that of sandboxes: "none", "host", or "bridge", which is the daemon's own.
func (i *Isolation) network() string {
	if i.options.Container.Network == "" {
		return "none"
	}
	return i.options.Container.Network
}
