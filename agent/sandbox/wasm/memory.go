package wasm

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tetratelabs/wazero/experimental"
)

// pageSize is that of WebAssembly, and maxMemory what its 32 bits can address, in bytes.
const (
	pageSize  = 64 << 10
	maxMemory = 4 << 30
)

// memory is the linear memory of one instance: a mapping of its limit, which
// the kernel fills as it is touched. It grows without being copied and is no burden
// to the garbage collector.
type memory struct {
	mapping []byte
	size    atomic.Int64 // bytes that the instance has asked for
	refused atomic.Bool  // it has asked for more than its limit
}

// newMemory makes a memory of at most limit bytes, rounded down to pages.
func newMemory(limit int64) (*memory, error) {
	if limit <= 0 || limit > maxMemory {
		limit = maxMemory
	}
	mapping, err := unix.Mmap(-1, 0, int(limit/pageSize*pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of memory: %w", limit, err)
	}
	return &memory{mapping: mapping}, nil
}

// Allocate is called once, for the one memory that a module has.
func (m *memory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate is nil when the instance may not have so much.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.mapping)) {
		m.refused.Store(true)
		return nil
	}
	m.size.Store(int64(size))
	return m.mapping[:size:size]
}

// Free does nothing: an instance is closed in the middle of the call in which it
// exits, and unmap comes after it.
func (m *memory) Free() {}

// unmap gives the memory back. Nothing may use it any more.
func (m *memory) unmap() error {
	m.size.Store(0)
	mapping := m.mapping
	m.mapping = nil
	return unix.Munmap(mapping)
}
