package ssh

import (
	"context"
	"sync"
)

// places are for sessions: servers refuse more than some at a time, ten mostly.
type places struct {
	mu    sync.Mutex
	most  int
	taken int
	left  chan struct{} // closed and made anew when one is left
}

func newPlaces(most int) *places { return &places{most: max(1, most), left: make(chan struct{})} }

// enter waits for a place.
func (p *places) enter(ctx context.Context) (leave func(), err error) {
	for {
		p.mu.Lock()
		left := p.left
		if p.taken < p.most {
			p.taken++
			p.mu.Unlock()
			return p.leave, nil
		}
		p.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	close(p.left)
	p.left = make(chan struct{})
}

// fewer learns that the server allows no more than are taken but this one, and
// reports whether waiting for one of those helps.
func (p *places) fewer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken < 2 {
		return false
	}
	p.most = max(1, min(p.most, p.taken-1))
	return true
}
