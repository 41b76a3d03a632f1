// Package stream makes independent random streams from one seed, one per
// purpose, so that a draw added to one moves no other.
package stream

import (
	"hash/fnv"
	"math/rand/v2"
)

// New returns the stream of seed that has this name. The parts of the name are
// kept apart, so ("a", "bc") and ("ab", "c") are different streams.
func New(seed uint64, name ...string) *rand.Rand {
	h := fnv.New64a()
	for _, part := range name {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// Derive returns a seed for a part of a run, such as one repeat of one point.
func Derive(seed uint64, name ...string) uint64 { return New(seed, name...).Uint64() }
