package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// maxEntries is how many entries, of 8 bytes each, the tables of a module may have at
// first, and how many more they may get. They are the agent's memory, which no limit of a
// function counts.
const maxEntries = 1 << 20

// What a module in binary form consists of (webassembly.github.io/spec, version 2.0, chapter 5).
const (
	preamble     = 8 // bytes
	tableSection = 4
	funcref      = 0x70
	externref    = 0x6f
)

var errModule = errors.New("it is cut short, or no WebAssembly module")

// boundTables is the module with a maximum in each table. What does not begin as one
// is left for the compiler to refuse.
func boundTables(module []byte) ([]byte, error) {
	if len(module) < preamble || string(module[:4]) != "\x00asm" {
		return module, nil
	}
	out := slices.Clone(module[:preamble])
	for in := (reader{left: module[preamble:]}); len(in.left) > 0; {
		id := in.octet()
		content := in.take(in.number())
		if id == tableSection && in.err == nil {
			content, in.err = boundSection(content)
		}
		if in.err != nil {
			return nil, in.err
		}
		out = append(out, id)
		out = binary.AppendUvarint(out, uint64(len(content)))
		out = append(out, content...)
	}
	return out, nil
}

func boundSection(section []byte) ([]byte, error) {
	in := reader{left: section}
	count := in.number()
	out := binary.AppendUvarint(nil, uint64(count))
	var first, more uint64
	if count > 0 {
		more = maxEntries / uint64(count)
	}
	for range count {
		kind, flags := in.octet(), in.octet()
		least, most := uint64(in.number()), uint64(math.MaxUint32)
		if flags == 1 {
			most = uint64(in.number())
		}
		if in.err == nil && (kind != funcref && kind != externref || flags > 1) {
			in.err = fmt.Errorf("it has a table of kind %#x with flags %#x, which is none of WebAssembly 2.0", kind, flags)
		}
		if first += least; in.err == nil && first > maxEntries {
			in.err = fmt.Errorf("its tables have over %d entries", maxEntries)
		}
		if in.err != nil {
			return nil, in.err
		}
		out = append(out, kind, 1)
		out = binary.AppendUvarint(out, least)
		out = binary.AppendUvarint(out, min(most, least+more))
	}
	return append(out, in.left...), nil
}

// reader reads what a module consists of. After an error, it reads zeros.
type reader struct {
	left []byte
	err  error
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.left)) {
		r.err = errors.Join(r.err, errModule)
		n = 0
	}
	taken := r.left[:n]
	r.left = r.left[n:]
	return taken
}

func (r *reader) octet() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// number reads one of 32 bits, of at most 5 bytes.
func (r *reader) number() uint32 {
	n, size := binary.Uvarint(r.left[:min(len(r.left), 5)])
	if size <= 0 || n > math.MaxUint32 {
		r.err = errors.Join(r.err, errModule)
		return 0
	}
	r.left = r.left[size:]
	return uint32(n)
}
