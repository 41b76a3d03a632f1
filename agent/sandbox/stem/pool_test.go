package stem_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox/stem"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// lab makes cells, and knows how many there are.
type lab struct {
	mu          sync.Mutex
	made, alive int
	takes       time.Duration // to make one
	fails       error
}

type cell struct {
	lab    *lab
	done   chan struct{}
	ending sync.Once
}

func (l *lab) make(ctx context.Context) (*cell, error) {
	select {
	case <-time.After(l.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails != nil {
		return nil, l.fails
	}
	l.made, l.alive = l.made+1, l.alive+1
	return &cell{lab: l, done: make(chan struct{})}, nil
}

func (l *lab) count() (made, alive int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made, l.alive
}

func (c *cell) Done() <-chan struct{} { return c.done }
func (c *cell) die()                  { c.ending.Do(func() { close(c.done) }) }

func (c *cell) Remove() error {
	c.die()
	c.lab.mu.Lock()
	defer c.lab.mu.Unlock()
	c.lab.alive--
	return nil
}

func (l *lab) kind(name string, each int) stem.Kind[*cell] {
	return stem.Kind[*cell]{Name: name, Each: each, Make: l.make}
}

// open is a Pool of which no cell may be left at the end.
func open(t *testing.T, l *lab, memory spec.Bytes) *stem.Pool[*cell] {
	t.Helper()
	p := stem.New[*cell](stem.Options{Memory: memory, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func settled(t *testing.T, p *stem.Pool[*cell], l *lab, made, alive int) {
	t.Helper()
	if err := p.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, a := l.count(); m != made || a != alive {
		t.Errorf("%d made, %d there; want %d, %d", m, a, made, alive)
	}
}

func TestTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{takes: 50 * time.Millisecond}
		p := open(t, l, 0)
		a, b := l.kind("a", 2), l.kind("b", 1)
		if _, ok := p.Take(a); ok {
			t.Error("there is a cell before one was made")
		}
		p.Keep(b)
		settled(t, p, l, 3, 3)
		first, ok := p.Take(a)
		second, ok2 := p.Take(a)
		if _, more := p.Take(a); !ok || !ok2 || more || first == second {
			t.Error("of two cells there are not two")
		}
		settled(t, p, l, 5, 5)
		for _, c := range []*cell{first, second} {
			if err := c.Remove(); err != nil {
				t.Error(err)
			}
		}
		settled(t, p, l, 5, 3)
	})
}

// Nothing is made while a sandbox is being started, nor in a burst of them.
func TestOffTheCriticalPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{takes: 50 * time.Millisecond}
		p := open(t, l, 0)
		p.Begin(spec.MiB)
		p.Keep(l.kind("a", 1))
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			p.Started()
			time.Sleep(time.Millisecond)
			p.Begin(spec.MiB)
		}
		if made, _ := l.count(); made > 0 {
			t.Errorf("%d were made", made)
		}
		p.Started()
		settled(t, p, l, 1, 1)
	})
}

// Cells take what memory sandboxes leave, and give it back.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{}
		p := open(t, l, 3*stem.Reserve)
		p.Keep(l.kind("a", 2))
		p.Keep(l.kind("b", 2))
		settled(t, p, l, 3, 3)
		p.Begin(2 * stem.Reserve)
		synctest.Wait()
		if _, alive := l.count(); alive != 1 {
			t.Errorf("%d are there beside a sandbox, with memory for one", alive)
		}
		p.Started()
		settled(t, p, l, 3, 1)
		p.Ended(2 * stem.Reserve)
		settled(t, p, l, 5, 3)
	})
}

// What always fails is not tried all the time.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{fails: errors.New("no")}
		p := open(t, l, 0)
		b := l.kind("b", 1)
		var tried atomic.Int64
		b.Make = func(ctx context.Context) (*cell, error) { tried.Add(1); return l.make(ctx) }
		p.Keep(b)
		time.Sleep(10 * time.Minute)
		if n := tried.Load(); n < 5 || n > 20 {
			t.Errorf("tried %d times in ten minutes", n)
		}
		none := l.kind("none", 1)
		never := 0
		none.Make = func(context.Context) (*cell, error) { never++; return nil, stem.ErrNone }
		p.Keep(none)
		time.Sleep(10 * time.Minute)
		settled(t, p, l, 0, 0)
		if never != 1 {
			t.Errorf("what can never be was tried %d times", never)
		}
	})
}

// A cell that ends while it waits is removed, and another is made.
func TestDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{}
		p := open(t, l, 0)
		var last *cell
		a := l.kind("a", 1)
		a.Make = func(ctx context.Context) (c *cell, err error) { last, err = l.make(ctx); return last, err }
		p.Keep(a)
		settled(t, p, l, 1, 1)
		last.die()
		time.Sleep(2 * time.Second)
		settled(t, p, l, 2, 1)
	})
}

// Whenever it comes, Close leaves no cell, and there are never more than memory is for.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			l, chance := &lab{takes: 7 * time.Millisecond}, rand.New(rand.NewPCG(seed, 1))
			p := stem.New[*cell](stem.Options{Memory: 4 * stem.Reserve, Log: slog.New(slog.DiscardHandler)})
			kinds := []stem.Kind[*cell]{l.kind("a", 1), l.kind("b", 3)}
			var mine []*cell
			for range chance.IntN(60) {
				p.Begin(stem.Reserve)
				if c, ok := p.Take(kinds[chance.IntN(2)]); ok {
					mine = append(mine, c)
				}
				time.Sleep(time.Duration(chance.Int64N(int64(10 * time.Millisecond))))
				p.Started()
				if chance.IntN(3) == 0 && len(mine) > 0 {
					mine[0].die()
				}
				time.Sleep(time.Duration(chance.Int64N(int64(60 * time.Millisecond))))
				p.Ended(stem.Reserve)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if _, alive := l.count(); alive != len(mine) {
				t.Errorf("seed %d: %d are there, %d were taken", seed, alive, len(mine))
			}
		})
	}
}
