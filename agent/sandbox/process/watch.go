package process

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// watchEvery is how often the memory of busy sandboxes is looked at where no
// cgroup limits it.
const watchEvery = 20 * time.Millisecond

// watch ends sandboxes that use more memory than they may. It sleeps while none is busy.
type watch struct {
	needed bool // false: a cgroup does it better
	mu     sync.Mutex
	busy   map[*box]bool
	wake   chan struct{} // of capacity 1; closed by close
	ended  sync.WaitGroup
}

func newWatch(needed bool) *watch {
	w := &watch{needed: needed, busy: map[*box]bool{}, wake: make(chan struct{}, 1)}
	w.ended.Go(w.run)
	return w
}

// add watches b until remove.
func (w *watch) add(b *box) {
	if !w.needed {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[b] = true
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) remove(b *box) {
	if !w.needed {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, b)
}

func (w *watch) close() {
	close(w.wake)
	w.ended.Wait()
}

func (w *watch) run() {
	for range w.wake {
		for w.look() {
			time.Sleep(watchEvery)
		}
	}
}

// look checks each busy sandbox and reports whether there is any.
func (w *watch) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for b := range w.busy {
		if b.Memory() > int64(b.config.Function.Memory) {
			b.overLimit.Store(true)
			_ = b.process.Kill() // it fails only when it has ended
		}
	}
	return len(w.busy) > 0
}

// resident is the memory of a process in bytes, read from its open statm; -1
// when it has ended.
func resident(statm *os.File) int64 {
	var b [128]byte
	n, _ := statm.ReadAt(b[:], 0) // what was read is no number after any error but EOF, which is none
	fields := bytes.Fields(b[:n])
	if len(fields) < 2 {
		return -1
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return -1
	}
	return pages * int64(os.Getpagesize())
}
