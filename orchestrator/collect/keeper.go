package collect

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// keeper writes files into a folder, together no more than it may.
type keeper struct {
	dir  string
	zstd bool
	left atomic.Int64 // bytes that may still be written; less than 0 when the last of them were more

	mu    sync.Mutex
	items []Item
}

// note records something that is not there.
func (k *keeper) note(what, problem string) { k.add(Item{What: what, Problem: problem}) }

func (k *keeper) add(i Item) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.items = append(k.items, i)
}

// errFull ends what is written to a sink when nothing more may be.
var errFull = errors.New("max_size is reached")

// sink is a file that is written. Its errors are in its Item.
type sink struct {
	keeper *keeper
	item   Item
	file   *os.File
	to     io.WriteCloser
	err    error
}

// open makes a file in the folder.
func (k *keeper) open(what, name string) *sink {
	s := &sink{keeper: k, item: Item{What: what}}
	if k.zstd {
		name += ".zst"
	}
	path := filepath.Join(k.dir, name)
	if s.err = os.MkdirAll(filepath.Dir(path), 0o755); s.err != nil {
		return s
	}
	if s.file, s.err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); s.err != nil {
		return s
	}
	s.item.File, s.to = name, counted{s.file, &k.left}
	if k.zstd {
		s.to, s.err = zstd.NewWriter(s.to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	}
	return s
}

// Write writes what may be written, and reports the error of what may not.
func (s *sink) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.keeper.left.Load() <= 0 {
		s.err = errFull
		return 0, s.err
	}
	n, err := s.to.Write(b)
	s.item.Bytes += int64(n)
	s.err = err
	return n, err
}

// close ends the file. The error is why nothing more came.
func (s *sink) close(err error) {
	if s.to != nil {
		s.err = errors.Join(s.err, s.to.Close())
	}
	if s.file != nil {
		s.err = errors.Join(s.err, s.file.Close())
	}
	switch {
	case errors.Is(s.err, errFull):
		s.item.Truncated = true
	case s.err != nil:
		s.item.Problem = s.err.Error()
	case err != nil:
		s.item.Problem = err.Error()
	}
	s.keeper.add(s.item)
}

// counted takes what is written from what is left.
type counted struct {
	io.Writer
	left *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.left.Add(-int64(len(b)))
	return c.Writer.Write(b)
}

// Close leaves the file open.
func (counted) Close() error { return nil }
