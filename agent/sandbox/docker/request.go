package docker

import (
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/sandbox"
	common "github.com/ainur-faas/ainur/agent/sandbox/container"
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
		Labels: map[string]string{labelRun: i.options.RunID, labelIsolation: i.name, labelSandbox: c.ID},
	}
	mounts := []mount.Mount{{Type: mount.TypeBind, Source: run, Target: common.Sockets(f), ReadOnly: f.Server == ""}}
	if c.Image == "" {
		for _, dir := range i.host.Folders {
			mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: dir, Target: dir, ReadOnly: true})
		}
	}
	for _, b := range binds {
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: b.Host, Target: b.Inside, ReadOnly: true})
	}
	pids := int64(common.PIDs)
	host := &container.HostConfig{
		Mounts:         mounts,
		Tmpfs:          map[string]string{"/tmp": fmt.Sprintf("exec,mode=1777,size=%d", f.Memory)}, // it counts as memory of the container
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

// network is that of sandboxes: "none", "host", or "bridge", which is the daemon's own.
func (i *Isolation) network() string {
	if i.options.Container.Network == "" {
		return "none"
	}
	return i.options.Container.Network
}
