package estimate

import (
	"fmt"
	"math"
	"time"
)

// Histogram counts times in bins of equal width from 0 on. Those longer than all bins are
// counted apart.
type Histogram struct {
	bin     time.Duration
	counts  []int64
	in, out int64   // in the bins, and longer
	squares float64 // sum of the squares of the counts
}

// NewHistogram returns one without counts; bin and bins are positive.
func NewHistogram(bin time.Duration, bins int) *Histogram {
	return &Histogram{bin: bin, counts: make([]int64, bins)}
}

// Add counts d, which is not negative.
func (h *Histogram) Add(d time.Duration) {
	at := int64(d / h.bin)
	if at >= int64(len(h.counts)) {
		h.out++
		return
	}
	h.squares += float64(2*h.counts[at] + 1)
	h.counts[at]++
	h.in++
}

// In is how many times are in the bins, Out how many are longer.
func (h *Histogram) In() int64 { return h.in }

// Out is how many times are longer than all bins.
func (h *Histogram) Out() int64 { return h.out }

// Quantile returns the limits of the bin that has the quantile q by nearest rank of the times in the bins; there
// must be some.
func (h *Histogram) Quantile(q float64) (from, to time.Duration) {
	want, seen := rank(q, int(h.in)), 0
	for i, n := range h.counts {
		if seen += int(n); seen >= want {
			return time.Duration(i) * h.bin, time.Duration(i+1) * h.bin
		}
	}
	panic("estimate: a histogram has fewer times than it has counted")
}

// Spread is the coefficient of variation of the counts of the bins: 0 where all have as many, the
// root of their number less 1 where one has all.
func (h *Histogram) Spread() float64 {
	bins := float64(len(h.counts))
	mean := float64(h.in) / bins
	return math.Sqrt(max(0, float64(h.squares/bins)-float64(mean*mean))) / mean
}

// Times are the options of histograms of the times between the invocations of each function.
type Times struct {
	Bin     time.Duration `hcl:"bin,optional" json:"bin" doc:"width of a bin"`
	Bins    int           `hcl:"bins,optional" json:"bins" doc:"how many there are, 1 to 100000; longer times are out of bounds"`
	Least   int           `hcl:"least,optional" json:"least" doc:"times that have to be in bounds before they tell something"`
	Spread  float64       `hcl:"spread,optional" json:"spread" doc:"coefficient of variation of the bins' counts from which they tell something"`
	Outside float64       `hcl:"outside,optional" json:"outside" doc:"share of the times out of bounds over which they tell nothing, 0 to 1"`
}

// Check returns what is wrong with the options.
func (o Times) Check() error {
	switch {
	case o.Bin <= 0 || o.Bins < 1 || o.Bins > 100_000:
		return fmt.Errorf("bin is %v and bins %d, want a positive duration and 1 to 100000", o.Bin, o.Bins)
	case o.Least < 1 || !(o.Spread >= 0):
		return fmt.Errorf("least is %d and spread %g, want 1 or more, and 0 or more", o.Least, o.Spread)
	case !(o.Outside >= 0 && o.Outside <= 1):
		return fmt.Errorf("outside is %g, want 0 to 1", o.Outside)
	}
	return nil
}

// New returns histograms of no function.
func (o Times) New() *ByFunction { return &ByFunction{Times: o} }

// ByFunction has a Histogram for each function that has times.
type ByFunction struct {
	Times
	functions []*Histogram // by number of the function - 1
}

// Add counts a time of a function, by its number from 1.
func (b *ByFunction) Add(function int, d time.Duration) {
	for len(b.functions) < function {
		b.functions = append(b.functions, nil)
	}
	h := b.functions[function-1]
	if h == nil {
		h = NewHistogram(b.Bin, b.Bins)
		b.functions[function-1] = h
	}
	h.Add(d)
}

// Of returns the histogram of a function, false where it tells nothing.
func (b *ByFunction) Of(function int) (*Histogram, bool) {
	if function > len(b.functions) || b.functions[function-1] == nil {
		return nil, false
	}
	h := b.functions[function-1]
	tells := h.in >= int64(b.Least) && float64(h.out) <= float64(b.Outside*float64(h.in+h.out)) && h.Spread() >= b.Spread
	return h, tells
}
