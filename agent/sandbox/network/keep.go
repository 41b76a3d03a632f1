package network

import (
	"log/slog"
	"slices"
)

// keep looks at released namespaces, fills the pool and deletes what is
// doomed, in this order, until the pool is closed.
func (p *Pool) keep() {
	defer close(p.kept)
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
	full := len(p.ready) >= p.options.Size
	switch {
	case p.closed:
		return nil
	case full && len(p.released) > 0:
		p.doomed = append(p.doomed, p.released...)
		p.released = nil
		return p.deletion()
	case len(p.released) > 0:
		n := p.released[0]
		p.released = p.released[1:]
		return func() { p.inspect(n) }
	case !full && !p.starved:
		return p.fill
	case len(p.doomed) > 0:
		return p.deletion()
	default:
		return func() { <-p.wake }
	}
}

// deletion takes all that is doomed, with p.mu held, and returns what deletes it.
func (p *Pool) deletion() func() {
	doomed := p.doomed
	p.doomed = nil
	return func() { p.delete(doomed) }
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
		p.doomed = append(p.doomed, n)
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
