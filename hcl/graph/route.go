package graph

import (
	"cmp"
	"slices"
)

// A strand is what one wire draws between two ranks: from its pins in the
// upper rank to a track, and from there to its pins in the lower one. A strand
// between two pins in one column is straight and needs no track.
type strand struct {
	tops, bottoms []int // columns of its pins, rising
	track         int   // from 0 at the upper rank; -1 = straight
	cycle         bool
	detour        int // the two strands of one detour have one number; 0 = none
	resumes       int // the track from which the second of them comes; -1 = it is not one
}

func (s *strand) from() int { return min(s.tops[0], s.bottoms[0]) }

func (s *strand) to() int {
	return max(s.tops[len(s.tops)-1], s.bottoms[len(s.bottoms)-1])
}

func (s *strand) straight() bool {
	return len(s.tops) == 1 && slices.Equal(s.tops, s.bottoms)
}

// channel is the room between rank r and the next.
type channel struct {
	strands []strand
	tracks  int
	headUp  bool // an arrow ends at the upper rank
	headLow bool // an arrow ends at the lower rank
}

// route gives each line between rank r and the next a track, so that lines of
// different wires cross but never run in one another.
func route(c *placing, r int) channel {
	var ch channel
	index := map[int]int{}
	taken := map[int]bool{}
	for _, v := range slices.Concat(c.ranks[r], c.ranks[r+1]) {
		switch it := &c.items[v]; it.kind {
		case openItem:
			taken[c.x[v]] = true
		case closeItem:
			taken[c.x[v]+c.across[v]-1] = true
		}
	}
	for _, l := range c.gaps[r] {
		link := &c.links[l]
		if link.wire < 0 {
			continue
		}
		at, known := index[link.wire]
		if !known {
			at = len(ch.strands)
			index[link.wire] = at
			ch.strands = append(ch.strands, strand{cycle: link.cycle, track: -1, resumes: -1})
		}
		s := &ch.strands[at]
		top, bottom := c.column(link.upper), c.column(link.lower)
		taken[top], taken[bottom] = true, true
		s.tops, s.bottoms = append(s.tops, top), append(s.bottoms, bottom)
		ch.headUp = ch.headUp || c.pins[link.upper].head
		ch.headLow = ch.headLow || c.pins[link.lower].head
	}
	var bent []strand
	straight := ch.strands[:0]
	for _, s := range ch.strands {
		slices.Sort(s.tops)
		slices.Sort(s.bottoms)
		s.tops, s.bottoms = slices.Compact(s.tops), slices.Compact(s.bottoms)
		if s.straight() {
			straight = append(straight, s)
		} else {
			bent = append(bent, s)
		}
	}
	bent = upright(untangle(bent), taken)
	ch.tracks = stack(bent)
	ch.strands = append(straight, bent...)
	return ch
}

// untangle orders strands from the upper rank to the lower so that few cross:
// those that go right before those that go left, and of each the one furthest
// ahead first, then exchanges of neighbours.
func untangle(strands []strand) []strand {
	lean := func(s *strand) int {
		return s.bottoms[0] + s.bottoms[len(s.bottoms)-1] - s.tops[0] - s.tops[len(s.tops)-1]
	}
	slices.SortStableFunc(strands, func(a, b strand) int {
		la, lb := lean(&a) >= 0, lean(&b) >= 0
		switch {
		case la && lb:
			return cmp.Compare(b.tops[0], a.tops[0])
		case la != lb:
			if la {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.tops[0], b.tops[0])
	})
	for range 8 {
		better := false
		for i := 1; i < len(strands); i++ {
			a, b := &strands[i-1], &strands[i]
			if over(b, a) < over(a, b) {
				*a, *b = *b, *a
				better = true
			}
		}
		if !better {
			break
		}
	}
	return strands
}

// over counts the crossings of a and b when a has the track nearer to the
// upper rank.
func over(a, b *strand) int {
	return within(b.tops, a.from(), a.to()) + within(a.bottoms, b.from(), b.to())
}

// within counts the columns from lo to hi.
func within(columns []int, lo, hi int) int {
	first, _ := slices.BinarySearch(columns, lo)
	last, _ := slices.BinarySearch(columns, hi+1)
	return last - first
}

// upright orders strands so that where one begins in the column another ends
// in, it has turned away before the other arrives. Where strands wait for one
// another in a ring, one of them takes a detour through a column that is not
// taken.
func upright(strands []strand, taken map[int]bool) []strand {
	ending := map[int]int{}
	for i, s := range strands {
		for _, x := range s.bottoms {
			ending[x] = i
		}
	}
	after := make([][]int, len(strands)) // strands that must come after
	waits := make([]int, len(strands))
	for i, s := range strands {
		for _, x := range s.tops {
			if j, both := ending[x]; both && j != i {
				after[i] = append(after[i], j)
				waits[j]++
			}
		}
	}
	sorted := make([]strand, 0, len(strands))
	done := make([]bool, len(strands))
	release := func(i int) {
		for _, j := range after[i] {
			waits[j]--
		}
		after[i] = nil
	}
	for left := len(strands); left > 0; {
		ready := -1
		first := -1
		for i := range strands {
			if done[i] {
				continue
			}
			if first < 0 && len(after[i]) > 0 {
				first = i
			}
			if waits[i] == 0 {
				ready = i
				break
			}
		}
		if ready >= 0 {
			sorted = append(sorted, strands[ready])
			done[ready] = true
			left--
			release(ready)
			continue
		}
		s := &strands[first]
		x := freeColumn((s.from()+s.to())/2, taken)
		taken[x] = true
		s.detour = len(taken)
		sorted = append(sorted, strand{tops: s.tops, bottoms: []int{x}, cycle: s.cycle, detour: s.detour, resumes: -1})
		s.tops, s.resumes = []int{x}, 0
		release(first)
	}
	return sorted
}

// freeColumn is the column nearest to x that is not taken, and not negative.
func freeColumn(x int, taken map[int]bool) int {
	for d := 0; ; d++ {
		if x-d >= 0 && !taken[x-d] {
			return x - d
		}
		if !taken[x+d] {
			return x + d
		}
	}
}

// stack gives each strand the first track after those of earlier strands that
// it would touch, and returns the number of tracks.
func stack(strands []strand) int {
	tracks := 0
	detours := map[int]int{}
	for i := range strands {
		s := &strands[i]
		s.track = 0
		for _, e := range strands[:i] {
			if e.from()-1 <= s.to() && s.from()-1 <= e.to() {
				s.track = max(s.track, e.track+1)
			}
		}
		if s.resumes >= 0 {
			s.resumes = detours[s.detour]
		} else if s.detour > 0 {
			detours[s.detour] = s.track
		}
		tracks = max(tracks, s.track+1)
	}
	return tracks
}
