// Package stem keeps stem cells: sandboxes that are up and wait for the function
// that they become, as OpenWhisk calls them.
package stem

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Cell is a sandbox without a function.
type Cell interface {
	Done() <-chan struct{} // closed when it has ended
	Remove() error
}

// Reserve is the memory that a cell counts for while it waits.
const Reserve = 32 * spec.MiB

// ErrNone is returned by Make, wrapped or not, when there can be no cell of a kind.
var ErrNone = errors.New("there are no cells of this kind")

// Options of a Pool.
type Options struct {
	Memory spec.Bytes // for sandboxes and cells together; 0 is no limit
	Log    *slog.Logger
}

// Kind is cells of which each is as good as the other.
type Kind[C Cell] struct {
	Name string // of the kind, no other's
	Each int    // how many wait
	Make func(ctx context.Context) (C, error)
}

// Pool has cells of several kinds ready. It makes new ones one after the other, while no
// sandbox is being started and there is memory for them, and removes them when sandboxes
// need theirs. A nil Pool has none.
type Pool[C Cell] struct {
	options Options
	stop    context.CancelFunc
	ended   sync.WaitGroup

	mu       sync.Mutex
	kinds    []*kind[C]
	gone     []C           // to be removed
	making   int           // 0 or 1
	memory   spec.Bytes    // of sandboxes
	starting int           // sandboxes
	started  time.Time     // when the last one had been started
	changed  chan struct{} // closed, and made anew, when something of this changes
}

type kind[C Cell] struct {
	Kind[C]
	waiting []*waiting[C]
	failed  time.Duration // how long to wait after the last failure, 0 after none
	retry   time.Time     // not before
}

type waiting[C Cell] struct {
	cell  C
	taken chan struct{} // closed when it is no longer of the pool
}

// New starts the making, until Close.
func New[C Cell](o Options) *Pool[C] {
	ctx, stop := context.WithCancel(context.Background())
	p := &Pool[C]{options: o, stop: stop, changed: make(chan struct{})}
	p.ended.Go(func() { p.run(ctx) })
	return p
}

// Keep has cells of k ready from now on.
func (p *Pool[C]) Keep(k Kind[C]) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.find(k)
}

func (p *Pool[C]) find(k Kind[C]) *kind[C] {
	for _, known := range p.kinds {
		if known.Name == k.Name {
			return known
		}
	}
	added := &kind[C]{Kind: k}
	p.kinds = append(p.kinds, added)
	p.change()
	return added
}

// Take is a cell of k, which is the caller's from now on; ok is false when none is there.
func (p *Pool[C]) Take(k Kind[C]) (cell C, ok bool) {
	if p == nil {
		return cell, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.find(k)
	for !ok && len(found.waiting) > 0 {
		cell = p.pop(found)
		select {
		case <-cell.Done():
			p.gone = append(p.gone, cell)
		default:
			ok = true
		}
	}
	return cell, ok
}

// Become is Take of a cell that bind makes a sandbox. One of which it cannot is removed.
func (p *Pool[C]) Become(k Kind[C], bind func(C) error) (cell C, ok bool) {
	if cell, ok = p.Take(k); !ok {
		return cell, false
	}
	err := bind(cell)
	if err == nil {
		return cell, true
	}
	err = errors.Join(err, cell.Remove())
	p.options.Log.Warn("a stem cell is not fit", slog.String("kind", k.Name), slog.Any("error", err))
	var none C
	return none, false
}

// pop takes the cell that has waited longest.
func (p *Pool[C]) pop(k *kind[C]) C {
	w := k.waiting[0]
	k.waiting = k.waiting[1:]
	close(w.taken)
	p.change()
	return w.cell
}

// Begin is called when a sandbox with this limit is going to be started, Started when
// it has been or could not be, and Ended when it is no more.
func (p *Pool[C]) Begin(memory spec.Bytes) {
	p.count(func() { p.memory, p.starting = p.memory+memory, p.starting+1 })
}

// Started ends the start of a sandbox.
func (p *Pool[C]) Started() { p.count(func() { p.starting, p.started = p.starting-1, time.Now() }) }

// Ended gives back the memory of a sandbox.
func (p *Pool[C]) Ended(memory spec.Bytes) { p.count(func() { p.memory -= memory }) }

func (p *Pool[C]) count(do func()) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	p.change()
}

