package policy

import (
	"cmp"
	"iter"
	"slices"
)

// ring is a hash ring (D. Karger et al., Consistent hashing and random trees,
// 1997, doi:10.1145/258533.258660). Each member has vnodes points on it. Where they
// are depends on the seed and the member's name alone: a member that joins or
// leaves moves no point of another, and one that comes back finds its own.
type ring struct {
	seed   uint64
	vnodes int
	points []point  // clockwise
	ids    []uint64 // of the members that have points, in their order
	walk   uint64   // number of the last walk
	met    []uint64 // by member: the last walk that met it
}

type point struct {
	at     uint64
	member int // its index
}

// update gives the ring the points of members, if they are others than before.
func (r *ring) update(members []Member) {
	if slices.EqualFunc(r.ids, members, func(id uint64, m Member) bool { return id == m.ID }) {
		return
	}
	r.ids, r.points, r.met = r.ids[:0], r.points[:0], make([]uint64, len(members))
	for i, m := range members {
		r.ids = append(r.ids, m.ID)
		at := hash(r.seed, m.Worker)
		for range r.vnodes {
			at = mix(at)
			r.points = append(r.points, point{at, i})
		}
	}
	slices.SortFunc(r.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(members[a.member].Worker, members[b.member].Worker))
	})
}

// from yields the indices of the members, each once, in the order in which
// they are met clockwise from the function's place.
func (r *ring) from(function string) iter.Seq[int] {
	return func(yield func(int) bool) {
		first, _ := slices.BinarySearchFunc(r.points, mix(hash(r.seed, function)), func(p point, at uint64) int { return cmp.Compare(p.at, at) })
		r.walk++
		for n := range r.points {
			i := r.points[(first+n)%len(r.points)].member
			if r.met[i] == r.walk {
				continue
			}
			r.met[i] = r.walk
			if !yield(i) {
				return
			}
		}
	}
}

// hash is FNV-1a of a name, from a basis that the seed moves.
func hash(seed uint64, name string) uint64 {
	h := mix(seed) ^ 14695981039346656037
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}

// mix is a step of SplitMix64 (G. Steele, D. Lea and C. Flood, Fast splittable
// pseudorandom number generators, 2014, doi:10.1145/2660193.2660195), a bijection that
// spreads what differs little over all bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
