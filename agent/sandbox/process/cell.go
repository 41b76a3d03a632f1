package process

import (
	"context"
	"errors"
	"fmt"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/stem"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// openCells has sandboxes made ahead, where that is asked for.
func (i *Isolation) openCells() (err error) {
	if i.options.Container.StemCells == 0 {
		return nil
	}
	if i.native == nil {
		i.limit("no stem cells are made: the code is mounted into them, which takes root")
		return nil
	}
	if i.binder, err = stem.NewBinder(); err != nil {
		return err
	}
	i.cells = stem.New[*box](stem.Options{Memory: i.options.Memory, Log: i.options.Log})
	return nil
}

// cellsFor is the kind of cells that can become a sandbox of c: forks of its zygote
// that wait, or a runtime without code. An executable is ready no sooner in a cell than
// without one: what takes long is to execute it.
func (i *Isolation) cellsFor(c sandbox.Config) (k stem.Kind[*box], ok bool) {
	runtime := shim.CellOf(c.Function)
	if i.cells == nil || !i.forks(c) && (runtime == "" || runtime == shim.ExecCell && c.Function.Builtin == "") {
		return k, false
	}
	k = stem.Kind[*box]{Name: runtime + " " + c.Image, Each: i.options.Container.StemCells}
	config := sandbox.Config{Function: spec.Function{Name: "cell", Runtime: runtime}, Image: c.Image}
	if i.forks(c) {
		k.Name = zygoteKey(c) + fmt.Sprint(c.Function.MilliCPU)
		config = c
		config.Stdout, config.Stderr = nil, nil
	}
	k.Make = func(ctx context.Context) (*box, error) { return i.makeCell(ctx, config) }
	return k, true
}

// makeCell starts a cell and waits until it waits.
func (i *Isolation) makeCell(ctx context.Context, c sandbox.Config) (*box, error) {
	c.ID = fmt.Sprintf("cell.%d", i.cellsMade.Add(1))
	b := newBox(i, c)
	b.cell = true
	err := b.start(ctx)
	if err == nil {
		err = b.frames.Waiting(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.Remove())
	}
	return b, nil
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
	b.cell, b.config = false, c
	b.stdout.Direct(c.Stdout)
	b.stderr.Direct(c.Stderr)
	if b.zygote != nil { // it has the limits and the code
		return b.frames.Bind([]byte("{}"))
	}
	if err := b.cgroup.Limit(resource.Limits{Memory: int64(f.Memory), MilliCPU: f.MilliCPU, PIDs: pidsLimit}); err != nil {
		return err
	}
	what := stem.Binding{Code: c.Code, At: shim.InsideCode, Temporary: []string{"/tmp", "/dev/shm"}, Size: int64(f.Memory)}
	if err := i.binder.Bind(b.process.Pid, what); err != nil {
		return err
	}
	return b.frames.Bind(shim.Binding(f))
}
