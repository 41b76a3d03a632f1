package measure

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// tally is a distribution of durations in nanoseconds, none of them negative.
// It keeps the first values as they are; when there are more than it may keep
// it sorts all of them into buckets of 512 to an octave, so that a quantile is
// then at most 0.1 % from a value that occurred, and its memory no longer grows.
type tally struct {
	values   []int64
	pages    [][]uint64 // of buckets, by octave; nil until the first value is past the bound
	count    int64
	sum      uint128
	min, max int64
}

// pageBits is the logarithm of the buckets of an octave.
const pageBits = 9

type uint128 struct{ high, low uint64 }

func (t *tally) add(v int64, exact int) {
	if t.count == 0 || v < t.min {
		t.min = v
	}
	t.max = max(t.max, v)
	t.count++
	var carry uint64
	t.sum.low, carry = bits.Add64(t.sum.low, uint64(v), 0)
	t.sum.high += carry
	if t.pages == nil {
		if t.values = append(t.values, v); len(t.values) > exact {
			t.fold()
		}
		return
	}
	t.bucket(v, 1)
}

// fold sorts the values kept into buckets.
func (t *tally) fold() {
	t.pages = make([][]uint64, 64-pageBits)
	for _, v := range t.values {
		t.bucket(v, 1)
	}
	t.values = nil
}

func (t *tally) bucket(v int64, n uint64) {
	octave := max(0, bits.Len64(uint64(v))-pageBits-1)
	if t.pages[octave] == nil {
		t.pages[octave] = make([]uint64, 2<<pageBits)
	}
	t.pages[octave][v>>octave] += n
}

// merge adds what is in other.
func (t *tally) merge(other *tally) {
	if other.count == 0 {
		return
	}
	if t.count == 0 || other.min < t.min {
		t.min = other.min
	}
	t.max = max(t.max, other.max)
	t.count += other.count
	var carry uint64
	t.sum.low, carry = bits.Add64(t.sum.low, other.sum.low, 0)
	t.sum.high += other.sum.high + carry
	if t.pages == nil && other.pages == nil {
		t.values = append(t.values, other.values...)
		return
	}
	if t.pages == nil {
		t.fold()
	}
	for _, v := range other.values {
		t.bucket(v, 1)
	}
	for value, n := range other.buckets {
		t.bucket(value, n)
	}
}

// buckets yields the middle of each bucket that is not empty, in order, and its count.
func (t *tally) buckets(yield func(value int64, n uint64) bool) {
	for octave, page := range t.pages {
		for i, n := range page {
			if n > 0 && !yield(int64(i)<<octave+int64(1)<<octave>>1, n) {
				return
			}
		}
	}
}

// quantiles are the nearest ranks: the quantile q of n values is the ⌈q·n⌉-th
// smallest (Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996,
// doi:10.2307/2684934, definition 1).
func (t *tally) quantiles() spec.Quantiles {
	if t.count == 0 {
		return spec.Quantiles{}
	}
	q := spec.Quantiles{Count: t.count, Mean: t.mean(), Max: time.Duration(t.max)}
	ranks := [...]struct {
		permille int64
		at       *time.Duration
	}{{500, &q.P50}, {900, &q.P90}, {950, &q.P95}, {990, &q.P99}, {999, &q.P999}}
	rank := func(permille int64) int64 {
		high, low := bits.Mul64(uint64(t.count), uint64(permille))
		low, carry := bits.Add64(low, 999, 0)
		rank, _ := bits.Div64(high+carry, low, 1000)
		return int64(rank)
	}
	if t.pages == nil {
		slices.Sort(t.values)
		for _, r := range ranks {
			*r.at = time.Duration(t.values[rank(r.permille)-1])
		}
		return q
	}
	next, seen := 0, int64(0)
	for value, n := range t.buckets {
		seen += int64(n)
		for next < len(ranks) && rank(ranks[next].permille) <= seen {
			*ranks[next].at = time.Duration(min(max(value, t.min), t.max))
			next++
		}
	}
	return q
}

func (t *tally) mean() time.Duration {
	if t.sum.high >= uint64(t.count) {
		return math.MaxInt64
	}
	mean, _ := bits.Div64(t.sum.high, t.sum.low, uint64(t.count))
	return time.Duration(mean)
}

// Quantiles summarises nanoseconds, none of them negative, and sorts them.
func Quantiles(ns []int64) spec.Quantiles {
	t := tally{}
	for _, v := range ns {
		t.add(v, math.MaxInt)
	}
	return t.quantiles()
}
