package network

import (
	"log/slog"
	"slices"
)

// keep looks at released namespaces and fills the pool, in this order, until
// the pool is closed.
func (p *Pool) keep() {
	for {
		work := p.work()
		if work == nil {
			return
		}
		work()
	}
}

// work is what is to be done next, nil when the pool is closed.
func (p *Pool) work() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil
	case len(p.released) > 0:
		n := p.released[0]
		p.released = p.released[1:]
		return func() { p.inspect(n) }
	case len(p.ready) < p.options.Size && !p.starved:
		return p.fill
	default:
		return func() { <-p.toKeep }
	}
}

// deleteDoomed deletes what is doomed, all of it at once, until the pool is
// closed. It waits for the kernel most of the time, which keep need not do.
func (p *Pool) deleteDoomed() {
	for range p.toDelete {
		p.mu.Lock()
		doomed, closed := p.doomed, p.closed
		p.doomed = nil
		p.mu.Unlock()
		if closed {
			return
		}
		p.delete(doomed)
	}
}

// doom has a namespace deleted. The caller holds p.mu.
func (p *Pool) doom(n *node) {
	p.doomed = append(p.doomed, n)
	signal(p.toDelete)
}

// signal says that there may be work.
func signal(work chan<- struct{}) {
	select {
	case work <- struct{}{}:
	default: // it was said
	}
}

// inspect makes a released namespace ready, or dooms it.
func (p *Pool) inspect(n *node) {
	differences, err := p.clean(n)
	switch {
	case err != nil:
		p.options.Log.Warn("cannot see whether a network namespace is clean", slog.String("namespace", n.pin), slog.Any("error", err))
	case len(differences) > 0:
		p.options.Log.Debug("network namespace is not used again", slog.String("namespace", n.pin), slog.Any("changed", differences))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && len(differences) == 0 {
		p.ready = append(p.ready, n)
	} else {
		p.doom(n)
	}
}

// fill makes one namespace ready.
func (p *Pool) fill() {
	n, err := p.make()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.starved = true
		p.options.Log.Warn("cannot keep network namespaces ready", slog.Any("error", err))
		return
	}
	p.ready = append(p.ready, n)
}

// delete removes namespaces and their links, and gives their places back. What
// cannot be removed keeps its place, and Close tries again.
func (p *Pool) delete(doomed []*node) {
	var gone []*node
	var links []int
	for _, n := range doomed {
		if err := unpin(n.pin); err != nil {
			p.options.Log.Warn("cannot remove a network namespace", slog.String("namespace", n.pin), slog.Any("error", err))
			continue
		}
		gone = append(gone, n)
		links = append(links, n.link)
	}
	if err := p.host.deleteLinks(links); err != nil {
		p.options.Log.Warn("cannot remove links of network namespaces", slog.Any("error", err))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range gone {
		p.free = append(p.free, n.place)
	}
	p.all = slices.DeleteFunc(p.all, func(n *node) bool { return slices.Contains(gone, n) })
}
