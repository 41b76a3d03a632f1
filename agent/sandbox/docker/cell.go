package docker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	common "github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/sandbox/stem"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// openCells has containers made ahead, where that is asked for.
func (i *Isolation) openCells() (err error) {
	if i.options.Container.StemCells == 0 {
		return nil
	}
	if os.Getuid() != 0 || i.parent == "" || !i.cgroups.Has("memory") || !i.cgroups.Has("cpu") {
		i.limitations = append(i.limitations, "no stem cells are made: the code is mounted into them and their cgroups are written to, which takes root and a docker daemon with cgroups as files")
		return nil
	}
	if i.binder, err = stem.NewBinder(); err != nil {
		return err
	}
	i.cells = stem.New[*box](stem.Options{Memory: i.options.Memory, Log: i.options.Log})
	return nil
}

// cellsFor is the kind of cells that can become a sandbox of c.
func (i *Isolation) cellsFor(c sandbox.Config) (k stem.Kind[*box], ok bool) {
	runtime := shim.CellOf(c.Function)
	if i.cells == nil || runtime == "" {
		return k, false
	}
	config := sandbox.Config{Function: spec.Function{Name: "cell", Runtime: runtime}, Image: c.Image}
	return stem.Kind[*box]{
		Name: runtime + " " + c.Image, Each: i.options.Container.StemCells,
		Make: func(ctx context.Context) (*box, error) { return i.makeCell(ctx, config) },
	}, true
}

// makeCell starts a cell and waits until it waits.
func (i *Isolation) makeCell(ctx context.Context, c sandbox.Config) (*box, error) {
	c.ID = fmt.Sprintf("cell.%d", i.cellsMade.Add(1))
	b := newBox(i, c)
	err := b.start(ctx)
	var frames *link.Frames
	if err == nil {
		frames, err = b.connected(ctx)
	}
	if err == nil {
		err = frames.Waiting(ctx)
	}
	if err == nil {
		err = b.findProcess(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.Remove())
	}
	return b, nil
}

// errNoProcess is of a container that has ended.
var errNoProcess = errors.New("the container has no process")

func (b *box) findProcess(ctx context.Context) error {
	result, err := b.isolation.client.ContainerInspect(ctx, b.id, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	if result.Container.State == nil || result.Container.State.Pid == 0 {
		return errNoProcess
	}
	b.pid = result.Container.State.Pid
	return nil
}

// fromCell makes a cell a sandbox of c, which is not ready yet. It is nil when there is
// none, or none that is fit.
func (i *Isolation) fromCell(c sandbox.Config) *box {
	k, ok := i.cellsFor(c)
	if !ok {
		return nil
	}
	b, _ := i.cells.Become(k, func(b *box) error { return b.bind(c) })
	return b
}

// Settle returns when all is made ahead that can be.
func (i *Isolation) Settle(ctx context.Context) error { return i.cells.Settle(ctx) }

// bind makes a cell a sandbox of c. What it has not told the cell, no code of c has seen.
func (b *box) bind(c sandbox.Config) error {
	i, f := b.isolation, c.Function
	b.config = c
	b.stdout.Direct(c.Stdout)
	b.stderr.Direct(c.Stderr)
	if err := b.cgroup.Limit(resource.Limits{Memory: int64(f.Memory), MilliCPU: f.MilliCPU, PIDs: common.PIDs}); err != nil {
		return err
	}
	what := stem.Binding{Code: c.Code, At: shim.InsideCode, Temporary: []string{"/tmp", "/dev/shm"}, Size: int64(f.Memory)}
	if err := i.binder.Bind(b.pid, what); err != nil {
		return err
	}
	return b.protocol.(*link.Frames).Bind(shim.Binding(f))
}