// change tells those who wait for one. The lock is held.
func (p *Pool[C]) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Settle returns when as many cells wait as can.
func (p *Pool[C]) Settle(ctx context.Context) error {
	for p != nil {
		p.mu.Lock()
		settled, changed := p.starting == 0 && p.making == 0 && len(p.gone) == 0 && p.short() == nil, p.changed
		p.mu.Unlock()
		if settled {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// rest is how long no sandbox has been started before a cell is made: the next of a
// burst would wait for the processor.
const rest = 10 * time.Millisecond

// Between two attempts after a failure.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// cells is how many there are, with that which is being made. The lock is held, as
// in what follows.
func (p *Pool[C]) cells() int {
	n := p.making
	for _, k := range p.kinds {
		n += len(k.waiting)
	}
	return n
}

// fits reports whether there is memory for so many cells.
func (p *Pool[C]) fits(cells int) bool {
	return p.options.Memory == 0 || p.memory+spec.Bytes(cells)*Reserve <= p.options.Memory
}

// short is the kind that lacks most cells, nil when there is none, or no memory. Those
// that have failed a moment ago lack none.
func (p *Pool[C]) short() (most *kind[C]) {
	now := time.Now()
	for _, k := range p.kinds {
		if len(k.waiting) < k.Each && !now.Before(k.retry) && (most == nil || k.Each-len(k.waiting) > most.Each-len(most.waiting)) {
			most = k
		}
	}
	if most == nil || !p.fits(p.cells()+1) {
		return nil
	}
	return most
}

// next is what to do: cells to remove, or a kind to make one of, or to wait.
func (p *Pool[C]) next() (gone []C, short *kind[C], changed <-chan struct{}, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cells() > 0 && !p.fits(p.cells()) {
		p.gone = append(p.gone, p.pop(slices.MaxFunc(p.kinds, func(a, b *kind[C]) int { return len(a.waiting) - len(b.waiting) })))
	}
	if len(p.gone) > 0 {
		gone, p.gone = p.gone, nil
		return gone, nil, nil, 0
	}
	if short = p.short(); short == nil || p.starting > 0 {
		return nil, nil, p.changed, p.untilRetry()
	}
	if wait = rest - time.Since(p.started); wait > 0 {
		return nil, nil, p.changed, wait
	}
	p.making++
	return nil, short, nil, 0
}

// untilRetry is how long until a kind that has failed is tried again.
func (p *Pool[C]) untilRetry() time.Duration {
	wait := lastRetry
	for _, k := range p.kinds {
		if d := time.Until(k.retry); d > 0 {
			wait = min(wait, d)
		}
	}
	return wait
}

func (p *Pool[C]) run(ctx context.Context) {
	for ctx.Err() == nil {
		gone, short, changed, wait := p.next()
		switch {
		case len(gone) > 0:
			p.remove(gone)
		case short != nil:
			cell, err := short.Make(ctx)
			p.add(ctx, short, cell, err)
		default:
			timer := time.NewTimer(wait)
			select {
			case <-changed:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
	}
}

// add has a cell wait that was made.
func (p *Pool[C]) add(ctx context.Context, k *kind[C], cell C, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.change()
	p.making--
	switch {
	case errors.Is(err, ErrNone):
		k.Each = 0
		return
	case err != nil && ctx.Err() == nil:
		p.options.Log.Warn("no stem cell is made", slog.String("kind", k.Name), slog.Any("error", err))
		k.fail()
		return
	case err != nil:
		return
	}
	k.failed = 0
	w := &waiting[C]{cell, make(chan struct{})}
	k.waiting = append(k.waiting, w)
	p.ended.Go(func() {
		select {
		case <-cell.Done():
			p.died(k, w)
		case <-w.taken:
		}
	})
}

func (k *kind[C]) fail() {
	k.failed = min(max(2*k.failed, firstRetry), lastRetry)
	k.retry = time.Now().Add(k.failed)
}

// died removes a cell that has ended by itself.
func (p *Pool[C]) died(k *kind[C], w *waiting[C]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := slices.Index(k.waiting, w)
	if n < 0 { // it was taken in the meantime
		return
	}
	k.waiting = slices.Delete(k.waiting, n, n+1)
	k.fail()
	p.gone = append(p.gone, w.cell)
	p.change()
}

func (p *Pool[C]) remove(cells []C) {
	for _, cell := range cells {
		if err := cell.Remove(); err != nil {
			p.options.Log.Warn("a stem cell is not removed", slog.Any("error", err))
		}
	}
}

// Close removes all cells that wait.
func (p *Pool[C]) Close() error {
	if p == nil {
		return nil
	}
	p.stop()
	p.mu.Lock()
	for _, k := range p.kinds {
		k.Each = 0
		for len(k.waiting) > 0 {
			p.gone = append(p.gone, p.pop(k))
		}
	}
	p.mu.Unlock()
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kinds { // what was being made
		for len(k.waiting) > 0 {
			p.gone = append(p.gone, p.pop(k))
		}
	}
	errs := make([]error, len(p.gone))
	var removals sync.WaitGroup
	for n, cell := range p.gone {
		removals.Go(func() { errs[n] = cell.Remove() })
	}
	removals.Wait()
	p.gone = nil
	return errors.Join(errs...)
}
